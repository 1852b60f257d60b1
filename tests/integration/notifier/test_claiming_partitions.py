"""Joining the group: partitions are claimed in one go, and a stop in the middle of it is heeded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from migrations.running import migrate
from services.notifier import main
from services.notifier.batch import Batcher
from services.notifier.domain.campaign import CampaignIndex
from services.notifier.planning import Planning
from services.notifier.store.progress import Claimant
from shared.contracts.topics import Topic, topic_specs
from shared.db.connect import connect
from shared.db.port import Database
from shared.log.port import Membership, Record, TopicPartition
from shared.log.sql import SqlLog
from shared.service import Resources
from shared.settings import Settings
from tests.fakes_log import FakeLog
from tests.integration.notifier.receivers import until

PLACES = frozenset(TopicPartition(Topic.STAGE_CHANGED, number) for number in range(24))


class SlowOnceReading:
    """A member that answers like Kafka's: questions asked after the first seek stand behind the fetch, here for ever."""

    def __init__(self, membership: Membership, on_end: asyncio.Event | None = None) -> None:
        self.membership = membership
        self.sought: set[TopicPartition] = set()
        self.all_sought = asyncio.Event()
        self.closed = False
        self._on_end = on_end

    async def start(self) -> None:
        await self.membership.on_assigned(PLACES)

    def assigned(self) -> frozenset[TopicPartition]:
        return PLACES

    async def seek(self, where: TopicPartition, offset: int) -> None:
        self.sought.add(where)
        if self.sought == PLACES:
            self.all_sought.set()

    async def fetch(self, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        await asyncio.sleep(0)
        return {}

    def pause(self, where: TopicPartition) -> None:
        raise NotImplementedError

    def resume(self, where: TopicPartition) -> None:
        raise NotImplementedError

    async def position(self, where: TopicPartition) -> int:
        raise NotImplementedError

    async def end_offset(self, where: TopicPartition) -> int:
        if self.sought:
            await asyncio.Event().wait()
        return 0

    def stuck_seconds(self) -> float:
        return 0.0

    async def tell_progress(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed = True


class LogOfOne(FakeLog):
    """Makes one consumer, and keeps it to look at."""

    made: SlowOnceReading

    def consumer(self, membership: Membership) -> SlowOnceReading:
        self.made = SlowOnceReading(membership)
        return self.made


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'jornada.db'}"
    await migrate(url)
    opened = connect(url)
    yield opened
    await opened.close()


def planning(log: LogOfOne, database: Database) -> Planning:
    batcher = Batcher(database, CampaignIndex({}), Claimant("me", ""), lambda: 0, lambda _due: None)
    return Planning(log, batcher, 6_000)


async def test_no_partition_waits_for_the_fetch_of_another(database: Database) -> None:
    log, stopping = LogOfOne(), asyncio.Event()
    one = planning(log, database)
    running = asyncio.create_task(one.run(stopping))
    async with asyncio.timeout(10):
        while one.consumer is None:
            await asyncio.sleep(0)
        await log.made.all_sought.wait()
        stopping.set()
        await running
    assert log.made.closed


async def test_a_stop_while_partitions_are_being_claimed_is_heeded(database: Database) -> None:
    log, stopping = LogOfOne(), asyncio.Event()
    one = planning(log, database)
    running = asyncio.create_task(one.run(stopping))
    async with asyncio.timeout(10):
        while one.consumer is None:
            await asyncio.sleep(0)
        async with database.transaction():
            # Nothing can be claimed as long as this transaction is open.
            stopping.set()
        await running
    assert log.made.closed
    assert not log.made.sought


async def test_a_notifier_that_lost_its_place_among_the_others_wants_a_new_process(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "STUCK_SECONDS", 0.5)
    settings, stopping = Settings(outbox_dir=tmp_path, session_timeout_ms=2_000), asyncio.Event()
    log = SqlLog(database, settings.append_timeout_seconds)
    await log.ensure_topics(topic_specs(1))
    notifier = main.build(Resources(settings, database, log))
    running = asyncio.create_task(notifier.run(stopping))
    await until(lambda: len(notifier.planning.claimed()) == 2, "both topics claimed")
    assert notifier.alive()
    async with database.transaction() as tx:
        await tx.execute(text("ALTER TABLE log_members RENAME TO log_members_away"))
    await until(lambda: not notifier.alive(), "the notifier says that it is stuck")
    stopping.set()
    await running
    await log.close()
