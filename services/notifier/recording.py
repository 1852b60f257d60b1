"""Writes down what attempts came to: many in one transaction, and only where the lease is still ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import uuid_utils

from services.notifier.domain.delivery import Channel, CompletedDispatch, Ending, Post
from services.notifier.domain.retry import Decision, Disable, Done, GiveUp, Pause, RetryAt, Tried, decide
from services.notifier.domain.subscription import Subscription, SubscriptionStatus
from services.notifier.store import attempts, deliveries, queue, subscriptions, work
from services.notifier.store.queue import PARKED_MS, Waiting
from services.notifier.store.subscriptions import Health
from shared.contracts.outcomes import Outcome
from shared.db.port import Database, Transaction
from shared.telemetry import metrics
from shared.telemetry.logging import logger

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Decided:
    """A completed attempt with what follows from it."""

    completed: CompletedDispatch
    decision: Decision

    @property
    def attempts(self) -> int:
        """How many were made, this one included."""
        return self.completed.pending.attempts + 1


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records for one process. `jitter` gives a number from 0 to 1; `recorded` is called after a commit."""

    database: Database
    clock: Callable[[], int]
    jitter: Callable[[], float]
    recorded: Callable[[], None]

    async def record(self, completions: Sequence[CompletedDispatch]) -> None:
        """Record attempts of distinct deliveries. One whose lease was lost is another's to record."""
        async with self.database.transaction() as tx:
            now_ms = self.clock()
            rows, known = await work.lock_leased(tx, {one.pending.planned.id for one in completions}, now_ms)
            ours = [one for one in completions if _is_ours(one, rows)]
            decided = [self._decide(one, known, now_ms) for one in ours]
            made = [(str(uuid_utils.uuid7()), one.completed, one.attempts) for one in decided]
            again = [row for one in decided for row in _again(one, rows)]
            endings = [ending for one in decided for ending in _ending(one)]
            await tx.write_all([attempts.add(made), queue.put(again), *deliveries.finish(endings, now_ms)])
            await self._record_health(tx, decided, known, now_ms)
            tx.after_commit(lambda: _count(decided))
            tx.after_commit(self.recorded)

    def _decide(self, completed: CompletedDispatch, known: Mapping[str, Subscription], now_ms: int) -> Decided:
        planned = completed.pending.planned
        subscription = known.get(planned.subscription_id)
        since = subscription.failing_since_ms if subscription else None
        tried = Tried(planned.channel, completed.pending.attempts + 1, since, now_ms)
        return Decided(completed, decide(tried, completed.attempted, self.jitter()))

    async def _record_health(
        self, tx: Transaction, decided: Sequence[Decided], known: Mapping[str, Subscription], now_ms: int
    ) -> None:
        """Most attempts change nothing about their endpoint, and then nothing is locked."""
        suspected = _changes(decided, known)
        if not suspected:
            return
        changed = _changes(decided, await subscriptions.lock(tx, suspected, now_ms, shared=False))
        await subscriptions.record_health(tx, changed.values())
        for health in changed.values():
            if health.status is not SubscriptionStatus.ACTIVE:
                tx.after_commit(lambda health=health: _alert(health))  # type: ignore[misc]


def _changes(decided: Sequence[Decided], known: Mapping[str, Subscription]) -> dict[str, Health]:
    changed: dict[str, Health] = {}
    for one in decided:
        subscription = known.get(one.completed.pending.planned.subscription_id)
        if subscription is not None and (health := _health(one, subscription)):
            changed[subscription.id] = health
    return changed


def _is_ours(one: CompletedDispatch, rows: Mapping[str, Waiting]) -> bool:
    row = rows.get(one.pending.planned.id)
    return row is not None and row.lease_token == one.pending.lease_token


def _again(one: Decided, rows: Mapping[str, Waiting]) -> list[Waiting]:
    """The queue row of a delivery that is not final."""
    row = rows[one.completed.pending.planned.id]
    if isinstance(one.decision, RetryAt):
        return [row._replace(due_ms=one.decision.due_ms, lease_token="", attempts=one.attempts)]
    if isinstance(one.decision, Pause | Disable):
        return [row._replace(due_ms=PARKED_MS, lease_token="", attempts=one.attempts)]
    return []


def _ending(one: Decided) -> list[Ending]:
    pending = one.completed.pending
    traceparent = pending.message.story.traceparent
    if isinstance(one.decision, Done):
        return [Ending(pending.planned, Outcome.SENT, attempts=one.attempts, traceparent=traceparent)]
    if isinstance(one.decision, GiveUp):
        detail = one.decision.detail
        return [Ending(pending.planned, Outcome.FAILED, None, detail, one.attempts, traceparent)]
    return []


def _health(one: Decided, subscription: Subscription) -> Health | None:
    """What to write about an endpoint; None when nothing has changed. Good answers cost no write."""
    since = subscription.failing_since_ms
    if isinstance(one.decision, Done):
        return Health(subscription.id, subscription.status, "", None) if since is not None else None
    attempted = one.completed.attempted
    began = attempted.started_ms if since is None else since
    if isinstance(one.decision, Pause):
        return Health(subscription.id, SubscriptionStatus.PAUSED, one.decision.detail, began)
    if isinstance(one.decision, Disable):
        return Health(subscription.id, SubscriptionStatus.DISABLED, one.decision.detail, began)
    return Health(subscription.id, subscription.status, attempted.error, began) if since is None else None


def _alert(health: Health) -> None:
    metrics.ENDPOINTS_STOPPED.labels(health.status).inc()
    _log.error("webhook_endpoint_stopped", subscription=health.subscription_id, status=health.status, why=health.detail)


def _count(decided: Sequence[Decided]) -> None:
    for one in decided:
        channel = Channel.WEBHOOK if isinstance(one.completed.pending.message, Post) else Channel.EMAIL
        metrics.DELIVERIES.labels(channel, type(one.decision).__name__.lower()).inc()
