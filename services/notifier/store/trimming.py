"""Old rows, a step of them at a time: finished deliveries with all that belongs to them, attempts, unreadable records.

No index exists for this alone. Deliveries are found along the index of each subscription's deliveries (e-mails stand under
the empty one), attempts along their ids, which begin with their time. What waits has no outcome and is never found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import func, select

from services.notifier.store import tables
from shared.db.port import Transaction
from shared.trimming import STEP_ROWS

_plan, _ended = tables.deliveries, tables.outcomes


class Finished(NamedTuple):
    """A delivery that may go; `planned_ms` is its place in the walk."""

    id: str
    tenant: str
    customer_id: str
    change_id: str
    planned_ms: int


async def subscriptions_before(tx: Transaction, before_ms: int) -> list[str]:
    """The subscriptions that anything was planned for before a time, deleted ones and the e-mails' empty one included;
    found by hopping along the index."""
    named = _plan.c.subscription_id
    hops = select(func.min(named).label("id")).cte("hops", recursive=True)
    following = select(func.min(named)).where(named > hops.c.id).scalar_subquery()
    hops = hops.union_all(select(following).where(hops.c.id.is_not(None)))
    oldest = select(func.min(_plan.c.planned_ms)).where(named == hops.c.id).scalar_subquery()
    return [row[0] for row in await tx.execute(select(hops.c.id).where(oldest < before_ms))]


@dataclass(slots=True)
class OldDeliveries:
    """Walks over a subscription's deliveries, the first planned first, and trims those that ended before a time."""

    subscription_id: str
    before_ms: int
    _walked_ms: int = 0

    async def __call__(self, tx: Transaction) -> int:
        """Trim some; gives how many."""
        finished = await self._find(tx)
        if finished:
            self._walked_ms = finished[-1].planned_ms
            await _forget(tx, finished)
        return len(finished)

    async def _find(self, tx: Transaction) -> list[Finished]:
        """Locked, so that a redelivery comes first or finds nothing. Those that are being reopened are passed over."""
        statement = (
            select(*(_plan.c[name] for name in Finished._fields))
            .select_from(_plan.join(_ended, _ended.c.id == _plan.c.id))
            .where(
                _plan.c.subscription_id == self.subscription_id,
                _plan.c.planned_ms.between(self._walked_ms, self.before_ms - 1),
                _ended.c.finished_ms < self.before_ms,
            )
            .order_by(_plan.c.planned_ms)
            .limit(STEP_ROWS)
            .with_for_update(of=_ended, skip_locked=True)
        )
        return [Finished._make(row) for row in await tx.execute(statement)]


async def _forget(tx: Transaction, finished: Sequence[Finished]) -> None:
    ids = [(one.id,) for one in finished]
    await tx.delete_many(tables.attempts, ("delivery_id",), ids)
    await tx.delete_many(tables.outcomes, ("id",), ids)
    await tx.delete_many(tables.deliveries, ("id",), ids)
    await _forget_stories(tx, finished)


async def _forget_stories(tx: Transaction, finished: Sequence[Finished]) -> None:
    """A story goes with the last delivery that tells it; customers have few, and an index to find them by."""
    key = ("tenant", "customer_id", "change_id")
    told = {(one.tenant, one.customer_id, one.change_id) for one in finished}
    still_told = set(await tx.select_many(tables.deliveries, key, list(told), key))
    untold = [(tenant, change_id) for tenant, _, change_id in told - still_told]
    await tx.delete_many(tables.changes, ("tenant", "change_id"), untold)


async def trim_attempts(tx: Transaction, before_ms: int) -> int:
    """Trim some attempts, whatever became of their deliveries; gives how many."""
    table = tables.attempts.c
    old = (table.id < _first_id_at(before_ms)) & (table.started_ms < before_ms)
    rows = await tx.execute(select(table.id).where(old).order_by(table.id).limit(STEP_ROWS))
    return await tx.delete_many(tables.attempts, ("id",), [(row[0],) for row in rows])


def _first_id_at(at_ms: int) -> str:
    """What every UUIDv7 made from this millisecond on begins with, or is greater than."""
    digits = f"{at_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}"


async def trim_dead_records(tx: Transaction, before_ms: int) -> int:
    """Trim some records that could not be read, of which there are few; gives how many."""
    key = ("topic", "partition", "offset")
    table = tables.dead_records.c
    statement = select(*(table[name] for name in key)).where(table.arrival_ms < before_ms).limit(STEP_ROWS)
    return await tx.delete_many(tables.dead_records, key, [tuple(row) for row in await tx.execute(statement)])
