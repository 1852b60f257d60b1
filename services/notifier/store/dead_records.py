"""Records that can't be read: kept with their bytes, by position, so that somebody can look."""

from __future__ import annotations

from collections.abc import Sequence

from services.notifier.store import tables
from shared.db.port import Transaction
from shared.log.port import Record
from shared.telemetry import metrics

_COLUMNS = ("topic", "partition", "offset", "arrival_ms", "key", "value", "detail")
REASON = "notifier_unreadable"


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
