"""How far behind this engine is: asked every few seconds, for the metrics only."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from sqlalchemy import func, select

from services.stage_engine.phases import SERVICE
from services.stage_engine.store.tables import timers
from shared.contracts.times import now_ms
from shared.db.port import Database
from shared.errors import Transient
from shared.log.port import Consumer
from shared.telemetry.metrics import LAG_RECORDS, TIMERS_DUE, TIMERS_OLDEST_SECONDS

_EVERY_SECONDS = 5.0
_COUNTED = 100_000


async def observe_lag(consumer: Consumer, database: Database) -> None:
    """Runs until cancelled."""
    while True:
        # Whoever works on a partition reports what is away; a metric may be old for a while.
        with suppress(Transient):
            await _observe_records(consumer)
            await _observe_timers(consumer, database)
        await asyncio.sleep(_EVERY_SECONDS)


async def _observe_records(consumer: Consumer) -> None:
    for where in consumer.assigned():
        behind = await consumer.end_offset(where) - await consumer.position(where)
        LAG_RECORDS.labels(SERVICE, where.topic, str(where.partition)).set(max(behind, 0))


async def _observe_timers(consumer: Consumer, database: Database) -> None:
    mine = [where.partition for where in consumer.assigned()]
    now = now_ms()
    due = (
        select(timers.c.ripe_ms).where(timers.c.partition.in_(mine), timers.c.ripe_ms <= now).limit(_COUNTED).subquery()
    )
    async with database.reading() as transaction:
        found = await transaction.execute(select(func.count(), func.min(due.c.ripe_ms)).select_from(due))
        count, oldest = tuple(found.one())
    TIMERS_DUE.set(count)
    TIMERS_OLDEST_SECONDS.set(0 if oldest is None else (now - oldest) / 1000)
