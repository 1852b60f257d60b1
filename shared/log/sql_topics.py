"""Topics of the SQL log: creating them, comparing them with what is stated, remembering what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from shared.contracts.topics import Topic, TopicSpec
from shared.db.port import Database, Transaction
from shared.log.port import LogRefused, Message, TopicMismatch, TopicPartition
from shared.log.sql_tables import heads, topics, trims

_COLUMNS = ("topic", "partitions", "compacted", "max_message_bytes")


@dataclass(frozen=True, slots=True)
class TopicState:
    """What an append needs to know of an existing topic; none of it ever changes."""

    partitions: int
    compacted: bool
    max_message_bytes: int


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
                query = select(*(topics.c[name] for name in _COLUMNS[1:])).where(topics.c.topic == topic)
                row = (await transaction.execute(query)).one_or_none()
            if row is None:
                raise LogRefused(f"the topic {topic} does not exist; run `jornada topics create`")
            self._known[topic] = TopicState(*row)
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
            return [TopicPartition(*row) for row in await transaction.execute(query)]


def refuse_oversized(topic: str, messages: Sequence[Message], max_bytes: int) -> None:
    """Raises LogRefused for the first message that is larger than the topic takes."""
    for message in messages:
        size = len(message.key) + len(message.value or b"")
        if size > max_bytes:
            raise LogRefused(f"a message of {size} bytes is more than {topic} takes ({max_bytes}); nothing was appended")


def partition_mismatch(spec: TopicSpec, found: int) -> str:
    """The advice both logs give."""
    return (
        f"the topic {spec.topic} has {found} partitions, the settings say {spec.partitions}. A change would send customers "
        f"to other partitions and break their order: set JORNADA_PARTITIONS={found}, or move to a new log "
        "(new topics or cluster, and an empty database) and import the history there."
    )


async def _create(transaction: Transaction, spec: TopicSpec) -> None:
    row = (spec.topic.value, spec.partitions, spec.compacted, spec.max_message_bytes)
    if not await transaction.insert_new(topics, _COLUMNS, [row], ["topic"]):
        return
    places = [(spec.topic.value, partition) for partition in range(spec.partitions)]
    head_columns = ("topic", "partition", "next_offset", "last_arrival_ms", "next_byte")
    await transaction.insert_new(heads, head_columns, [(*place, 0, 0, 0) for place in places], ["topic"])
    await transaction.insert_new(trims, ("topic", "partition", "compacted_to"), [(*p, 0) for p in places], ["topic"])


def check_partition(topic: Topic, partition: int, state: TopicState) -> None:
    """Raises LogRefused for a partition that the topic does not have."""
    if not 0 <= partition < state.partitions:
        raise LogRefused(f"{topic} has partitions 0 to {state.partitions - 1}, not {partition}")
