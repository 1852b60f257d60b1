"""The engine as a service: joins the group, hands records to the partitions it owns, stops without losing anything."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

import structlog
from fastapi import APIRouter

from services.stage_engine.api.customers import customers_router
from services.stage_engine.api.desk import CheckCampaigns, no_campaigns
from services.stage_engine.api.lifecycle_routers import lifecycle_routers
from services.stage_engine.api.moves import moves_router
from services.stage_engine.batches.batch import Batches
from services.stage_engine.default_lifecycle import check_default
from services.stage_engine.definitions.registering import check_none_is_dropped, register
from services.stage_engine.lag import LagObserver
from services.stage_engine.ownership import OwnedPartition, Workshop
from services.stage_engine.partition import Limits, PartitionWorker
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.simulating.story import ReadStory
from services.stage_engine.trimming import keep_trimming
from shared.auth.tenants import Tenants
from shared.backoff import patiently
from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.errors import Transient
from shared.log.port import Consumer, Membership, TopicPartition
from shared.service import Check, Resources, check_servers
from shared.telemetry.metrics import PARTITIONS_OWNED

GROUP = "jornada-engine"
_FETCH_TIMEOUT_MS = 200
_STUCK_SECONDS = 60.0
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class StageEngine:
    """One engine process's part of the partitions; any number of engines share them."""

    resources: Resources
    name: str = "engine"
    read_story: ReadStory | None = None
    check_campaigns: CheckCampaigns = no_campaigns
    _owned: dict[TopicPartition, OwnedPartition] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _workers: dict[TopicPartition, PartitionWorker] = field(default_factory=dict)
    _seeks: list[tuple[PartitionWorker, int]] = field(default_factory=list)
    _workshop: Workshop | None = None
    _observer: LagObserver | None = None
    _last_fetch: float = field(default_factory=monotonic)

    def routers(self) -> Sequence[APIRouter]:
        return [
            customers_router(self.resources),
            moves_router(self.resources, lambda: self._workshop.producer if self._workshop else None),
            *lifecycle_routers(self.resources, self.read_story, self.check_campaigns),
        ]

    def alive(self) -> bool:
        """The fetch loop turns; a client that got stuck (it happens after broker restarts) needs a new process."""
        turning = monotonic() - self._last_fetch < _STUCK_SECONDS
        return turning and not (self._observer and self._observer.stuck())

    async def checks(self) -> Sequence[Check]:
        return [*await check_servers(self.resources), self._own_check()]

    def _own_check(self) -> Check:
        if self._workshop is None:
            return Check("engine", ok=False, detail="starting: waiting for the database and the log")
        halted = [owned.halted for owned in self._owned.values() if owned.halted]
        return Check("engine", ok=not halted, detail="; ".join(halted) or f"{len(self._owned)} partitions owned")

    async def run(self, stopping: asyncio.Event) -> None:
        starting = asyncio.create_task(self._start())
        asked = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await self._work(stopping)
        finally:
            for task in (starting, asked):
                task.cancel()
            await asyncio.gather(starting, asked, return_exceptions=True)
            await self._release()

    async def _start(self) -> None:
        """Register the lifecycles and join the group, however long the servers are away."""
        settings, database, log = self.resources.settings, self.resources.database, self.resources.log
        definitions = await self._patiently(lambda: register(database, settings.lifecycles, now_ms()))
        names = [name for name, _ in definitions]
        check_default(settings, names)
        await self._patiently(lambda: check_none_is_dropped(database, names, settings.retired_lifecycles))
        rulebook = RuleBook(definitions, Tenants(database), settings.default_currency)
        partitions = await self._patiently(lambda: log.partitions(Topic.EVENTS))
        producer = await self._patiently(log.producer)
        consumer = log.consumer(self._membership())
        settle_ms = int(settings.backfill_settle_seconds * 1000)
        self._workshop = Workshop(
            owner=f"{socket.gethostname()}:{os.getpid()}",
            log=log,
            consumer=consumer,
            producer=producer,
            batches=Batches(database, rulebook, partitions, settle_ms),
            limits=Limits(settings.batch_records, settings.timers_batch),
            now_ms=now_ms,
        )
        await self._patiently(consumer.start)

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        return await patiently(call, "engine waits to start", self._is_alive)

    def _is_alive(self) -> None:
        self._last_fetch = monotonic()

    async def _work(self, stopping: asyncio.Event) -> None:
        workshop = self._workshop
        assert workshop is not None
        self._observer = LagObserver(workshop.consumer, self.resources.database, lambda: self._workers)
        background = [
            asyncio.create_task(self._observer.run()),
            asyncio.create_task(keep_trimming(self.resources, workshop.batches, self._claims)),
        ]
        try:
            await self._fetch_until(stopping, workshop.consumer)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    def _membership(self) -> Membership:
        timeout_ms = self.resources.settings.session_timeout_ms
        return Membership(GROUP, (Topic.EVENTS,), self._on_assigned, self._on_revoked, timeout_ms)

    async def _fetch_until(self, stopping: asyncio.Event, consumer: Consumer) -> None:
        most = 4 * self.resources.settings.batch_records
        while not stopping.is_set():
            await self._do_seeks(consumer)
            try:
                fetched = await consumer.fetch(most, _FETCH_TIMEOUT_MS)
            except Transient as error:
                _log.warning("engine waits for the log", why=str(error))
                self._is_alive()
                await asyncio.sleep(1)
                continue
            self._is_alive()
            for where, records in fetched.items():
                if (worker := self._workers.get(where)) is not None:
                    worker.offer(records)
            for task in [task for task in self._tasks if task.done()]:
                self._tasks.discard(task)
                task.result()

    async def _do_seeks(self, consumer: Consumer) -> None:
        """Position the consumer for new workers. Between fetches only: what a fetch begun before a seek brings belongs
        to the position before it, and must not reach the new worker."""
        while self._seeks:
            worker, offset = self._seeks.pop(0)
            owned = self._owned.get(worker.where)
            if owned is None or worker.where not in consumer.assigned():
                continue
            await consumer.seek(worker.where, offset)
            self._workers[worker.where] = worker

    async def _on_assigned(self, places: frozenset[TopicPartition]) -> None:
        assert self._workshop is not None
        for where in places:
            owned = OwnedPartition(where, self._workshop, self._ask_seek)
            self._owned[where] = owned
            self._tasks.add(asyncio.create_task(owned.run()))
        PARTITIONS_OWNED.labels(self.name).set(len(self._owned))

    async def _on_revoked(self, places: frozenset[TopicPartition]) -> None:
        for where in places:
            self._workers.pop(where, None)
            if (owned := self._owned.pop(where, None)) is not None:
                owned.revoke()
        PARTITIONS_OWNED.labels(self.name).set(len(self._owned))

    def _ask_seek(self, worker: PartitionWorker, offset: int) -> None:
        self._workers.pop(worker.where, None)
        self._seeks.append((worker, offset))

    def _claims(self) -> list[PartitionWorker]:
        """The workers that hold claims now."""
        return list(self._workers.values())

    async def _release(self) -> None:
        """Finish batches under way and relay what they wrote, then leave the group so that others go on at once."""
        if self._workshop is None:
            return
        await self._on_revoked(frozenset(self._owned))
        if self._tasks:
            half = self.resources.settings.stop_timeout_seconds / 2
            _, late = await asyncio.wait(self._tasks, timeout=half)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._workshop.consumer.close()
        await self._workshop.producer.close()
