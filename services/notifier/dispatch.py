"""The dispatcher: wakes when something was planned or is due, claims, sends outside any transaction, records in bulk.

Each endpoint has room for a few deliveries at once and is asked only for so many, so one that never answers holds up
nobody and its backlog stays in the database. Polling is the fallback, for what other processes planned.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.notifier.claiming import Claimer
from services.notifier.domain.delivery import Attempted, CompletedDispatch, PendingDispatch
from services.notifier.recording import Recorder
from shared.errors import Transient
from shared.telemetry import metrics
from shared.telemetry.logging import logger

POLL_SECONDS = 1.0
_MOST_PER_CLAIM = 100
_MOST_PER_RECORD = 200
_BACKOFF_SECONDS = 0.5

_log = logger(__name__)


class Send(Protocol):
    """Makes one attempt; never raises for what the other side does."""

    async def __call__(self, pending: PendingDispatch) -> Attempted: ...


@dataclass(frozen=True, slots=True)
class Room:
    """How many deliveries may be under way: in all, and to one endpoint."""

    total: int
    per_endpoint: int


@dataclass(slots=True)
class Dispatcher:
    """One per process. `wake` may be set from anywhere in the loop's thread."""

    claimer: Claimer
    recorder: Recorder
    send: Send
    room: Room
    clock: Callable[[], int]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _under_way: Counter[str] = field(default_factory=Counter)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _completed: asyncio.Queue[CompletedDispatch] = field(default_factory=asyncio.Queue)

    async def run(self, stopping: asyncio.Event) -> None:
        """Dispatch until `stopping`; then finish what is under way and record it."""
        recording = asyncio.create_task(self._record_forever())
        try:
            while not stopping.is_set():
                self.wake.clear()
                await self._turn(stopping)
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self._completed.join()
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)

    async def _turn(self, stopping: asyncio.Event) -> None:
        try:
            waiting_ms = await self._claim_all()
        except Transient as error:
            _log.warning("dispatch_waits", detail=str(error))
            await asyncio.sleep(_BACKOFF_SECONDS)
            return
        if waiting_ms and not stopping.is_set():
            await self._sleep(stopping, waiting_ms / 1000)

    async def _claim_all(self) -> int:
        """Claim and start what there is room for; gives how long there is nothing to do, in milliseconds."""
        due = await self.claimer.next_due()
        now_ms = self.clock()
        room = self._room([endpoint for endpoint, due_ms in due.items() if due_ms <= now_ms])
        pending = await self.claimer.claim(room) if room else ()
        for one in pending:
            self._start(one)
        if pending:
            return 0
        later = [due_ms - now_ms for due_ms in due.values() if due_ms > now_ms]
        return max(1, min([*later, round(POLL_SECONDS * 1000)]))

    def _room(self, ready: Sequence[str]) -> dict[str, int]:
        """How much to ask of each endpoint: fair shares of what is free, never more than an endpoint may have."""
        free = min(self.room.total - sum(self._under_way.values()), _MOST_PER_CLAIM)
        wanted = {one: self.room.per_endpoint - self._under_way[one] for one in ready}
        room: dict[str, int] = {}
        # The least busy first: who has nothing under way is served before who has some.
        for endpoint in sorted(wanted, key=lambda one: self._under_way[one]):
            share = min(wanted[endpoint], free)
            if share > 0:
                room[endpoint] = share
                free -= share
        return room

    def _start(self, pending: PendingDispatch) -> None:
        self._under_way[pending.planned.endpoint] += 1
        task = asyncio.create_task(self._attempt(pending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, pending: PendingDispatch) -> None:
        endpoint = pending.planned.endpoint
        try:
            self._completed.put_nowait(CompletedDispatch(pending, await self.send(pending)))
        finally:
            self._under_way[endpoint] -= 1
            if not self._under_way[endpoint]:
                del self._under_way[endpoint]
            self.wake.set()

    async def _record_forever(self) -> None:
        while True:
            batch = [await self._completed.get()]
            while len(batch) < _MOST_PER_RECORD and not self._completed.empty():
                batch.append(self._completed.get_nowait())
            await self._record(batch)
            for _ in batch:
                self._completed.task_done()

    async def _record(self, batch: Sequence[CompletedDispatch]) -> None:
        """Record, however long the database is away; a lease that ends meanwhile makes another send again."""
        while True:
            try:
                return await self.recorder.record(batch)
            except Transient as error:
                _log.warning("recording_waits", detail=str(error))
                await asyncio.sleep(_BACKOFF_SECONDS)

    async def _sleep(self, stopping: asyncio.Event, seconds: float) -> None:
        waits = [asyncio.create_task(self.wake.wait()), asyncio.create_task(stopping.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()

    def observe(self) -> None:
        """Tell the metrics how much is under way."""
        metrics.DELIVERIES_DUE.set(sum(self._under_way.values()))
