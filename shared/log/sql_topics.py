"""Topics of the SQL log: creating them, comparing them with what is stated, remembering what they are."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from shared.contracts.topics import TopicSpec
from shared.db.port import Database, Transaction
from shared.log.checks import TopicState, partition_mismatch, unknown_topic
from shared.log.port import TopicMismatch, TopicPartition
from shared.log.sql_tables import heads, rows_of, topics, trims

_COLUMNS = ("topic", "partitions", "compacted", "max_message_bytes")


class SqlTopics:
    """Reads each topic once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, TopicState] = {}

    async def ensure(self, specs: Sequence[TopicSpec]) -> None:
        """Create what is missing, at once; several processes may try together. Raises TopicMismatch."""
        async with self._database.transaction() as transaction:
            for spec in specs:
                await _create(transaction, spec)
        for spec in specs:
            state = await self.get(spec.topic)
            if state.partitions != spec.partitions:
                raise TopicMismatch(partition_mismatch(spec, state.partitions))

    async def get(self, topic: str) -> TopicState:
        """Raises LogRefused for a topic that was never created."""
        if topic not in self._known:
            async with self._database.reading() as transaction:
                query = select(topics.c.partitions, topics.c.max_message_bytes).where(topics.c.topic == topic)
                found = await rows_of(transaction, query)
            if not found:
                raise unknown_topic(topic)
            self._known[topic] = TopicState(*found[0])
        return self._known[topic]

    async def compacted(self) -> list[TopicPartition]:
        """All partitions of compacted topics."""
        query = (
            select(heads.c.topic, heads.c.partition)
            .join(topics, topics.c.topic == heads.c.topic)
            .where(topics.c.compacted)
            .order_by(heads.c.topic, heads.c.partition)
        )
        async with self._database.reading() as transaction:
            return [TopicPartition(*row) for row in await rows_of(transaction, query)]


async def _create(transaction: Transaction, spec: TopicSpec) -> None:
    row = (spec.topic.value, spec.partitions, spec.compacted, spec.max_message_bytes)
    if not await transaction.insert_new(topics, _COLUMNS, [row], ["topic"]):
        return
    places = [(spec.topic.value, partition) for partition in range(spec.partitions)]
    head_columns = ("topic", "partition", "next_offset", "last_arrival_ms", "next_byte")
    await transaction.insert_new(heads, head_columns, [(*place, 0, 0, 0) for place in places], ["topic"])
    await transaction.insert_new(trims, ("topic", "partition", "compacted_to"), [(*p, 0) for p in places], ["topic"])
