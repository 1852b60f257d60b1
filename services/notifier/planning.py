"""The poll loop: owns partitions, hands what comes to `batch`, and never sends anything itself.

Owning a partition here means holding the newest epoch of its progress row; what the log believes only says whose turn
it is to claim. A batch that fails for a passing reason is forgotten and read again from its first record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.notifier.batch import Batcher
from services.notifier.store import progress
from services.notifier.store.progress import Claim
from shared.contracts.topics import Topic
from shared.errors import Permanent, Transient
from shared.log.port import Consumer, Log, Membership, Record, TopicPartition
from shared.telemetry import metrics
from shared.telemetry.logging import logger

GROUP = "jornada-notifier"
TOPICS = (Topic.STAGE_CHANGED, Topic.CUSTOMER_UPDATED)
MOST_RECORDS = 500
FETCH_MS = 250
SERVICE = "notifier"
_GATHER_SECONDS = 0.01
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0

_log = logger(__name__)

Batch = Mapping[TopicPartition, Sequence[Record]]


class TakenOver(Transient):
    """Another process has claimed these partitions; if they are still assigned to us, we claim them back later."""


@dataclass(slots=True)
class Planning:
    """One member of the group. `halted` names partitions that wait for a person, with what to do."""

    log: Log
    batcher: Batcher
    session_timeout_ms: int
    halted: dict[TopicPartition, str] = field(default_factory=dict)
    beat_at: float = field(default_factory=time.monotonic)
    consumer: Consumer | None = None
    arrivals: dict[TopicPartition, int] = field(default_factory=dict)
    """When the last record that was handled had come to the log, milliseconds."""
    _claims: dict[TopicPartition, Claim] = field(default_factory=dict)
    _assigned: set[TopicPartition] = field(default_factory=set)
    _backoff: float = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Plan until `stopping`; then leave the group at once, so that another takes over."""
        consumer = self.consumer = self.log.consumer(
            Membership(GROUP, TOPICS, self._on_assigned, self._on_revoked, self.session_timeout_ms)
        )
        await self._start(consumer, stopping)
        try:
            while not stopping.is_set():
                self.beat_at = time.monotonic()
                await self._turn(consumer, stopping)
        finally:
            self.consumer = None
            await consumer.close()

    def claimed(self) -> frozenset[TopicPartition]:
        """The partitions that this process plans for now."""
        return frozenset(self._claims)

    async def _start(self, consumer: Consumer, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            self.beat_at = time.monotonic()
            try:
                # Offsets count in one log only, so a claim says in which.
                claimant = replace(self.batcher.claimant, log_id=await self.log.identity())
                self.batcher = replace(self.batcher, claimant=claimant)
                await consumer.start()
                return
            except Transient as error:
                await self._wait(stopping, error)

    async def _turn(self, consumer: Consumer, stopping: asyncio.Event) -> None:
        batch: Batch = {}
        try:
            await self._claim_new(consumer, stopping)
            batch = await consumer.fetch(MOST_RECORDS, FETCH_MS)
            batch = {where: records for where, records in batch.items() if where in self._claims and records}
            if batch:
                await self._handle(batch)
                # Records come in bursts, and a transaction costs the same for one as for many. The first of a burst
                # waits for nobody.
                await asyncio.sleep(_GATHER_SECONDS)
            self._backoff = 0.0
        except Transient as error:
            self._forget(batch)
            await self._wait(stopping, error)

    async def _claim_new(self, consumer: Consumer, stopping: asyncio.Event) -> None:
        """Claim what was assigned and is not claimed yet: at the start, after a rebalance, after losing an epoch.

        All ends are asked for together, and before the first seek: Kafka answers a connection's questions in order, so
        each one asked later would stand behind a fetch that waits for records, half a second for every partition.
        """
        claims: dict[TopicPartition, Claim] = {}
        for where in sorted(self._assigned - set(self._claims) - set(self.halted)):
            if stopping.is_set():
                return
            try:
                async with self.batcher.database.transaction() as tx:
                    claims[where] = await progress.claim(tx, where, self.batcher.claimant)
            except Permanent as error:
                self._halt(where, str(error))
        ends = await asyncio.gather(*(consumer.end_offset(where) for where in claims))
        for (where, claim), end in zip(claims.items(), ends, strict=True):
            if claim.next_offset > end:
                self._halt(where, _beyond_the_end(where, claim, end))
            elif where in self._assigned:
                self._claims[where] = claim
                await consumer.seek(where, claim.next_offset)
        metrics.PARTITIONS_OWNED.labels(SERVICE).set(len(self._claims))

    def _halt(self, where: TopicPartition, why: str) -> None:
        self.halted[where] = why
        _log.error("partition_halted", topic=where.topic, partition=where.partition, detail=why)

    async def _handle(self, batch: Batch) -> None:
        started = time.monotonic()
        try:
            # A copy: the log's own machinery may take a partition away meanwhile.
            lost = await self.batcher.handle(dict(self._claims), batch)
        except Permanent as error:
            _log.warning("batch_refused", detail=str(error), records=sum(map(len, batch.values())))
            lost = await self._one_by_one(batch)
        metrics.BATCH_RECORDS.labels(SERVICE).observe(sum(map(len, batch.values())))
        metrics.BATCH_PHASE_SECONDS.labels(SERVICE, metrics.Phase.COMMIT).observe(time.monotonic() - started)
        self.arrivals |= {where: records[-1].arrival_ms for where, records in batch.items() if where not in lost}
        if lost:
            raise TakenOver(", ".join(f"{where.topic}/{where.partition}" for where in sorted(lost)))

    async def _one_by_one(self, batch: Batch) -> frozenset[TopicPartition]:
        """Find the record that can't be written about, set it aside, and keep the others."""
        claims = dict(self._claims)
        lost: frozenset[TopicPartition] = frozenset()
        for where, records in batch.items():
            for record in records:
                try:
                    lost |= await self.batcher.handle(claims, {where: [record]})
                except Permanent as error:
                    await self.batcher.set_aside(claims, record, str(error))
        return lost

    def _forget(self, batch: Batch) -> None:
        """Claim these partitions again, which seeks back to what was committed."""
        for where in batch:
            self._claims.pop(where, None)

    async def _wait(self, stopping: asyncio.Event, error: Transient) -> None:
        self._backoff = min(max(self._backoff * 2, _FIRST_BACKOFF_SECONDS), _LONGEST_BACKOFF_SECONDS)
        _log.warning("planning_waits", detail=str(error), seconds=self._backoff)
        try:
            async with asyncio.timeout(self._backoff):
                await stopping.wait()
        except TimeoutError:
            return

    async def _on_assigned(self, gained: frozenset[TopicPartition]) -> None:
        self._assigned |= gained
        for where in gained:
            self._claims.pop(where, None)

    async def _on_revoked(self, lost: frozenset[TopicPartition]) -> None:
        self._assigned -= lost
        for where in lost:
            self._claims.pop(where, None)
            self.halted.pop(where, None)
            self.arrivals.pop(where, None)


def _beyond_the_end(where: TopicPartition, claim: Claim, end: int) -> str:
    return (
        f"{where.topic} partition {where.partition} was read to offset {claim.next_offset}, but the log ends at "
        f"{end}: records were lost or the topic was made anew. Restore the topic, or delete this partition's "
        "row in notifier_progress to read it from its start"
    )
