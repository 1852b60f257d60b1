"""How far behind this engine is: asked every few seconds, for metrics, for lag tools, and to notice a stuck consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from services.stage_engine.batches.phases import SERVICE
from services.stage_engine.partition import PartitionWorker
from services.stage_engine.store import customers
from shared.contracts.times import now_ms
from shared.db.port import Database
from shared.errors import Transient
from shared.log.port import Consumer, TopicPartition
from shared.telemetry.metrics import LAG_RECORDS, LAG_SECONDS, OUTBOX_WAITING, TIMERS_DUE, TIMERS_OLDEST_SECONDS

STUCK_SECONDS = 60.0
_EVERY_SECONDS = 5.0
_COUNTED = 100_000

Workers = Callable[[], Mapping[TopicPartition, PartitionWorker]]


@dataclass(slots=True)
class LagObserver:
    """Watches the partitions of one engine."""

    consumer: Consumer
    database: Database
    workers: Workers
    _idle_at: dict[TopicPartition, tuple[int, float]] = field(default_factory=dict)
    """Where a partition was when it was first seen behind with nothing to do, and since when."""

    def stuck(self) -> bool:
        """Whether, for a minute, this engine has had no place among the others, or some partition has had records to
        fetch and got none: clients are known to hang so after a broker's restart, and only a new process helps."""
        outside = self.consumer.stuck_seconds() > STUCK_SECONDS
        return outside or any(monotonic() - since > STUCK_SECONDS for _, since in self._idle_at.values())

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            # Whoever works on a partition reports what is away; a figure may be old for a while.
            with suppress(Transient):
                workers = dict(self.workers())
                # All at once: the log may answer each question only after a fetch that waits for records.
                await asyncio.gather(*(self._observe(where, worker) for where, worker in workers.items()))
                await self.consumer.tell_progress({where: worker.next_offset for where, worker in workers.items()})
                OUTBOX_WAITING.set(sum(relay.backlog() for each in workers.values() for relay in each.relays.values()))
                await self._observe_timers(workers)
            await asyncio.sleep(_EVERY_SECONDS)

    async def _observe(self, where: TopicPartition, worker: PartitionWorker) -> None:
        end, position = await self.consumer.end_offset(where), await self.consumer.position(where)
        behind = max(end - worker.next_offset, 0)
        labels = (SERVICE, where.topic, str(where.partition))
        LAG_RECORDS.labels(*labels).set(behind)
        LAG_SECONDS.labels(*labels).set((now_ms() - worker.arrival_ms) / 1000 if behind and worker.arrival_ms else 0)
        waiting = end > position and worker.idle()
        if not waiting:
            self._idle_at.pop(where, None)
        elif self._idle_at.get(where, (-1, 0.0))[0] != position:
            self._idle_at[where] = (position, monotonic())

    async def _observe_timers(self, workers: Mapping[TopicPartition, PartitionWorker]) -> None:
        now = now_ms()
        partitions = [where.partition for where in workers]
        async with self.database.reading() as transaction:
            count, oldest = await customers.ripe_timers(transaction, partitions, now, _COUNTED)
        TIMERS_DUE.set(count)
        TIMERS_OLDEST_SECONDS.set(0 if oldest is None else (now - oldest) / 1000)
