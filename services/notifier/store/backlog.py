"""What waits for an endpoint, a step of it at a time."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select

from services.notifier.domain.delivery import Channel, Planned
from services.notifier.domain.subscription import endpoint_of
from services.notifier.store import deliveries, queue, tables
from services.notifier.store.queue import Waiting
from shared.db.port import Transaction
from shared.trimming import STEP_ROWS

_due, _plan, _change = tables.due, tables.deliveries, tables.changes
_QUEUED = [_due.c[name] for name in queue.COLUMNS]
_PLANNED = [_plan.c[name] for name in deliveries.COLUMNS]


class Kept(NamedTuple):
    """A delivery that waits, or is being attempted, with the trace that it belongs to."""

    waiting: Waiting
    planned: Planned
    traceparent: str | None


async def lock_some(tx: Transaction, endpoint: str) -> list[Kept]:
    """Some of what waits for an endpoint, locked; what is being attempted is among it."""
    first = select(_due.c.id).where(_due.c.endpoint == endpoint).order_by(_due.c.due_ms).limit(STEP_ROWS).subquery()
    told = (_change.c.tenant == _plan.c.tenant) & (_change.c.change_id == _plan.c.change_id)
    statement = (
        select(*_QUEUED, *_PLANNED, _change.c.traceparent)
        .select_from(_due.join(_plan, _plan.c.id == _due.c.id).outerjoin(_change, told))
        .where(_due.c.id.in_(select(first.c.id)))
        # In the order in which a recorder locks them, so that neither waits for the other for ever.
        .order_by(_due.c.id)
        .with_for_update(of=_due)
    )
    return [_kept(tuple(row)) for row in await tx.execute(statement)]


def _kept(row: tuple[object, ...]) -> Kept:
    queued, planned = row[: len(_QUEUED)], row[len(_QUEUED) : -1]
    return Kept(Waiting._make(queued), deliveries.planned_of(planned), row[-1])  # type: ignore[arg-type]


async def of_deleted_subscriptions(tx: Transaction) -> list[str]:
    """The endpoints that something waits for although their subscription is gone."""
    prefix = endpoint_of("")
    ids = [one.removeprefix(prefix) for one in await queue.next_due(tx) if one.startswith(Channel.WEBHOOK)]
    known = await tx.select_many(tables.subscriptions, ("id",), [(one,) for one in ids], ("id",))
    return [endpoint_of(one) for one in ids if (one,) not in known]
