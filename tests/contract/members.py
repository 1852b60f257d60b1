"""A reader as services are: it notes what it owns, seeks, fetches, and keeps what it got."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.contracts.topics import Topic
from shared.log.port import Consumer, Log, Membership, Record, TopicPartition

SESSION_TIMEOUT_MS = 2_000


@dataclass
class Reader:
    """Starts each partition at `starts`, or at 0."""

    log: Log
    topics: tuple[Topic, ...]
    group: str
    starts: Mapping[int, int] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    history: list[tuple[str, frozenset[TopicPartition]]] = field(default_factory=list)
    new: set[TopicPartition] = field(default_factory=set)
    consumer: Consumer = field(init=False)

    def __post_init__(self) -> None:
        membership = Membership(self.group, self.topics, self._assigned, self._revoked, SESSION_TIMEOUT_MS)
        self.consumer = self.log.consumer(membership)

    async def _assigned(self, places: frozenset[TopicPartition]) -> None:
        self.history.append(("assigned", places))
        self.new |= places

    async def _revoked(self, places: frozenset[TopicPartition]) -> None:
        self.history.append(("revoked", places))
        self.new -= places

    async def poll(self, max_records: int = 500, timeout_ms: int = 100) -> list[Record]:
        """One turn of a service's loop."""
        while self.new:
            place = self.new.pop()
            await self.consumer.seek(place, self.starts.get(place.partition, 0))
        fetched = await self.consumer.fetch(max_records, timeout_ms)
        got = [record for batch in fetched.values() for record in batch]
        self.records += got
        return got

    async def until(self, condition: Callable[[], bool], timeout_seconds: float = 15) -> None:
        """Polls until the condition holds; fails when the time is over."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            assert time.monotonic() < deadline, (
                f"not within {timeout_seconds} s; so far {self.history}, {len(self.records)}"
            )
            await self.poll()

    async def read(self, count: int) -> list[Record]:
        """The first `count` records."""
        await self.until(lambda: len(self.records) >= count)
        return self.records

    async def own(self, count: int) -> frozenset[TopicPartition]:
        """Waits until it owns so many partitions, all sought."""
        await self.until(lambda: len(self.consumer.assigned()) == count and not self.new)
        return self.consumer.assigned()
