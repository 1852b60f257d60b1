"""How far behind this notifier is: asked every few seconds, for metrics and for lag tools only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy import func, select

from services.notifier.planning import SERVICE, Planning
from services.notifier.store.tables import due
from shared.contracts.times import now_ms
from shared.db.port import Database
from shared.errors import Transient
from shared.log.port import Consumer, TopicPartition
from shared.telemetry.metrics import DELIVERIES_DUE, LAG_RECORDS, LAG_SECONDS

_EVERY_SECONDS = 5.0
_COUNTED = 100_000


async def observe_lag(planning: Planning, database: Database) -> None:
    """Runs until cancelled."""
    while True:
        # Whoever works on a partition reports what is away; a figure may be old for a while.
        with suppress(Transient):
            if planning.consumer is not None:
                await observe_records(planning.consumer, planning.claimed(), planning.arrivals)
            await _observe_deliveries(database)
        await asyncio.sleep(_EVERY_SECONDS)


async def observe_records(
    consumer: Consumer, claimed: frozenset[TopicPartition], arrivals: Mapping[TopicPartition, int]
) -> None:
    """How far these partitions are behind, in records and in time. `arrivals` says when the last record handled had
    come, milliseconds; a partition that has handled none yet is told as if it were caught up."""
    places = list(claimed)
    # All at once: the log may answer each question only after a fetch that waits for records.
    ends = await asyncio.gather(*(consumer.end_offset(where) for where in places))
    positions = {where: await consumer.position(where) for where in places}
    for where, end in zip(places, ends, strict=True):
        behind, arrived_ms = max(end - positions[where], 0), arrivals.get(where)
        labels = (SERVICE, where.topic, str(where.partition))
        LAG_RECORDS.labels(*labels).set(behind)
        LAG_SECONDS.labels(*labels).set((now_ms() - arrived_ms) / 1000 if behind and arrived_ms else 0)
    await consumer.tell_progress(positions)


async def _observe_deliveries(database: Database) -> None:
    ripe = select(due.c.due_ms).where(due.c.due_ms <= now_ms()).limit(_COUNTED).subquery()
    async with database.reading() as transaction:
        found = await transaction.execute(select(func.count()).select_from(ripe))
        DELIVERIES_DUE.set(int(found.scalar_one()))
