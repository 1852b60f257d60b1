"""The SQL log is trimmed by age, but never ahead of a reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from migrations.running import migrate
from services.cli.retention import LogRetention, readable_from
from services.stage_engine.store import progress
from services.stage_engine.store.tables import progress as engine_progress
from shared.contracts.topics import Topic, topic_specs
from shared.db.connect import connect
from shared.log.port import Message, TopicPartition
from shared.log.sql import SqlLog
from shared.log.sql_tables import records
from shared.service import Resources
from shared.settings import load


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    settings = load(database_url=f"sqlite+aiosqlite:///{tmp_path}/jornada.db", partitions=1, log_retention_days=1)
    await migrate(settings.database_url)
    database = connect(settings.database_url)
    log = SqlLog(database, 5)
    await log.ensure_topics(topic_specs(1))
    yield Resources(settings, database, log)
    await log.close()
    await database.close()


async def _append_old(resources: Resources, topic: Topic, count: int) -> None:
    producer = await resources.log.producer()
    await producer.append(topic, [Message(b"a:b", b"{}") for _ in range(count)])
    await producer.close()
    async with resources.database.transaction() as transaction:
        await transaction.execute(update(records).values(arrival_ms=1))


async def _kept(resources: Resources, topic: Topic) -> list[int]:
    async with resources.database.reading() as transaction:
        found = await transaction.execute(records.select().where(records.c.topic == topic).order_by(records.c.offset))
        return [row.offset for row in found]


async def _trim(resources: Resources) -> None:
    assert isinstance(resources.log, SqlLog)
    stopping = asyncio.Event()
    running = asyncio.create_task(LogRetention(resources, resources.log).run(stopping))
    async with asyncio.timeout(10):
        while await _kept(resources, Topic.DEAD_LETTERS):
            await asyncio.sleep(0)
    stopping.set()
    await running


async def test_old_events_stay_until_the_engine_has_applied_them(resources: Resources) -> None:
    await _append_old(resources, Topic.EVENTS, 10)
    await _append_old(resources, Topic.DEAD_LETTERS, 1)
    await _trim(resources)
    assert await _kept(resources, Topic.EVENTS) == list(range(10))


async def test_old_events_behind_the_engine_go(resources: Resources) -> None:
    await _append_old(resources, Topic.EVENTS, 10)
    await _append_old(resources, Topic.DEAD_LETTERS, 1)
    await progress.claim(resources.database, 0, "test", await resources.log.identity())
    async with resources.database.transaction() as transaction:
        await transaction.execute(update(engine_progress).values(next_offset=7))
    await _trim(resources)
    assert await _kept(resources, Topic.EVENTS) == [7, 8, 9]


async def test_stage_changes_wait_for_the_notifier(resources: Resources) -> None:
    keep = await readable_from(resources.database, 1)
    assert keep[TopicPartition(Topic.STAGE_CHANGED, 0)] == 0
    assert TopicPartition(Topic.CUSTOMER_UPDATED, 0) not in keep
