"""Appends to Kafka: calls that come together travel in one batch for each partition.

The client takes one request at a time for each broker, so while one is under way the next calls collect here, and are
answered from their batch's base offset: a message costs microseconds, whether it comes alone or with a hundred.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.log.checks import check_partition, refuse_oversized
from shared.log.kafka_errors import FATAL, log_error, stop
from shared.log.kafka_topics import KafkaTopics
from shared.log.partitioner import partition_of
from shared.log.port import LogRefused, LogUnavailable, Message, Position

MAX_BATCH_BYTES = 256 * 1024
_ROUND_SECONDS = 0.02
"""How long the next round waits for the one before: with several brokers, a slow one must not hold up the others."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Call:
    """One `append` with the positions found so far."""

    answer: asyncio.Future[list[Position]]
    positions: list[Any]
    left: int
    deadline: float

    def place(self, index: int, position: Position) -> None:
        self.positions[index] = position
        self.left -= 1
        if self.left == 0 and not self.answer.done():
            self.answer.set_result(self.positions)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


_Item = tuple[_Call, int, Message]


@dataclass(slots=True, eq=False)
class _Lane:
    """What waits for one partition. One batch at a time is under way, which keeps the order."""

    topic: str
    partition: int
    waiting: deque[_Item] = field(default_factory=deque)
    busy: bool = False


class KafkaProducer:
    """Idempotent, acks=all. Made by `KafkaLog.producer`.

    A fatal error (another producer of this identity, a sequence out of order) breaks it for good: every later append
    raises LogRefused and the log's `ping` fails. The process must then end and be started again: whether the last
    batches were written is unknown, and a producer rebuilt in place could write them twice or out of order.
    """

    def __init__(self, client: AIOKafkaProducer, topics: KafkaTopics, timeout_seconds: float) -> None:
        self.client = client
        self._topics = topics
        self._timeout_seconds = timeout_seconds
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._ready: dict[_Lane, None] = {}
        self._filled = asyncio.Event()
        self._landed = asyncio.Event()
        self._in_flight = 0
        self._calls: deque[_Call] = deque()
        self._watching: asyncio.TimerHandle | None = None
        self._closed = False
        self.broken = ""
        self._task = asyncio.get_running_loop().create_task(self._send_for_ever(), name="kafka-log-producer")

    async def append(self, topic: Topic, messages: Sequence[Message]) -> list[Position]:
        state = await self._topics.get(topic.value)
        refuse_oversized(topic, messages, state)
        partitions = state.partitions
        return await self._enqueue(topic.value, messages, [partition_of(m.key, partitions) for m in messages])

    async def append_to(self, topic: Topic, partition: int, messages: Sequence[Message]) -> list[Position]:
        state = await self._topics.get(topic.value)
        check_partition(topic, partition, state)
        refuse_oversized(topic, messages, state)
        return await self._enqueue(topic.value, messages, [partition] * len(messages))

    async def close(self) -> None:
        self._closed = True
        if self._calls and not self.broken:
            await asyncio.wait([call.answer for call in self._calls], timeout=self._timeout_seconds)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._watching is not None:
            self._watching.cancel()
        self._fail_all(LogUnavailable("the producer was closed before Kafka had confirmed; repeat with the same ids"))
        await stop(self.client)

    async def _enqueue(self, topic: str, messages: Sequence[Message], partitions: Sequence[int]) -> list[Position]:
        if self._closed or self.broken:
            raise LogRefused(self.broken or "the producer is closed; start the process again")
        if not messages:
            return []
        answer: asyncio.Future[list[Position]] = asyncio.get_running_loop().create_future()
        call = _Call(answer, [None] * len(messages), len(messages), time.monotonic() + self._timeout_seconds)
        self._watch(call)
        for index, (message, partition) in enumerate(zip(messages, partitions, strict=True)):
            lane = self._lanes.get((topic, partition)) or self._new_lane(topic, partition)
            lane.waiting.append((call, index, message))
            if not lane.busy:
                self._ready[lane] = None
        self._filled.set()
        return await answer

    def _new_lane(self, topic: str, partition: int) -> _Lane:
        lane = self._lanes[topic, partition] = _Lane(topic, partition)
        return lane

    # Sending

    async def _send_for_ever(self) -> None:
        while True:
            await self._filled.wait()
            # One turn of the loop, for all who are about to append in it.
            await asyncio.sleep(0)
            self._filled.clear()
            ready, self._ready = self._ready, {}
            for lane in ready:
                await self._send(lane)
            await self._await_landing()

    async def _await_landing(self) -> None:
        if self._in_flight:
            self._landed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ROUND_SECONDS):
                    await self._landed.wait()

    async def _send(self, lane: _Lane) -> None:
        batch, taken = self._fill(lane)
        if not taken:
            return
        lane.busy = True
        self._in_flight += 1
        try:
            delivery = await self.client.send_batch(batch, lane.topic, partition=lane.partition)
        except Exception as error:  # whatever it is, it belongs to the callers, not to this loop
            self._land(lane)
            self._reject(taken, error)
        else:
            delivery.add_done_callback(lambda done: self._delivered(lane, taken, done))

    def _fill(self, lane: _Lane) -> tuple[Any, list[_Item]]:
        """As much as fits into a batch, the first in any case; who has given up is left out."""
        batch = self.client.create_batch()
        taken: list[_Item] = []
        waiting, now = lane.waiting, now_ms()
        while waiting:
            item = waiting.popleft()
            call, _, (key, value, headers) = item
            if call.answer.done():
                continue
            try:
                fits = batch.append(timestamp=now, key=key, value=value, headers=list(headers))
            except (TypeError, UnicodeError) as error:
                call.fail(LogRefused(f"a message is no record that Kafka can keep: {error}"))
                continue
            if fits is None:
                waiting.appendleft(item)
                break
            taken.append(item)
        batch.close()
        return batch, taken

    def _delivered(self, lane: _Lane, taken: list[_Item], delivery: asyncio.Future[RecordMetadata]) -> None:
        self._land(lane)
        if delivery.cancelled():
            return
        if error := delivery.exception():
            self._reject(taken, error)
            return
        sent = delivery.result()
        if sent is None or sent.offset < 0:
            # A repetition that the broker knows, but not where it stands.
            self._reject(taken, TimeoutError("Kafka has the records, but does not say where"))
            return
        partition, offset, arrival_ms = lane.partition, sent.offset, sent.timestamp
        for call, index, _ in taken:
            call.place(index, Position(partition, offset, arrival_ms))
            offset += 1

    def _land(self, lane: _Lane) -> None:
        lane.busy = False
        self._in_flight -= 1
        if lane.waiting:
            self._ready[lane] = None
            self._filled.set()
        if not self._in_flight:
            self._landed.set()

    # Failing

    def _reject(self, taken: list[_Item], error: BaseException) -> None:
        if isinstance(error, FATAL):
            self.broken = f"the Kafka producer is broken for good ({error!r}); restart the process"
            _log.error("log_producer_broken", error=repr(error))
            self._fail_all(LogRefused(self.broken))
        for call in dict.fromkeys(call for call, _, _ in taken):
            call.fail(log_error(error, "appending to Kafka"))

    def _fail_all(self, error: Exception) -> None:
        for call in self._calls:
            call.fail(error)
        self._calls.clear()

    def _watch(self, call: _Call) -> None:
        """All calls have the same time, so the first in the queue is the next to be late: one timer does for all."""
        while self._calls and self._calls[0].answer.done():
            self._calls.popleft()
        self._calls.append(call)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().call_later(self._timeout_seconds, self._expire)

    def _expire(self) -> None:
        self._watching = None
        now = time.monotonic()
        while self._calls and (self._calls[0].answer.done() or self._calls[0].deadline <= now):
            self._calls.popleft().fail(
                LogUnavailable(f"Kafka did not confirm within {self._timeout_seconds:g} s; repeat with the same ids")
            )
        if self._calls:
            left = max(0.0, self._calls[0].deadline - now)
            self._watching = asyncio.get_running_loop().call_later(left, self._expire)
