"""`jornada dead-letters`: look at records that were set aside, and replay them once they are repaired."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from services.cli.console import CommandGroup, console
from services.cli.database import opened, opened_with_log
from services.cli.replaying import replayed
from services.stage_engine.store import dead_letters as store
from services.stage_engine.store.dead_letters import DeadLetter
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.times import now_ms, to_text
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.errors import Permanent
from shared.log.port import Position
from shared.settings import load

_HEX_SHOWN = 1024
_BYTES_A_LINE = 16

letters = typer.Typer(
    cls=CommandGroup,
    help="Records that could not be applied: kept with all their bytes until somebody repairs them.",
    no_args_is_help=True,
)
Identity = Annotated[str, typer.Argument(metavar="ID", help="as `jornada dead-letters list` shows it")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(letters, name="dead-letters")


@letters.command("list")
def list_letters(
    reason: Annotated[DeadLetterReason | None, typer.Option(help="only those set aside for this")] = None,
    replayed_too: Annotated[bool, typer.Option("--all", help="also those already replayed")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most to show, the newest first")] = 50,
) -> None:
    """Show what was set aside, and why."""

    async def run() -> list[DeadLetter]:
        async with opened(load()) as database, database.reading() as transaction:
            return await store.listed(transaction, limit, replayed=replayed_too, reason=reason)

    found = asyncio.run(run())
    table = Table("id", "arrived", "reason", "tenant", "customer", "bytes", "detail")
    for one in found:
        size = f"{len(one.value or b''):,}"
        names = (one.tenant or "?", one.customer_id or "?")
        table.add_row(one.dead_letter_id, to_text(one.arrival_ms), one.reason, *names, size, one.detail[:200])
    console().print(table if found else "no dead letters")


@letters.command("show")
def show(
    identity: Identity,
    raw: Annotated[bool, typer.Option("--raw", help="only the bytes, exactly: to a file for repair")] = False,
) -> None:
    """Show one, with its bytes as JSON where they are, as a hex dump where not."""

    async def run() -> DeadLetter:
        async with opened(load()) as database:
            return await _one(database, identity)

    letter = asyncio.run(run())
    if raw:
        sys.stdout.buffer.write(letter.value or b"")
        sys.stdout.buffer.flush()
        return
    out = console()
    out.print(f"{letter.dead_letter_id}  {letter.reason}: {letter.detail}", markup=False)
    where = (
        f"{Topic.EVENTS}, partition {letter.partition}, offset {letter.offset}, arrived {to_text(letter.arrival_ms)}"
    )
    out.print(f"{where}\nkey {letter.key!r}\n", markup=False)
    out.print(readable(letter.value), markup=False, soft_wrap=True)


@letters.command("replay")
def replay(
    identity: Identity,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="the repaired bytes; without it, those stored")
    ] = None,
) -> None:
    """Check the event and append it to the log again, under its id, so that nothing is applied twice.

    Bytes that are still broken are refused with the reason. What was set aside stays stored as it came.
    """
    position = asyncio.run(_replay(identity, file.read_bytes() if file else None))
    console().print(f"{identity} is in the log again: partition {position.partition}, offset {position.offset}")


async def _replay(identity: str, repaired: bytes | None) -> Position:
    async with opened_with_log(load()) as (database, log):
        letter = await _one(database, identity)
        value = letter.value if repaired is None else repaired
        message = replayed(letter, value, now_ms(), await log.partitions(Topic.EVENTS))
        producer = await log.producer()
        try:
            [position] = await producer.append(Topic.EVENTS, [message])
        finally:
            await producer.close()
        # After the append: stopping in between shows the letter as open, and a second replay is a known duplicate.
        async with database.transaction() as transaction:
            await store.mark_replayed(transaction, identity, now_ms())
    return position


async def _one(database: Database, identity: str) -> DeadLetter:
    async with database.reading() as transaction:
        letter = await store.one(transaction, identity)
    if letter is None:
        raise Permanent(f"there is no dead letter {identity!r}; `jornada dead-letters list --all` shows them")
    return letter


def readable(value: bytes | None) -> str:
    """Bytes for people: indented JSON, or a hex dump of their beginning."""
    if value is None:
        return "(no value: a tombstone)"
    try:
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return _hex_dump(value)


def _hex_dump(value: bytes) -> str:
    lines = [
        f"{start:08x}  {part.hex(' '):<{3 * _BYTES_A_LINE}} {_printable(part)}"
        for start in range(0, min(len(value), _HEX_SHOWN), _BYTES_A_LINE)
        for part in [value[start : min(start + _BYTES_A_LINE, _HEX_SHOWN)]]
    ]
    if len(value) > _HEX_SHOWN:
        lines.append(f"… {len(value) - _HEX_SHOWN:,} bytes more; --raw gives all")
    return "\n".join(lines)


def _printable(part: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
