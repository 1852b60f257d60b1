"""Claims what is due, in one transaction that reads once more all that speaks against sending.

What comes out is either ours to send until the lease ends, or closed with its reason. Only consent, complaints, stage
and switches committed after this transaction come too late, and then for what is already on its way.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from services.notifier.domain.change import Contact
from services.notifier.domain.delivery import Channel, Email, Ending, PendingDispatch, Planned, Post, Story, Suppressed
from services.notifier.domain.subscription import Subscription, SubscriptionStatus
from services.notifier.domain.verdict import Allowed, Circumstances, objection
from services.notifier.store import contacts, deliveries, queue, subscriptions
from services.notifier.store.contacts import customer_key
from services.notifier.store.queue import PARKED_MS, Waiting
from shared.contracts.outcomes import Outcome
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
    """What a claim took: `pending` is to be sent; `taken` counts also what was closed or parked."""

    pending: Sequence[PendingDispatch]
    taken: int


NOTHING = Claimed((), 0)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the claim's transaction has read."""

    plans: Mapping[str, Planned]
    contacts: Mapping[str, Contact]
    subscriptions: Mapping[str, Subscription]
    off: frozenset[tuple[str, Channel]]
    stories: Mapping[tuple[str, str], Story]
    now_ms: int


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
            rows = await queue.lock_due(tx, room, now_ms)
            if not rows:
                return NOTHING
            token = secrets.token_hex(8)
            sorted_out = self._sort(rows, await _read(tx, rows, now_ms), token)
            await queue.put(tx, [*sorted_out.parked, *sorted_out.leased])
            await deliveries.finish(tx, sorted_out.endings, now_ms)
            tx.after_commit(lambda: _count(sorted_out.endings))
        return Claimed(sorted_out.pending, len(rows))

    def _sort(self, rows: Sequence[Waiting], known: _Known, token: str) -> _Sorted:
        out = _Sorted([], [], [], [])
        for row in rows:
            plan = known.plans[row.id]
            if plan.channel is Channel.WEBHOOK:
                self._sort_webhook(row, plan, known, out)
            else:
                self._sort_email(row, plan, known, out)
        waiting = {row.id: row for row in rows}
        until = known.now_ms + self.rules.lease_ms
        for index, pending in enumerate(out.pending):
            row = waiting[pending.planned.id]
            out.leased.append(row._replace(due_ms=until, lease_token=token))
            out.pending[index] = replace(pending, lease_token=token, lease_until_ms=until)
        return out

    def _sort_email(self, row: Waiting, plan: Planned, known: _Known, out: _Sorted) -> None:
        contact = known.contacts[customer_key(plan.tenant, plan.customer_id)]
        story = known.stories[plan.tenant, plan.change_id]
        self._judge(row, plan, known, out, Email(contact, story))

    def _sort_webhook(self, row: Waiting, plan: Planned, known: _Known, out: _Sorted) -> None:
        subscription = known.subscriptions.get(plan.subscription_id)
        if subscription is None:
            out.endings.append(Ending(plan, Outcome.CANCELLED, None, "the subscription was deleted", row.attempts))
        elif subscription.status is not SubscriptionStatus.ACTIVE:
            out.parked.append(row._replace(due_ms=PARKED_MS, lease_token=""))
        else:
            self._judge(row, plan, known, out, Post(subscription, known.stories[plan.tenant, plan.change_id]))

    def _judge(self, row: Waiting, plan: Planned, known: _Known, out: _Sorted, message: Email | Post) -> None:
        circumstances = Circumstances(
            contact=message.contact if isinstance(message, Email) else Contact(),
            switched_off=(plan.tenant, plan.channel) in known.off,
            allowed=self.rules.allowed,
            stale_after_ms=self.rules.stale_after_ms,
            now_ms=known.now_ms,
        )
        reason = objection(plan, circumstances)
        if reason is None:
            out.pending.append(PendingDispatch(plan, "", 0, row.attempts, message))
        else:
            out.endings.append(Suppressed(plan, reason).ending(message.story.traceparent))


async def _read(tx: Transaction, rows: Sequence[Waiting], now_ms: int) -> _Known:
    plans = await deliveries.load(tx, [row.id for row in rows])
    letters = [plan for plan in plans.values() if plan.channel is Channel.EMAIL]
    keys = {customer_key(plan.tenant, plan.customer_id) for plan in letters}
    endpoints = {plan.subscription_id for plan in plans.values() if plan.subscription_id}
    return _Known(
        plans=plans,
        contacts=await contacts.load(tx, keys) if keys else {},
        subscriptions=await _subscriptions(tx, endpoints, now_ms),
        off=await subscriptions.switched_off(tx, {plan.tenant for plan in plans.values()}),
        stories=await deliveries.stories(tx, list({(plan.tenant, plan.change_id) for plan in plans.values()})),
        now_ms=now_ms,
    )


async def _subscriptions(tx: Transaction, ids: Collection[str], now_ms: int) -> Mapping[str, Subscription]:
    """Subscriptions by id. What is to be parked is locked first: enabling must not slip in between and find nothing."""
    known = await subscriptions.load(tx, ids, now_ms)
    stopped = [one.id for one in known.values() if one.status is not SubscriptionStatus.ACTIVE]
    return {**known, **await subscriptions.lock(tx, stopped, now_ms, shared=True)}


def _count(endings: Sequence[Ending]) -> None:
    for one in endings:
        if one.reason is not None:
            metrics.SUPPRESSIONS.labels(one.reason).inc()
