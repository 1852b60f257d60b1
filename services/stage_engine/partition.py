"""The work on one owned partition: batches while records come, timers when they are ripe, one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from services.stage_engine.batches.batch import Batches
from services.stage_engine.batches.turns import Place
from services.stage_engine.batches.writing import Written
from services.stage_engine.publications.control import is_control
from services.stage_engine.relay import Relay
from services.stage_engine.store import customers
from services.stage_engine.store.progress import Claim
from services.stage_engine.watermark import CLOCK_MARGIN_MS, caught_up_watermark
from shared.backoff import patiently
from shared.contracts.topics import Topic
from shared.log.port import Consumer, Record, TopicPartition

_ASK_AGAIN_SECONDS = 0.5
_SWEPT_AT_ONCE = 200
_NEVER = 1 << 62
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Most records and most timers in one transaction."""

    records: int
    timers: int


@dataclass(slots=True)
class PartitionWorker:
    """Owned by one engine under one claim; ends with OwnershipLost, or when stopped."""

    where: TopicPartition
    claim: Claim
    batches: Batches
    consumer: Consumer
    relays: Mapping[Topic, Relay]
    limits: Limits
    now_ms: Callable[[], int]
    arrival_ms: int = 0
    """The greatest arrival handled."""
    next_offset: int = 0
    """The first record not yet applied."""
    _queue: deque[Record] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _busy: bool = False
    _paused: bool = False
    _first_ripe_ms: int = _NEVER
    _place: Place = field(init=False)
    """In line for what can wait until records are applied."""
    _behind: bool = True
    """Whether there may be customers who have not met what was published."""

    def __post_init__(self) -> None:
        self._place = self.batches.turns.for_what_can_wait()

    def offer(self, records: Sequence[Record]) -> None:
        """Take records over, in log order. A full queue pauses the fetching of this partition."""
        self._queue.extend(records)
        self._wake.set()
        self._place.step_aside()
        if len(self._queue) >= self.limits.records and not self._paused:
            self._paused = True
            self.consumer.pause(self.where)

    def stop(self) -> None:
        """Finish the batch under way, then return; what is queued will be read again by the next owner."""
        self._stopping = True
        self._wake.set()
        self._place.give_up()

    async def run(self) -> None:
        """Work until stopped. Raises OwnershipLost."""
        self._first_ripe_ms = await self._patiently(self._read_first_ripe)
        try:
            while not self._stopping:
                if self._queue:
                    await self._apply_batch()
                if not await self._do_what_can_wait():
                    await self._rest()
        finally:
            self._place.give_up()

    async def _do_what_can_wait(self) -> bool:
        """Let timers go off and customers meet what was published. False when there was nothing to do."""
        if self._first_ripe_ms <= self.arrival_ms:
            await self._fire(self.arrival_ms)
        if self._behind:
            await self._sweep()
            return True
        return bool(self._queue) or await self._fire_if_caught_up()

    async def _apply_batch(self) -> None:
        self._busy = True
        records = self._next_records()
        if self._paused and len(self._queue) <= self.limits.records // 2:
            self._paused = False
            self.consumer.resume(self.where)
        if is_control(records[0]):
            self._told(await self._patiently(lambda: self.batches.activate(self.claim, records[0])))
            self._behind = True
        else:
            self._told(await self._patiently(lambda: self.batches.apply(self.claim, records)))
        self.arrival_ms = max(self.arrival_ms, max(record.arrival_ms for record in records))
        self.next_offset = records[-1].offset + 1
        self._busy = False

    def _next_records(self) -> list[Record]:
        """A control record by itself, or the records in front of the next one."""
        first = self._queue.popleft()
        records = [first]
        if is_control(first):
            return records
        while self._queue and len(records) < self.limits.records and not is_control(self._queue[0]):
            records.append(self._queue.popleft())
        return records

    async def _sweep(self) -> None:
        """Some of the customers who have not met what was published: few at a time, for events go on meanwhile."""
        if not await self._is_my_turn():
            return
        try:
            written = await self._patiently(lambda: self.batches.sweep(self.claim, _SWEPT_AT_ONCE))
        finally:
            self._place.done()
        self._behind = written is not None
        if written is not None:
            self._told(written)
            self._first_ripe_ms = await self._patiently(self._read_first_ripe)

    async def _fire(self, until_ms: int) -> None:
        if not await self._is_my_turn():
            return
        try:
            written = await self._patiently(lambda: self.batches.fire(self.claim, until_ms, self.limits.timers))
        finally:
            self._place.done()
        self._told(written)
        self._first_ripe_ms = await self._patiently(self._read_first_ripe)

    async def _is_my_turn(self) -> bool:
        """Whether the turn for what can wait has come. Not when records are there first, unless it was passed over for
        records before; the place in line is kept."""
        if self._stopping:
            return False
        if self._queue and not self._place.is_overdue:
            self._place.keep()
            return False
        return await self._place.reached()

    async def _fire_if_caught_up(self) -> bool:
        """Whether timers went off, or records came in while asking."""
        if self._first_ripe_ms > self.now_ms() - CLOCK_MARGIN_MS:
            return False
        until_ms = await caught_up_watermark(self.consumer, self.where, self.idle, self.now_ms)
        if until_ms is None or until_ms < self._first_ripe_ms:
            return bool(self._queue)
        await self._fire(until_ms)
        return True

    def idle(self) -> bool:
        """Whether all records that were offered are applied."""
        return not self._queue and not self._busy

    async def _rest(self) -> None:
        """Until records come, a timer may be ripe, or the log may answer again."""
        ahead = (self._first_ripe_ms + CLOCK_MARGIN_MS - self.now_ms()) / 1000
        seconds = min(max(ahead, _ASK_AGAIN_SECONDS), 60.0)
        self._wake.clear()
        if self._queue or self._stopping:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _told(self, written: Written) -> None:
        """Hand over what was written to whoever works on it."""
        for topic, relay in self.relays.items():
            if written.unheard:
                relay.look()
            elif rows := [waiting for to, waiting in written.outgoing if to is topic]:
                relay.offer(rows)
        if written.ripe_ms is not None:
            self._first_ripe_ms = min(self._first_ripe_ms, written.ripe_ms)

    async def _read_first_ripe(self) -> int:
        async with self.batches.database.reading() as transaction:
            first = await customers.first_ripe_ms(transaction, self.claim.partition)
        return _NEVER if first is None else first

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Wait out a database that is away or busy: the partition's records wait too, nothing is set aside for it."""
        return await patiently(call, "engine waits for the database")
