"""From an assigned partition to a worker under a claim, and again when the claim is lost.

Assignment is the log's opinion and may be out of date; the claim is the database's and can't be. Only a claim lets
anything be written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import structlog

from services.stage_engine.batches.batch import Batches
from services.stage_engine.partition import Limits, PartitionWorker
from services.stage_engine.relay import RELAYED_TOPICS, FencedCarrier, PlainCarrier, Relay
from services.stage_engine.store import progress
from services.stage_engine.store.progress import Claim, OwnershipLost, Progress
from shared.backoff import Backoff
from shared.contracts.topics import Topic
from shared.errors import Permanent, Transient
from shared.log.port import Consumer, Fenced, Log, Producer, TopicPartition

_LONG_SECONDS = 30.0
# A transaction in the log costs it as much as dozens of records: snapshots wait a moment for each other.
_SNAPSHOT_LINGER_SECONDS = 0.5
_log = structlog.get_logger(__name__)


class PartitionHalted(Permanent):
    """The stored progress can't belong to this log; going on would skip or repeat events. A person has to look."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every worker of this process shares."""

    owner: str
    log: Log
    consumer: Consumer
    producer: Producer
    batches: Batches
    limits: Limits
    now_ms: Callable[[], int]


Seek = Callable[[PartitionWorker, int], None]
"""Asks the fetch loop to position the consumer at an offset and to hand records to the worker from then on."""


@dataclass(slots=True)
class OwnedPartition:
    """One partition for as long as it is assigned to this process."""

    where: TopicPartition
    workshop: Workshop
    seek: Seek
    halted: str | None = None
    """Why it stands still until a person has looked; None while it works."""
    _worker: PartitionWorker | None = None
    _relays: list[Relay] = field(default_factory=list)
    _revoked: bool = False

    def revoke(self) -> None:
        """No longer ours: finish the transaction under way and stop. Quick, and never raises."""
        self._revoked = True
        if self._worker:
            self._worker.stop()

    async def run(self) -> None:
        """Claim and work, and claim again when the claim is lost while the partition is still assigned."""
        backoff = Backoff()
        while not self._revoked:
            started = monotonic()
            try:
                await self._own_once()
            except PartitionHalted as error:
                self.halted = str(error)
                _log.error("partition halted", partition=self.where.partition, why=str(error))
                return
            except (OwnershipLost, Fenced) as error:
                _log.warning("partition lost", partition=self.where.partition, why=str(error))
            except Transient as error:
                _log.warning("partition waits", partition=self.where.partition, why=str(error))
            if monotonic() - started > _LONG_SECONDS:
                backoff.reset()
            if not self._revoked:
                await backoff.wait()

    async def _own_once(self) -> None:
        shop, partition = self.workshop, self.where.partition
        identity = await shop.log.identity()
        claim, at = await progress.claim(shop.batches.database, partition, shop.owner, identity)
        await self._check(at, identity)
        relays = {topic: self.relay_for(claim, topic) for topic in RELAYED_TOPICS}
        worker = self._worker = PartitionWorker(
            where=self.where,
            claim=claim,
            batches=shop.batches,
            consumer=shop.consumer,
            relays=relays,
            limits=shop.limits,
            now_ms=shop.now_ms,
            arrival_ms=at.arrival_ms,
            next_offset=at.next_offset,
        )
        _log.info("partition claimed", partition=partition, epoch=claim.epoch, next_offset=at.next_offset)
        self.seek(worker, at.next_offset)
        await _run_together(worker, list(relays.values()))

    async def _check(self, at: Progress, identity: str) -> None:
        if at.log_identity != identity:
            raise PartitionHalted(
                f"progress was recorded for the log {at.log_identity}, but this is {identity}. Point the service at the "
                "former log; this database belongs to it"
            )
        end = await self.workshop.consumer.end_offset(self.where)
        if at.next_offset > end:
            raise PartitionHalted(
                f"progress is at offset {at.next_offset}, but the log ends at {end}: the log has lost records or was "
                "made anew. Restore it, or post the missing events again under their ids"
            )

    def relay_for(self, claim: Claim, topic: Topic) -> Relay:
        """The relay of one topic, with the carrier that fits it."""
        shop, partition = self.workshop, self.where.partition
        if topic is Topic.CUSTOMER_UPDATED:
            fenced = FencedCarrier(shop.log, topic, partition)
            return Relay(shop.batches.database, claim, topic, fenced, _SNAPSHOT_LINGER_SECONDS)
        return Relay(shop.batches.database, claim, topic, PlainCarrier(shop.producer, topic, partition))


async def _run_together(worker: PartitionWorker, relays: list[Relay]) -> None:
    """Until the worker stops; then the relays finish what it wrote. The first failure ends them all."""
    relaying = [asyncio.create_task(relay.run()) for relay in relays]
    working = asyncio.create_task(worker.run())
    try:
        await asyncio.wait({working, *relaying}, return_when=asyncio.FIRST_COMPLETED)
        for relay in relays:
            relay.stop()
        worker.stop()
        await asyncio.gather(working, *relaying)
    finally:
        for task in (working, *relaying):
            task.cancel()
        await asyncio.gather(working, *relaying, return_exceptions=True)
