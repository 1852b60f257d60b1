"""`jornada dead-letters`: look at records that were set aside, and replay them once they are repaired."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from services.cli.console import CommandGroup, console
from services.cli.database import opened, opened_with_log
from services.cli.replaying import replayed
from services.cli.set_aside import Reader, SetAside, Wanted, listed, of_notifier, one
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
_NOT_OURS_TO_WRITE = (
    "what the notifier could not read can't be replayed: the stage engine alone decides what its topics say, and every "
    "reader of them would believe a record that was put there by hand. Find out with `jornada dead-letters show` who "
    "wrote it; the customer's next stage change is planned as usual, and a letter that is missing has to be sent by hand"
)

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
    of: Annotated[Reader | None, typer.Option(help="only those of this service")] = None,
    reason: Annotated[
        DeadLetterReason | None, typer.Option(help="only those set aside for this, by the engine")
    ] = None,
    replayed_too: Annotated[bool, typer.Option("--all", help="also those already replayed")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most to show, the newest first")] = 50,
) -> None:
    """Show what was set aside, and why."""

    async def run() -> list[SetAside]:
        async with opened(load()) as database, database.reading() as transaction:
            return await listed(transaction, Wanted(limit, of, reason, replayed_too))

    found = asyncio.run(run())
    table = Table(Column("id", no_wrap=True), "service", "arrived", "reason", "tenant", "customer", "bytes", "detail")
    for each in found:
        size = f"{len(each.value or b''):,}"
        names = (each.tenant or "?", each.customer_id or "?")
        cells = (each.id, each.reader, to_text(each.arrival_ms), each.reason, *names, size, each.detail[:200])
        table.add_row(*map(escape, cells))
    console().print(table if found else "no dead letters")


@letters.command("show")
def show(
    identity: Identity,
    raw: Annotated[bool, typer.Option("--raw", help="only the bytes, exactly: to a file for repair")] = False,
) -> None:
    """Show one, with its bytes as JSON where they are, as a hex dump where not."""

    async def run() -> SetAside | None:
        async with opened(load()) as database, database.reading() as transaction:
            return await one(transaction, identity)

    found = asyncio.run(run())
    if found is None:
        raise _unknown(identity)
    if raw:
        sys.stdout.buffer.write(found.value or b"")
        sys.stdout.buffer.flush()
        return
    out = console()
    out.print(f"{found.id}  {found.reason}: {found.detail}", markup=False)
    where = f"{found.topic}, partition {found.partition}, offset {found.offset}, arrived {to_text(found.arrival_ms)}"
    out.print(f"{where}\nkey {found.key!r}\n", markup=False)
    out.print(readable(found.value), markup=False, soft_wrap=True)


@letters.command("replay")
def replay(
    identity: Identity,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="the repaired bytes; without it, those stored")
    ] = None,
) -> None:
    """Check the event and append it to the log again, under its id, so that nothing is applied twice.

    Bytes that are still broken are refused with the reason. What was set aside stays stored as it came. Only what the
    engine set aside can be replayed: the notifier reads what the engine alone may write.
    """
    if of_notifier(identity):
        raise Permanent(_NOT_OURS_TO_WRITE)
    position = asyncio.run(_replay(identity, file.read_bytes() if file else None))
    console().print(f"{identity} is in the log again: partition {position.partition}, offset {position.offset}")


async def _replay(identity: str, repaired: bytes | None) -> Position:
    async with opened_with_log(load()) as (database, log):
        letter = await _letter(database, identity)
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


async def _letter(database: Database, identity: str) -> DeadLetter:
    async with database.reading() as transaction:
        letter = await store.one(transaction, identity)
    if letter is None:
        raise _unknown(identity)
    return letter


def _unknown(identity: str) -> Permanent:
    return Permanent(f"there is no dead letter {identity!r}; `jornada dead-letters list --all` shows them")


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
