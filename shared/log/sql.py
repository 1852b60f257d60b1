"""The log as tables of the same database: durable and replayable without another server.

Appends go through one writer task (`sql_append`), groups live by heartbeats in rows (`sql_membership`), reading is by
offset (`sql_consumer`), and old records leave in small steps (`sql_retention`). Other processes may use the same tables.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from sqlalchemy import select, update

from shared.contracts.topics import Topic, TopicSpec
from shared.db.port import Database, DatabaseUnavailable
from shared.log.checks import check_partition, refuse_oversized
from shared.log.partitioner import partition_of
from shared.log.port import LogUnavailable, Membership, Message, Position, TopicPartition
from shared.log.sql_append import Appender, Fence
from shared.log.sql_consumer import SqlConsumer
from shared.log.sql_errors import log_errors
from shared.log.sql_retention import compact_step, trim_step
from shared.log.sql_tables import fences, identity
from shared.log.sql_topics import SqlTopics
from shared.log.sql_wake import Wakes


class SqlLog:
    """Log on any `Database`; the tables must exist. Made once in a process, so that its readers wake on its commits."""

    def __init__(self, database: Database, append_timeout_seconds: float) -> None:
        self._database = database
        self._topics = SqlTopics(database)
        self._wakes = Wakes()
        self._appender = Appender(database, append_timeout_seconds, self._wakes.wake)

    async def identity(self) -> str:
        async with log_errors("reading the log's identity"), self._database.transaction() as transaction:
            fresh = (1, uuid.uuid4().hex)
            await transaction.insert_new(identity, ("singleton", "identity"), [fresh], ("identity",))
            return str((await transaction.execute(select(identity.c.identity))).scalar_one())

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> None:
        async with log_errors("creating topics"):
            await self._topics.ensure(specs)

    async def partitions(self, topic: Topic) -> int:
        async with log_errors(f"looking up {topic}"):
            return (await self._topics.get(topic)).partitions

    async def producer(self) -> SqlProducer:
        return SqlProducer(self._topics, self._appender)

    async def fenced_producer(self, name: str) -> SqlFencedProducer:
        async with log_errors(f"taking over {name!r}"), self._database.transaction() as transaction:
            await transaction.insert_new(fences, ("name", "epoch"), [(name, 0)], ("name",))
            statement = update(fences).where(fences.c.name == name).values(epoch=fences.c.epoch + 1)
            epoch = (await transaction.execute(statement.returning(fences.c.epoch))).scalar_one()
        return SqlFencedProducer(self._topics, self._appender, Fence(name, epoch))

    def consumer(self, membership: Membership) -> SqlConsumer:
        return SqlConsumer(self._database, self._topics, self._wakes, membership)

    async def trim(self, before_ms: int, keep_from: Mapping[TopicPartition, int], limit: int) -> int:
        async with log_errors("trimming the log"):
            return await trim_step(self._database, before_ms, keep_from, limit)

    async def compact(self, limit: int) -> int:
        async with log_errors("compacting the log"):
            return await compact_step(self._database, await self._topics.compacted(), limit)

    async def ping(self) -> None:
        try:
            await self._database.ping()
        except DatabaseUnavailable as error:
            raise LogUnavailable(f"the log's database does not answer: {error}") from error

    async def close(self) -> None:
        await self._appender.close()


class SqlProducer:
    """Appends by key; closing it releases nothing, since the process's one appender serves all."""

    def __init__(self, topics: SqlTopics, appender: Appender) -> None:
        self._topics = topics
        self._appender = appender

    async def append(self, topic: Topic, messages: Sequence[Message]) -> list[Position]:
        async with log_errors(f"looking up {topic}"):
            state = await self._topics.get(topic)
        refuse_oversized(topic, messages, state)
        places = [TopicPartition(topic.value, number) for number in range(state.partitions)]
        return await self._append([(places[partition_of(m.key, state.partitions)], m) for m in messages])

    async def append_to(self, topic: Topic, partition: int, messages: Sequence[Message]) -> list[Position]:
        return await self._append(await _checked(self._topics, topic, partition, messages))

    async def _append(self, rows: list[tuple[TopicPartition, Message]]) -> list[Position]:
        return await self._appender.append(rows) if rows else []

    async def close(self) -> None:
        """Nothing to release."""


class SqlFencedProducer:
    """Its epoch is compared in the transaction that appends."""

    def __init__(self, topics: SqlTopics, appender: Appender, fence: Fence) -> None:
        self._topics = topics
        self._appender = appender
        self._fence = fence

    async def append_to(self, topic: Topic, partition: int, messages: Sequence[Message]) -> None:
        rows = await _checked(self._topics, topic, partition, messages)
        if rows:
            await self._appender.append(rows, self._fence)

    async def close(self) -> None:
        """Nothing to release; the name stays taken until somebody else takes it."""


async def _checked(
    topics: SqlTopics, topic: Topic, partition: int, messages: Sequence[Message]
) -> list[tuple[TopicPartition, Message]]:
    async with log_errors(f"looking up {topic}"):
        state = await topics.get(topic)
    check_partition(topic, partition, state)
    refuse_oversized(topic, messages, state)
    place = TopicPartition(topic.value, partition)
    return [(place, message) for message in messages]
