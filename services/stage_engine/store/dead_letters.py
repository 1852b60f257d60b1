"""Records set aside, with their whole bytes, until somebody repairs and replays them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select, update

from services.stage_engine.store import tables
from shared.contracts.dead_letters import DeadLetterReason
from shared.db.port import Action, Transaction, Write

_COLUMNS = (
    "dead_letter_id",
    "partition",
    "log_offset",
    "reason",
    "detail",
    "tenant",
    "customer_id",
    "key",
    "value",
    "arrival_ms",
)


class DeadLetter(NamedTuple):
    """One record set aside. Tenant and customer are None where they can't be read."""

    dead_letter_id: str
    partition: int
    offset: int
    reason: DeadLetterReason
    detail: str
    tenant: str | None
    customer_id: str | None
    key: bytes | None
    value: bytes | None
    arrival_ms: int


def add(letters: Sequence[DeadLetter]) -> Write:
    """Keep them; a record that was already set aside stays as it is."""
    return Write(Action.INSERT_NEW, tables.dead_letters, _COLUMNS, [tuple(letter) for letter in letters])


async def listed(
    transaction: Transaction, limit: int, *, replayed: bool, reason: DeadLetterReason | None = None
) -> list[DeadLetter]:
    """The newest first; those already replayed only if asked for; all reasons unless one is given."""
    table = tables.dead_letters
    statement = select(*(table.c[name] for name in _COLUMNS)).order_by(table.c.arrival_ms.desc()).limit(limit)
    if not replayed:
        statement = statement.where(table.c.replayed_ms.is_(None))
    if reason is not None:
        statement = statement.where(table.c.reason == reason)
    return [_letter(row) for row in await transaction.execute(statement)]


async def one(transaction: Transaction, dead_letter_id: str) -> DeadLetter | None:
    """One of them, or None."""
    table = tables.dead_letters
    found = await transaction.execute(
        select(*(table.c[name] for name in _COLUMNS)).where(table.c.dead_letter_id == dead_letter_id)
    )
    row = found.one_or_none()
    return None if row is None else _letter(row)


async def mark_replayed(transaction: Transaction, dead_letter_id: str, at_ms: int) -> None:
    """Note that it was posted again."""
    table = tables.dead_letters
    await transaction.execute(update(table).where(table.c.dead_letter_id == dead_letter_id).values(replayed_ms=at_ms))


def _letter(row: Sequence[object]) -> DeadLetter:
    values = list(row)
    values[3] = DeadLetterReason(str(values[3]))
    return DeadLetter(*values)  # type: ignore[arg-type]
