"""Keeps the SQL log within its retention, behind all of its readers. Kafka looks after its own topics.

It stands here because it needs to know how far every service has read, and services know nothing of each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from fastapi import APIRouter
from sqlalchemy import select

from services.notifier.store.tables import progress as notifier_progress
from services.stage_engine.store.tables import progress as engine_progress
from shared.contracts.times import DAY_MS, now_ms
from shared.contracts.topics import Topic, topic_specs
from shared.db.port import Database
from shared.errors import Transient
from shared.log.port import TopicPartition
from shared.log.sql import SqlLog
from shared.service import Check, Resources

_STEP_RECORDS = 500
_PAUSE_SECONDS = 0.2
_ROUND_SECONDS = 300.0
_DEFAULT_DAYS = 30
_NO_READER = 1 << 62
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class LogRetention:
    """A service without routes, for processes whose log is the SQL one."""

    resources: Resources
    log: SqlLog
    name: str = "log-retention"

    def routers(self) -> Sequence[APIRouter]:
        return []

    def alive(self) -> bool:
        return True

    async def checks(self) -> Sequence[Check]:
        return []

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._round(stopping)
            except Transient as error:
                _log.info("trimming of the log waits", why=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _ROUND_SECONDS)

    async def _round(self, stopping: asyncio.Event) -> None:
        days = self.resources.settings.log_retention_days or _DEFAULT_DAYS
        partitions = await self.log.partitions(Topic.EVENTS)
        keep_from = await readable_from(self.resources.database, partitions)
        while not stopping.is_set():
            trimmed = await self.log.trim(now_ms() - days * DAY_MS, keep_from, _STEP_RECORDS)
            if not trimmed and not await self.log.compact(_STEP_RECORDS):
                return
            await asyncio.sleep(_PAUSE_SECONDS)


async def readable_from(database: Database, partitions: int) -> dict[TopicPartition, int]:
    """The offset below which no reader needs a record any more, for each partition of the topics kept by age."""
    by_age = [spec.topic for spec in topic_specs(partitions) if not spec.compacted]
    keep = {TopicPartition(topic, partition): _NO_READER for topic in by_age for partition in range(partitions)}
    keep |= {TopicPartition(topic, n): 0 for topic in (Topic.EVENTS, Topic.STAGE_CHANGED) for n in range(partitions)}
    engine, notifier = engine_progress.c, notifier_progress.c
    async with database.reading() as transaction:
        applied = await transaction.execute(select(engine.partition, engine.next_offset))
        keep |= {TopicPartition(Topic.EVENTS, partition): offset for partition, offset in map(tuple, applied)}
        planned = await transaction.execute(select(notifier.topic, notifier.partition, notifier.next_offset))
        rows = [tuple(row) for row in planned]
    keep |= {TopicPartition(topic, n): offset for topic, n, offset in rows if topic == Topic.STAGE_CHANGED}
    return keep
