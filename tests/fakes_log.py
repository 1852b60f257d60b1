"""A log in memory, for tests that need to see what was appended or to make the log misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from shared.contracts.topics import Topic, TopicSpec
from shared.log.port import (
    Consumer,
    FencedProducer,
    LogRefused,
    LogUnavailable,
    Membership,
    Message,
    Position,
    TopicPartition,
)


class FakeProducer:
    """Keeps what is appended; `gate` closed makes appends wait for ever, `error` makes them fail."""

    def __init__(self) -> None:
        self.appended: list[tuple[Topic, Message]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.waiting = 0
        self._changed = asyncio.Condition()
        self.deaf_to_cancellation = False

    async def append(self, topic: Topic, messages: Sequence[Message]) -> list[Position]:
        await self._pass_gate()
        if self.error is not None:
            raise self.error
        start = len(self.appended)
        self.appended.extend((topic, message) for message in messages)
        return [Position(0, start + number, 0) for number in range(len(messages))]

    async def append_to(self, topic: Topic, partition: int, messages: Sequence[Message]) -> list[Position]:
        return await self.append(topic, messages)

    async def close(self) -> None:
        return None

    async def until_waiting(self, appends: int) -> None:
        """Returns when so many appends wait at the gate."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.waiting >= appends)

    async def _pass_gate(self) -> None:
        self.waiting += 1
        async with self._changed:
            self._changed.notify_all()
        while not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                if not self.deaf_to_cancellation:
                    raise
        self.waiting -= 1


class FakeLog:
    """A log with one producer. `away` makes opening it fail; `broken` is what a fatal producer error leaves."""

    def __init__(self) -> None:
        self.only_producer = FakeProducer()
        self.away = False
        self.broken = False

    async def identity(self) -> str:
        return "fake"

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> None:
        return None

    async def partitions(self, topic: Topic) -> int:
        return 1

    async def producer(self) -> FakeProducer:
        await self.ping()
        return self.only_producer

    async def fenced_producer(self, name: str) -> FencedProducer:
        raise NotImplementedError

    def consumer(self, membership: Membership) -> Consumer:
        raise NotImplementedError

    async def ping(self) -> None:
        if self.away:
            raise LogUnavailable("the log is away")
        if self.broken:
            raise LogRefused("only a new process helps")

    async def trim(self, before_ms: int, keep_from: Mapping[TopicPartition, int], limit: int) -> int:
        return 0

    async def compact(self, limit: int) -> int:
        return 0

    async def close(self) -> None:
        return None
