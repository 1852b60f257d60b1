"""Publishes the outbox: appends, then deletes. One process at a time holds the lease; two would only publish twice.

At-least-once: a crash between the append and the delete publishes again, under the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from services.notifier.store import leases, outbox
from services.notifier.store.outbox import Unpublished
from shared.contracts.cloudevent import headers
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.errors import Permanent, Transient
from shared.log.port import Log, Message, Producer
from shared.telemetry import metrics
from shared.telemetry.logging import logger

MOST_ROWS = 500
POLL_SECONDS = 1.0
LEASE_MS = 5_000
_LEASE = "relay"
_BACKOFF_SECONDS = 0.5
_GATHER_SECONDS = 0.2

_log = logger(__name__)


@dataclass(slots=True)
class Relay:
    """One per process; `holder` names it in the lease."""

    log: Log
    database: Database
    holder: str
    clock: Callable[[], int]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _leased_until_ms: int = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until `stopping`, then once more, so that what was just recorded is told."""
        producer: Producer | None = None
        try:
            while not stopping.is_set():
                self.wake.clear()
                try:
                    producer = producer or await self.log.producer()
                    more = await self.publish(producer)
                except Transient as error:
                    _log.warning("relay_waits", detail=str(error))
                    await asyncio.sleep(_BACKOFF_SECONDS)
                    continue
                if not more:
                    await self._sleep(stopping)
            if producer is not None:
                await self._publish_last(producer)
        finally:
            if producer is not None:
                await producer.close()

    async def _publish_last(self, producer: Producer) -> None:
        try:
            while await self.publish(producer):
                continue
            async with self.database.transaction() as tx:
                await leases.release(tx, _LEASE, self.holder)
        except Transient as error:
            _log.warning("relay_left_rows", detail=str(error))

    async def publish(self, producer: Producer) -> bool:
        """Publish the oldest rows; whether there may be more. Nothing is published while another holds the lease."""
        async with self.database.reading() as tx:
            rows = await outbox.oldest(tx, MOST_ROWS)
        if not rows:
            return False
        if not await self._holds_lease():
            return False
        for topic, part in groupby(sorted(rows, key=lambda row: row.topic), key=lambda row: row.topic):
            await _append(producer, Topic(topic), list(part))
        async with self.database.transaction() as tx:
            await outbox.remove(tx, rows)
        return len(rows) == MOST_ROWS

    async def _holds_lease(self) -> bool:
        """Whether this process publishes; asks the database only when the lease has run half its length."""
        now_ms = self.clock()
        if now_ms < self._leased_until_ms - LEASE_MS // 2:
            return True
        async with self.database.transaction() as tx:
            taken = await leases.take(tx, _LEASE, self.holder, now_ms, LEASE_MS)
        self._leased_until_ms = now_ms + LEASE_MS if taken else 0
        return taken

    async def _sleep(self, stopping: asyncio.Event) -> None:
        waits = [asyncio.create_task(self.wake.wait()), asyncio.create_task(stopping.wait())]
        await asyncio.wait(waits, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        # Outcomes come in bursts, and one append for many is worth the wait.
        await asyncio.sleep(_GATHER_SECONDS)


async def _append(producer: Producer, topic: Topic, rows: Sequence[Unpublished]) -> None:
    messages = [Message(row.key, row.value, headers(row.type, row.traceparent)) for row in rows]
    try:
        await producer.append(topic, messages)
    except Permanent as error:
        if len(rows) == 1:
            # It would be refused for ever and block what comes after it; what became of it stays in its own table.
            _log.error("outcome_refused", id=rows[0].id, topic=topic, detail=str(error))
            metrics.LOG_APPEND_FAILURES.labels(topic).inc()
            return
        for row in rows:
            await _append(producer, topic, [row])
