"""Deleting a subscription: nothing more is planned for it, and what waits is cancelled and told, a step at a time.

The first transaction deletes the subscription; a backlog longer than one step takes more of them. Should the process end
in between, what is left is found at the next round of `trimming`, in whichever process that is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.notifier.domain.delivery import Ending
from services.notifier.domain.subscription import endpoint_of
from services.notifier.store import backlog, deliveries, subscriptions
from services.notifier.store.backlog import Kept
from shared.contracts.outcomes import Outcome
from shared.db.port import Database, Transaction


@dataclass(frozen=True, slots=True)
class Cancelling:
    """Cancels for one process; `told` is called after each commit that has something to publish."""

    database: Database
    clock: Callable[[], int]
    told: Callable[[], None]

    async def delete(self, subscription_id: str) -> None:
        """Delete a subscription and cancel what waits for it. Raises Transient: what was committed by then stays so."""
        endpoint = endpoint_of(subscription_id)
        async with self.database.transaction() as tx:
            cancelled = await self._some(tx, endpoint)
            await subscriptions.remove(tx, subscription_id)
        if cancelled:
            await self._rest(endpoint)

    async def finish_deletions(self) -> None:
        """Cancel what deletions that were cut off have left, and what was planned while they went on."""
        async with self.database.reading() as tx:
            endpoints = await backlog.of_deleted_subscriptions(tx)
        for endpoint in endpoints:
            await self._rest(endpoint)

    async def _rest(self, endpoint: str) -> None:
        cancelled = 1
        while cancelled:
            async with self.database.transaction() as tx:
                cancelled = await self._some(tx, endpoint)

    async def _some(self, tx: Transaction, endpoint: str) -> int:
        """Cancel one step of what waits; gives how many."""
        kept = await backlog.lock_some(tx, endpoint)
        await tx.write_all(deliveries.finish([_ending(one) for one in kept], self.clock()))
        if kept:
            tx.after_commit(self.told)
        return len(kept)


def _ending(one: Kept) -> Ending:
    """An attempt that is under way can't be called back; it may still arrive."""
    under_way = " while an attempt was under way" if one.waiting.lease_token else ""
    detail = f"the subscription was deleted{under_way}"
    return Ending(one.planned, Outcome.CANCELLED, None, detail, one.waiting.attempts, one.traceparent)
