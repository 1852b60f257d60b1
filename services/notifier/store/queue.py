"""The work queue: one narrow row for each delivery that is not final.

A lease is a due time ahead with its holder's token, so a crashed sender's work simply becomes due again. Work is asked
for endpoint by endpoint, each up to what it may have at once: a slow endpoint's backlog is never even read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, select, update

from services.notifier.domain.delivery import Planned
from services.notifier.store import tables
from services.notifier.store.contacts import customer_key
from shared.db.port import Action, Transaction, Write

COLUMNS = ("id", "endpoint", "due_ms", "lease_token", "attempts", "watched")
_CHANGING = ("id", "due_ms", "lease_token", "attempts")
PARKED_MS = 2**62
"""Due time of what waits for somebody to enable its endpoint."""


class Waiting(NamedTuple):
    """A row of the queue."""

    id: str
    endpoint: str
    due_ms: int
    lease_token: str
    attempts: int
    watched: str


def watch_key(tenant: str, customer_id: str, lifecycle: str) -> str:
    """What a step that waits only while the customer stays is found by; names of lifecycles hold no slash."""
    return f"{lifecycle}/{customer_key(tenant, customer_id)}"


def add(planned: Sequence[Planned]) -> Write:
    """Queue deliveries for their due times."""
    rows = [
        (
            one.id,
            one.endpoint,
            one.due_ms,
            "",
            0,
            watch_key(one.tenant, one.customer_id, one.lifecycle) if one.while_in_stage else "",
        )
        for one in planned
    ]
    return Write(Action.INSERT_NEW, tables.due, COLUMNS, rows)


def put(rows: Sequence[Waiting]) -> Write:
    """Write rows that are locked in this transaction."""
    changed = [(row.id, row.due_ms, row.lease_token, row.attempts) for row in rows]
    return Write(Action.UPDATE, tables.due, _CHANGING, changed)


def remove(ids: Sequence[str]) -> Write:
    """Take final deliveries out."""
    return Write(Action.DELETE, tables.due, ("id",), [(one,) for one in ids])


async def next_due(tx: Transaction) -> dict[str, int]:
    """The earliest due time of every endpoint that has anything, found by hopping along the index."""
    table = tables.due
    heads = select(func.min(table.c.endpoint).label("endpoint")).cte("heads", recursive=True)
    following = select(func.min(table.c.endpoint)).where(table.c.endpoint > heads.c.endpoint).scalar_subquery()
    heads = heads.union_all(select(following).where(heads.c.endpoint.is_not(None)))
    first = select(func.min(table.c.due_ms)).where(table.c.endpoint == heads.c.endpoint).scalar_subquery()
    rows = await tx.execute(select(heads.c.endpoint, first).where(heads.c.endpoint.is_not(None)))
    return {row[0]: row[1] for row in map(tuple, rows) if row[1] is not None}


async def park(tx: Transaction, endpoint: str) -> None:
    """Keep an endpoint's backlog until `unpark`; what is under way ends first, and is parked when it comes back."""
    table = tables.due
    idle = (table.c.endpoint == endpoint) & (table.c.lease_token == "")
    await tx.execute(update(table).where(idle).values(due_ms=PARKED_MS))


async def unpark(tx: Transaction, endpoint: str, now_ms: int) -> None:
    """Let an endpoint's backlog go on now."""
    table = tables.due
    parked = (table.c.endpoint == endpoint) & (table.c.due_ms >= PARKED_MS)
    await tx.execute(update(table).where(parked).values(due_ms=now_ms, attempts=0))
