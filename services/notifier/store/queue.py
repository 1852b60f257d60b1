"""The work queue: one narrow row for each delivery that is not final.

A lease is a due time ahead with its holder's token, so a crashed sender's work simply becomes due again. Work is asked
for endpoint by endpoint, each up to what it may have at once: a slow endpoint's backlog is never even read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Select, func, select, union_all, update

from services.notifier.domain.delivery import Planned
from services.notifier.store import tables
from services.notifier.store.contacts import customer_key
from shared.db.port import Transaction

_COLUMNS = ("id", "endpoint", "due_ms", "lease_token", "attempts", "watched")
_MOST_ENDPOINTS = 100
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


async def add(tx: Transaction, planned: Sequence[Planned]) -> None:
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
    await tx.insert_new(tables.due, _COLUMNS, rows, ("id",))


async def put(tx: Transaction, rows: Sequence[Waiting]) -> None:
    """Write rows that are locked in this transaction."""
    await tx.upsert(tables.due, _COLUMNS, rows)


async def remove(tx: Transaction, ids: Sequence[str]) -> None:
    """Take final deliveries out."""
    await tx.delete_many(tables.due, ("id",), [(one,) for one in ids])


async def next_due(tx: Transaction) -> dict[str, int]:
    """The earliest due time of every endpoint that has anything, found by hopping along the index."""
    table = tables.due
    heads = select(func.min(table.c.endpoint).label("endpoint")).cte("heads", recursive=True)
    following = select(func.min(table.c.endpoint)).where(table.c.endpoint > heads.c.endpoint).scalar_subquery()
    heads = heads.union_all(select(following).where(heads.c.endpoint.is_not(None)))
    first = select(func.min(table.c.due_ms)).where(table.c.endpoint == heads.c.endpoint).scalar_subquery()
    rows = await tx.execute(select(heads.c.endpoint, first).where(heads.c.endpoint.is_not(None)))
    return {row[0]: row[1] for row in map(tuple, rows) if row[1] is not None}


async def lock_due(tx: Transaction, room: Mapping[str, int], now_ms: int) -> list[Waiting]:
    """Due rows of each endpoint, at most what it has room for; what another process is claiming is passed over."""
    parts = [_due_ids(endpoint, most, now_ms) for endpoint, most in list(room.items())[:_MOST_ENDPOINTS]]
    if not parts:
        return []
    ids = [row[0] for row in await tx.execute(union_all(*parts))]
    table = tables.due.c
    statement = select(*(table[name] for name in _COLUMNS)).where(table.id.in_(ids), table.due_ms <= now_ms)
    rows = await tx.execute(statement.order_by(table.due_ms).with_for_update(skip_locked=True))
    return [Waiting._make(row) for row in rows]


def _due_ids(endpoint: str, most: int, now_ms: int) -> Select[tuple[str]]:
    table = tables.due.c
    first = select(table.id).where(table.endpoint == endpoint, table.due_ms <= now_ms)
    limited = first.order_by(table.due_ms).limit(most).subquery()
    return select(limited.c.id)


async def lock(tx: Transaction, ids: Sequence[str]) -> dict[str, Waiting]:
    """Rows by id, locked; a final one is absent."""
    table = tables.due.c
    statement = select(*(table[name] for name in _COLUMNS)).where(table.id.in_(list(ids)))
    rows = await tx.execute(statement.order_by(table.id).with_for_update())
    return {row[0]: Waiting._make(row) for row in rows}


async def lock_watched(tx: Transaction, keys: Sequence[str]) -> list[Waiting]:
    """Steps that wait for these customers and lifecycles, and are not being sent just now."""
    table = tables.due.c
    statement = select(*(table[name] for name in _COLUMNS)).where(
        table.watched.in_(list(keys)), table.lease_token == ""
    )
    return [Waiting._make(row) for row in await tx.execute(statement.order_by(table.id).with_for_update())]


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
