"""Carries a partition's outbox to the log: read, append, forget. At least once; readers drop by id and sequence.

Stage changes and dead letters are only ever appended, so a zombie's late copy does no harm. The compacted topic is
different: a late append of an old snapshot would stay for ever. It goes through a fenced producer under the
partition's name, so that taking over shuts the zombie out in the log itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

import structlog

from services.stage_engine.store import outbox, progress
from services.stage_engine.store.outbox import Waiting
from services.stage_engine.store.progress import Claim
from shared.backoff import Backoff
from shared.contracts.cloudevent import headers
from shared.contracts.customer_updated import CUSTOMER_UPDATED_TYPE
from shared.contracts.dead_letters import DEAD_LETTER_TYPE
from shared.contracts.stage_changed import STAGE_CHANGED_TYPE
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.errors import Transient
from shared.log.port import FencedProducer, Log, Message, Producer

_BATCH = 1_000
_MOST_QUEUED = 10_000
_FORGET_SECONDS = 2.0
_TYPES = {
    Topic.STAGE_CHANGED: STAGE_CHANGED_TYPE,
    Topic.CUSTOMER_UPDATED: CUSTOMER_UPDATED_TYPE,
    Topic.DEAD_LETTERS: DEAD_LETTER_TYPE,
}
RELAYED_TOPICS = tuple(_TYPES)
_log = structlog.get_logger(__name__)


class Carrier(Protocol):
    """How messages get to one partition of a topic."""

    async def carry(self, messages: Sequence[Message]) -> None:
        """Append in order; durable on return. Raises Transient, Fenced."""
        ...

    async def close(self) -> None:
        """Release what was opened."""
        ...


@dataclass(frozen=True, slots=True)
class PlainCarrier:
    """For topics that are only appended to; shares the process's producer."""

    producer: Producer
    topic: Topic
    partition: int

    async def carry(self, messages: Sequence[Message]) -> None:
        await self.producer.append_to(self.topic, self.partition, messages)

    async def close(self) -> None:
        return


@dataclass(slots=True)
class FencedCarrier:
    """For the compacted topic; opened at first need, and anew after a failure whose outcome is unknown. Of several
    versions of one customer only the last is appended: the topic would forget the others anyway."""

    log: Log
    topic: Topic
    partition: int
    _producer: FencedProducer | None = None

    async def carry(self, messages: Sequence[Message]) -> None:
        messages = list({message.key: message for message in messages}.values())
        if self._producer is None:
            self._producer = await self.log.fenced_producer(f"jornada-engine-{self.partition}")
        try:
            await self._producer.append_to(self.topic, self.partition, messages)
        except Transient:
            await self.close()
            raise

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close()


@dataclass(slots=True)
class Relay:
    """The loop for one topic of one owned partition.

    What this process writes to the outbox is handed over in memory; the table is read at the start, and whenever the
    handing over may have missed something. Rows are deleted a little later, many at once: until then a crash only
    means that they are appended again.
    """

    database: Database
    claim: Claim
    topic: Topic
    carrier: Carrier
    linger_seconds: float = 0.0
    """How long to let records gather before they are appended."""
    _queue: deque[Waiting] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _read_table: bool = True
    _appended: int = 0
    _forgotten: int = 0
    _forgot_at: float = 0.0
    _stopping: bool = False

    def offer(self, rows: Sequence[Waiting]) -> None:
        """Take over what was just committed to the outbox, in order of position."""
        if len(self._queue) < _MOST_QUEUED:
            self._queue.extend(rows)
            self._wake.set()
        else:
            self.look()

    def backlog(self) -> int:
        """Records that were handed over and not appended yet."""
        return len(self._queue)

    def look(self) -> None:
        """Something may be in the table that was not handed over."""
        self._queue.clear()
        self._read_table = True
        self._wake.set()

    def stop(self) -> None:
        """Finish what is waiting, then return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Relay until stopped. Raises OwnershipLost and Fenced when another engine has taken over."""
        backoff = Backoff()
        self._wake.set()
        try:
            while True:
                await self._rest()
                try:
                    await self.relay_waiting()
                    backoff.reset()
                except Transient as error:
                    _log.warning("relay waits", topic=self.topic, partition=self.claim.partition, why=str(error))
                    self.look()
                    if self._stopping:
                        return
                    await backoff.wait()
                    continue
                if self._stopping and not self._wake.is_set():
                    return
        finally:
            await self.carrier.close()

    async def _rest(self) -> None:
        """Until there is something to append, or it is time to forget what was appended."""
        seconds = _FORGET_SECONDS if self._appended > self._forgotten else None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        if self.linger_seconds and self._wake.is_set() and not self._stopping:
            await asyncio.sleep(self.linger_seconds)
        self._wake.clear()

    async def relay_waiting(self) -> None:
        """Append all that waits now. Raises Transient, OwnershipLost, Fenced."""
        while rows := await self._next():
            await self.carrier.carry([_message(self.topic, each) for each in rows])
            self._appended = rows[-1].position
        if self._appended > self._forgotten and (self._stopping or monotonic() - self._forgot_at >= _FORGET_SECONDS):
            await self._forget()

    async def _next(self) -> list[Waiting]:
        if self._read_table:
            # Before reading: what is committed from now on is handed over, and told apart by its position.
            self._read_table = False
            async with self.database.reading() as transaction:
                place = outbox.Place(self.topic, self.claim.partition, self._appended)
                rows = await outbox.waiting(transaction, place, _BATCH)
            self._read_table |= len(rows) == _BATCH
            if rows:
                return rows
        while self._queue and self._queue[0].position <= self._appended:
            self._queue.popleft()
        return [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH))]

    async def _forget(self) -> None:
        async with self.database.transaction() as transaction:
            await progress.lock(transaction, self.claim)
            await outbox.relayed(transaction, self.claim, self.topic, self._appended)
        self._forgotten, self._forgot_at = self._appended, monotonic()


def _message(topic: Topic, waiting: Waiting) -> Message:
    return Message(waiting.key, waiting.value, headers(_TYPES[topic], waiting.traceparent))
