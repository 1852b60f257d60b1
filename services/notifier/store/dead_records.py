"""Records that can't be read: kept with their bytes, by position, so that somebody can look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select

from services.notifier.store import tables
from shared.db.port import Transaction
from shared.log.port import Record
from shared.telemetry import metrics

REASON = "notifier_unreadable"


class DeadRecord(NamedTuple):
    """A record as it came, with what is wrong with it."""

    topic: str
    partition: int
    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None
    detail: str


_COLUMNS = DeadRecord._fields
_TABLE = tables.dead_records.c


async def keep(tx: Transaction, unreadable: Sequence[tuple[Record, str]]) -> None:
    """Keep records with what is wrong with each."""
    if not unreadable:
        return
    rows = [
        (str(one.topic), one.partition, one.offset, one.arrival_ms, one.key, one.value, detail.replace("\x00", ""))
        for one, detail in unreadable
    ]
    await tx.insert_new(tables.dead_records, _COLUMNS, rows, ("offset",))
    tx.after_commit(lambda: metrics.DEAD_LETTERS.labels(REASON).inc(len(rows)))


async def listed(tx: Transaction, limit: int) -> list[DeadRecord]:
    """The newest first."""
    statement = select(*(_TABLE[name] for name in _COLUMNS)).order_by(_TABLE.arrival_ms.desc()).limit(limit)
    return [DeadRecord._make(row) for row in await tx.execute(statement)]


async def at(tx: Transaction, topic: str, partition: int, offset: int) -> DeadRecord | None:
    """The one that stood there, or None."""
    found = await tx.select_many(
        tables.dead_records, ("topic", "partition", "offset"), [(topic, partition, offset)], _COLUMNS
    )
    return DeadRecord._make(found[0]) if found else None
