"""Claims what is due, in one transaction that reads once more all that speaks against sending.

What comes out is either ours to send until the lease ends, or closed with its reason. Only consent, complaints, stage
and switches committed after this transaction come too late, and then for what is already on its way.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.notifier.domain.delivery import Channel, Email, Ending, PendingDispatch, Post, Suppressed
from services.notifier.domain.subscription import SubscriptionStatus
from services.notifier.domain.verdict import Allowed, Circumstances, objection
from services.notifier.store import deliveries, queue, subscriptions, work
from services.notifier.store.queue import PARKED_MS, Waiting
from services.notifier.store.work import Ripe
from shared.contracts.outcomes import Outcome, Suppression
from shared.db.port import Database, Transaction
from shared.telemetry import metrics


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about sending. Times are milliseconds."""

    allowed: Allowed
    stale_after_ms: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim took: `pending` is to be sent; `taken` counts by endpoint also what was closed or parked."""

    pending: Sequence[PendingDispatch]
    taken: Mapping[str, int]


NOTHING = Claimed((), {})


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Claimed rows by what becomes of them."""

    pending: list[PendingDispatch]
    endings: list[Ending]
    parked: list[Waiting]
    leased: list[Waiting]


@dataclass(frozen=True, slots=True)
class Claimer:
    """Claims for one process."""

    database: Database
    rules: Rules
    clock: Callable[[], int]

    async def next_due(self) -> dict[str, int]:
        """When each endpoint has its next work, milliseconds."""
        async with self.database.reading() as tx:
            return await queue.next_due(tx)

    async def claim(self, room: Mapping[str, int]) -> Claimed:
        """Take due deliveries of these endpoints, each up to the number given."""
        async with self.database.transaction() as tx:
            now_ms = self.clock()
            found = await _still_active(tx, await work.lock_due(tx, room, now_ms), now_ms)
            if not found:
                return NOTHING
            sorted_out = self._sort(found, secrets.token_hex(8), now_ms)
            changed = queue.put([*sorted_out.parked, *sorted_out.leased])
            await tx.write_all([changed, *deliveries.finish(sorted_out.endings, now_ms)])
            tx.after_commit(lambda: _count(sorted_out.endings))
        return Claimed(sorted_out.pending, Counter(one.planned.endpoint for one in found))

    def _sort(self, found: Sequence[Ripe], token: str, now_ms: int) -> _Sorted:
        out = _Sorted([], [], [], [])
        until = now_ms + self.rules.lease_ms
        for one in found:
            row, plan = one.waiting, one.planned
            if plan.channel is Channel.WEBHOOK and one.subscription is None:
                out.endings.append(Ending(plan, Outcome.CANCELLED, None, "the subscription was deleted", row.attempts))
            elif one.subscription is not None and one.subscription.status is not SubscriptionStatus.ACTIVE:
                out.parked.append(row._replace(due_ms=PARKED_MS, lease_token=""))
            elif reason := self._objection(one, now_ms):
                out.endings.append(Suppressed(plan, reason).ending(one.story.traceparent))
            else:
                message = Post(one.subscription, one.story) if one.subscription else Email(one.contact, one.story)
                out.pending.append(PendingDispatch(plan, token, until, row.attempts, message))
                out.leased.append(row._replace(due_ms=until, lease_token=token))
        return out

    def _objection(self, one: Ripe, now_ms: int) -> Suppression | None:
        circumstances = Circumstances(
            contact=one.contact,
            switched_off=one.switched_off,
            allowed=self.rules.allowed,
            stale_after_ms=self.rules.stale_after_ms,
            now_ms=now_ms,
        )
        return objection(one.planned, circumstances)


async def _still_active(tx: Transaction, found: Sequence[Ripe], now_ms: int) -> Sequence[Ripe]:
    """What is to be parked has its subscription locked first: enabling must not slip in between and find nothing."""
    stopped = {
        one.subscription.id
        for one in found
        if one.subscription is not None and one.subscription.status is not SubscriptionStatus.ACTIVE
    }
    if not stopped:
        return found
    locked = await subscriptions.lock(tx, stopped, now_ms, shared=True)
    return [
        # One that is not there any more was deleted meanwhile: nobody would ever enable it.
        one._replace(subscription=locked.get(one.subscription.id))
        if one.subscription is not None and one.subscription.id in stopped
        else one
        for one in found
    ]


def _count(endings: Sequence[Ending]) -> None:
    for one in endings:
        if one.reason is not None:
            metrics.SUPPRESSIONS.labels(one.reason).inc()
