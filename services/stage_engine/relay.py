"""Carries a partition's outbox to the log: read, append, forget. At least once; readers drop by id and sequence.

Stage changes and dead letters are only ever appended, so a zombie's late copy does no harm. The compacted topic is
different: a late append of an old snapshot would stay for ever. It goes through a fenced producer under the
partition's name, so that taking over shuts the zombie out in the log itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
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
    """For the compacted topic; opened at first need, and anew after a failure whose outcome is unknown."""

    log: Log
    topic: Topic
    partition: int
    _producer: FencedProducer | None = None

    async def carry(self, messages: Sequence[Message]) -> None:
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
    """The loop for one topic of one owned partition."""

    database: Database
    claim: Claim
    topic: Topic
    carrier: Carrier
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False

    def wake(self) -> None:
        """Something was committed to the outbox."""
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
                await self._wake.wait()
                self._wake.clear()
                try:
                    while await self._relay_some():
                        backoff.reset()
                except Transient as error:
                    _log.warning("relay waits", topic=self.topic, partition=self.claim.partition, why=str(error))
                    self._wake.set()
                    if self._stopping:
                        return
                    await backoff.wait()
                    continue
                if self._stopping and not self._wake.is_set():
                    return
        finally:
            await self.carrier.close()

    async def _relay_some(self) -> bool:
        """One batch; whether there may be more."""
        async with self.database.reading() as transaction:
            waiting = await outbox.waiting(transaction, self.topic, self.claim.partition, _BATCH)
        if not waiting:
            return False
        await self.carrier.carry([_message(self.topic, each) for each in waiting])
        async with self.database.transaction() as transaction:
            await progress.lock(transaction, self.claim)
            await outbox.relayed(transaction, self.claim, self.topic, waiting[-1].position)
        return len(waiting) == _BATCH


def _message(topic: Topic, waiting: Waiting) -> Message:
    return Message(waiting.key, waiting.value, headers(_TYPES[topic], waiting.traceparent))
