"""The dispatcher: wakes when something was planned or is due, claims, sends outside any transaction, records in bulk.

Each endpoint has room for a few attempts at once, and only so many of its deliveries are claimed: one that never
answers holds up nobody, and its backlog stays in the database. Polling is the fallback, for what other processes planned.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.notifier.claiming import Claimer
from services.notifier.domain.delivery import Attempted, Channel, CompletedDispatch, PendingDispatch
from services.notifier.recording import Recorder
from shared.errors import Permanent, Transient
from shared.telemetry.logging import logger

POLL_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.1
"""After a claim, how soon the database is asked what comes next: not after each of many."""
_GATHER_SECONDS = 0.005
_MOST_PER_CLAIM = 100
_MOST_PER_RECORD = 200
_AHEAD = 4
_BACKOFF_SECONDS = 0.5

_log = logger(__name__)


class Send(Protocol):
    """Makes one attempt; never raises for what the other side does."""

    async def __call__(self, pending: PendingDispatch) -> Attempted: ...


@dataclass(frozen=True, slots=True)
class Room:
    """How many attempts may run at once: in all, and to one endpoint. No attempt takes longer than `longest_ms`."""

    total: int
    per_endpoint: int
    longest_ms: int

    def claimable(self, endpoint: str, *, failing: bool) -> int:
        """How many of an endpoint's deliveries may be claimed at once, running ones included.

        Webhooks are claimed ahead, so that the next is at hand when one ends. E-mails never: what is claimed no longer
        hears of a withdrawn consent. An endpoint whose last attempt failed gets one try at a time, so that many dead
        ones do not take up all there is.
        """
        if failing:
            return 1
        return self.per_endpoint if endpoint.startswith(Channel.EMAIL) else self.per_endpoint * _AHEAD


@dataclass(slots=True)
class Dispatcher:
    """One per process. `wake` may be set from anywhere in the loop's thread."""

    claimer: Claimer
    recorder: Recorder
    send: Send
    room: Room
    clock: Callable[[], int]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _due: dict[str, int] = field(default_factory=dict)
    """When endpoints may have work, as far as it is known; milliseconds."""
    _look_at: float = 0.0
    """When to ask the database, in seconds of the monotonic clock."""
    _claimed: Counter[str] = field(default_factory=Counter)
    _failing: set[str] = field(default_factory=set)
    _gates: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _everything: asyncio.Semaphore = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _completed: asyncio.Queue[CompletedDispatch] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self._everything = asyncio.Semaphore(self.room.total)

    async def run(self, stopping: asyncio.Event) -> None:
        """Dispatch until `stopping`; then finish what is under way and record it."""
        recording = asyncio.create_task(self._record_forever())
        try:
            while not stopping.is_set():
                if recording.done():
                    recording.result()
                self.wake.clear()
                await self._turn(stopping)
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks)
            if not recording.done():
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

    def announce(self, due: Mapping[str, int]) -> None:
        """Say when endpoints have something new to do (milliseconds), so that nobody needs to ask the database."""
        self._note(due)
        self.wake.set()

    def look(self) -> None:
        """Ask the database what is due: something changed there."""
        self._look_at = 0.0
        self.wake.set()

    async def _claim_all(self) -> int:
        """Claim and start what there is room for; gives how long there is nothing to do, in milliseconds."""
        if time.monotonic() >= self._look_at:
            await self._learn()
        room = self._room_for([endpoint for endpoint, due_ms in self._due.items() if due_ms <= self.clock()])
        if not room:
            return self._idle_ms()
        await self._claim(room)
        return 0

    async def _learn(self) -> None:
        """Read when each endpoint is due. What is announced meanwhile is kept: the answer may be older."""
        self._look_at, self._due = time.monotonic() + POLL_SECONDS, {}
        try:
            self._note(await self.claimer.next_due())
        except Transient:
            self._look_at = 0.0
            raise

    async def _claim(self, room: Mapping[str, int]) -> None:
        """Claim from these endpoints. One that gave all it was asked for has more; of any other it is not known."""
        for endpoint in room:
            del self._due[endpoint]
        try:
            claimed = await self.claimer.claim(room)
        except Transient:
            self._look_at = 0.0
            raise
        self._look_at = min(self._look_at, time.monotonic() + _LOOK_AGAIN_SECONDS)
        for one in claimed.pending:
            self._start(one)
        self._note({endpoint: 0 for endpoint, most in room.items() if claimed.taken.get(endpoint, 0) >= most})

    def _note(self, due: Mapping[str, int]) -> None:
        for endpoint, due_ms in due.items():
            self._due[endpoint] = min(due_ms, self._due.get(endpoint, due_ms))

    def _idle_ms(self) -> int:
        """How long until something is due or the database is to be asked; what has no room yet wakes when it has."""
        now_ms = self.clock()
        later = [due_ms - now_ms for due_ms in self._due.values() if due_ms > now_ms]
        return max(1, min([*later, round((self._look_at - time.monotonic()) * 1000)]))

    def _room_for(self, ready: Sequence[str]) -> dict[str, int]:
        """How much to ask of each endpoint; the least busy first, since one claim takes only so many."""
        free = _MOST_PER_CLAIM
        room: dict[str, int] = {}
        for endpoint in sorted(ready, key=lambda one: self._claimed[one]):
            allowed = self.room.claimable(endpoint, failing=endpoint in self._failing)
            share = min(allowed - self._claimed[endpoint], free)
            if share > 0:
                room[endpoint] = share
                free -= share
        return room

    def _start(self, pending: PendingDispatch) -> None:
        self._claimed[pending.planned.endpoint] += 1
        task = asyncio.create_task(self._take_turn(pending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_turn(self, pending: PendingDispatch) -> None:
        """Wait for a place at the endpoint, then for one in all: what waits for a slow endpoint holds no other up."""
        endpoint = pending.planned.endpoint
        gate = self._gates.setdefault(endpoint, asyncio.Semaphore(self.room.per_endpoint))
        try:
            async with gate, self._everything:
                # Too late to end within the lease: leave it, it becomes due again when the lease ends.
                if self.clock() + self.room.longest_ms <= pending.lease_until_ms:
                    attempted = await self._attempt(pending)
                    self._completed.put_nowait(CompletedDispatch(pending, attempted))
        finally:
            self._claimed[endpoint] -= 1
            if not self._claimed[endpoint]:
                del self._claimed[endpoint]
                self._gates.pop(endpoint, None)
            self.wake.set()

    async def _attempt(self, pending: PendingDispatch) -> Attempted:
        started_ms = self.clock()
        try:
            attempted = await self.send(pending)
        except (
            Exception
        ) as error:  # the loop's edge: a fault of ours counts as an attempt, or it would come back for ever
            _log.exception("attempt_failed", delivery=pending.planned.id)
            return Attempted(False, started_ms, self.clock() - started_ms, error=type(error).__name__)
        mark = self._failing.discard if attempted.ok or attempted.permanent else self._failing.add
        mark(pending.planned.endpoint)
        return attempted

    async def _record_forever(self) -> None:
        while True:
            batch = [await self._completed.get()]
            if self._tasks:
                # Attempts end in bursts, and one transaction for several is worth the wait.
                await asyncio.sleep(_GATHER_SECONDS)
            while len(batch) < _MOST_PER_RECORD and not self._completed.empty():
                batch.append(self._completed.get_nowait())
            await self._record(batch)
            for _ in batch:
                self._completed.task_done()

    async def _record(self, batch: Sequence[CompletedDispatch]) -> None:
        """Record, however long the database is away; a lease that ends meanwhile makes another send again."""
        while True:
            try:
                await self.recorder.record(batch)
                return
            except Transient as error:
                _log.warning("recording_waits", detail=str(error))
                await asyncio.sleep(_BACKOFF_SECONDS)
            except Permanent as error:
                await self._record_apart(batch, error)
                return

    async def _record_apart(self, batch: Sequence[CompletedDispatch], error: Permanent) -> None:
        """Find the attempt that can't be recorded; its lease ends, and it will be made again."""
        if len(batch) == 1:
            _log.error("attempt_not_recorded", delivery=batch[0].pending.planned.id, detail=str(error))
            return
        for one in batch:
            await self._record([one])

    async def _sleep(self, stopping: asyncio.Event, seconds: float) -> None:
        waits = [asyncio.create_task(self.wake.wait()), asyncio.create_task(stopping.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
