"""The topics as any consumer of the broker sees them, without our own reading code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.topics import Topic
from shared.log.port import LogUnavailable, Record


@dataclass(frozen=True)
class Topics:
    """Reads committed records of whole topics."""

    client: Any
    partitions: int

    async def ends(self, topic: Topic) -> dict[int, int]:
        """The offset after the last committed record of each partition. Raises LogUnavailable."""
        try:
            found = await self.client.end_offsets(self._places(topic))
        except (KafkaError, OSError) as error:
            raise LogUnavailable(f"no end of {topic}: {error!r}") from error
        return {place.partition: offset for place, offset in found.items()}

    async def last_offsets(self, topic: Topic) -> dict[int, int]:
        """One more than the offset of the last record of each partition that has any: transaction markers, which take
        offsets too, are left out."""
        last: dict[int, int] = {}
        for record in await self.read(topic):
            last[record.partition] = max(last.get(record.partition, 0), record.offset + 1)
        return last

    async def read(self, topic: Topic) -> list[Record]:
        """Every record from the first to the end as it is now, in the order of each partition."""
        places = self._places(topic)
        ends = await self.ends(topic)
        self.client.assign(places)
        await self.client.seek_to_beginning(*places)
        records: list[Record] = []
        while await self._is_before(ends, places):
            fetched = await self.client.getmany(timeout_ms=500)
            records += [_record(each) for batch in fetched.values() for each in batch]
        return sorted(records, key=lambda record: (record.partition, record.offset))

    async def _is_before(self, ends: dict[int, int], places: list[TopicPartition]) -> bool:
        return any([await self.client.position(place) < ends[place.partition] for place in places])

    def _places(self, topic: Topic) -> list[TopicPartition]:
        return [TopicPartition(topic.value, number) for number in range(self.partitions)]


def _record(r: Any) -> Record:
    return Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)


@asynccontextmanager
async def reading_topics(bootstrap: str, partitions: int) -> AsyncIterator[Topics]:
    """A reader that belongs to no group."""
    client = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await client.start()
    try:
        yield Topics(client, partitions)
    finally:
        await client.stop()
