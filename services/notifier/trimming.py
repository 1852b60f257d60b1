"""Keeps what is over within its retention: deliveries for long, attempts and unreadable records for less. In small steps.

Trimming a delivery forgets its key, and still no stage change that the log gives again is planned a second time: the
customer's contact, which is kept, remembers the last sequence that was seen, and an older one plans nothing.
The outbox is not trimmed: a row goes when the log has it, however long that takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from services.notifier.cancelling import Cancelling
from services.notifier.store import leases, trimming
from services.notifier.store.trimming import OldDeliveries
from shared.contracts.times import DAY_MS
from shared.db.port import Database, Transaction
from shared.errors import Permanent, Transient
from shared.settings import Settings
from shared.telemetry.logging import logger
from shared.trimming import ROUND_SECONDS, STEP_ROWS, in_small_steps

_LEASE = "trimming"
_LEASE_MS = 60_000

Trim = Callable[[Transaction], Awaitable[int]]
"""Trims some rows and gives how many; `STEP_ROWS` means that there may be more."""

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """Ages in milliseconds: of deliveries since their end, of attempts and unreadable records since they came."""

    deliveries_ms: int
    attempts_ms: int

    @classmethod
    def from_settings(cls, settings: Settings) -> Retention:
        """As the settings say."""
        return cls(settings.delivery_retention_days * DAY_MS, settings.attempt_retention_days * DAY_MS)


@dataclass(frozen=True, slots=True)
class Trimmer:
    """One per process, of which one works at a time; `holder` names it in the lease."""

    database: Database
    holder: str
    clock: Callable[[], int]
    retention: Retention
    cancelling: Cancelling

    async def run(self, stopping: asyncio.Event) -> None:
        """Trim every ten minutes until `stopping`; a step that has begun then is finished."""
        while not stopping.is_set():
            try:
                await self.round(stopping)
            except (Permanent, Transient) as error:
                _log.warning("trimming_waits", detail=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), ROUND_SECONDS)

    async def round(self, stopping: asyncio.Event) -> None:
        """End what deletions have left waiting, and trim all that is old by now."""
        await self.cancelling.finish_deletions()
        now_ms = self.clock()
        deliveries_before = now_ms - self.retention.deliveries_ms
        attempts_before = now_ms - self.retention.attempts_ms
        async with self.database.reading() as tx:
            subscriptions = await trimming.subscriptions_before(tx, deliveries_before)
        trims: list[Trim] = [OldDeliveries(one, deliveries_before) for one in subscriptions]
        trims.append(partial(trimming.trim_attempts, before_ms=attempts_before))
        trims.append(partial(trimming.trim_dead_records, before_ms=attempts_before))
        for trim in trims:
            await in_small_steps(partial(self._step, trim, stopping))

    async def _step(self, trim: Trim, stopping: asyncio.Event) -> bool:
        """One transaction; whether another may find more."""
        if stopping.is_set():
            return False
        async with self.database.transaction() as tx:
            # Its row stays locked to the end: of two deliveries of one change that were trimmed side by side, each would
            # leave the change to the other.
            if not await leases.take(tx, _LEASE, self.holder, self.clock(), _LEASE_MS):
                return False
            return await trim(tx) == STEP_ROWS
