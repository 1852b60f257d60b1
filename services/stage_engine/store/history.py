"""The history of applied events: what makes a duplicate known, and what replays a customer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import func, select, tuple_

from services.stage_engine.domain.event import Event
from services.stage_engine.store import tables
from services.stage_engine.store.customers import CustomerKey
from shared.db.port import Transaction

_KEY = ("tenant", "customer_id", "event_id")
_COLUMNS = (*_KEY, "partition", "log_offset", "arrival_ms", "logged_ms", "body")


class Entry(NamedTuple):
    """An event with its place in the log and the bytes it came in."""

    event: Event
    partition: int
    offset: int
    body: bytes


class Past(NamedTuple):
    """A stored event, to be read again in the order of (arrival, offset)."""

    customer: CustomerKey
    event_id: str
    arrival_ms: int
    offset: int
    logged_ms: int
    body: bytes


async def add(transaction: Transaction, entries: Sequence[Entry]) -> frozenset[tuple[int, int]]:
    """Append; gives (partition, offset) of those that are new. The others are duplicates, also among themselves."""
    rows = [_row(entry) for entry in entries]
    inserted = await transaction.insert_new(tables.history, _COLUMNS, rows, ("partition", "log_offset"))
    return frozenset((partition, offset) for partition, offset in inserted)


def _row(entry: Entry) -> tuple[object, ...]:
    event = entry.event
    place = (entry.partition, entry.offset, event.arrival_ms, event.logged_ms)
    return (event.tenant, event.customer_id, event.id, *place, entry.body)


async def remove(transaction: Transaction, entries: Iterable[Entry]) -> None:
    """Take back what went to dead letters, so that its repaired replay is no duplicate."""
    keys = [(entry.event.tenant, entry.event.customer_id, entry.event.id) for entry in entries]
    await transaction.delete_many(tables.history, _KEY, keys)


async def bodies(transaction: Transaction, entries: Iterable[Entry]) -> dict[tuple[str, str, str], bytes]:
    """The stored bytes under the ids of these entries."""
    keys = {(entry.event.tenant, entry.event.customer_id, entry.event.id) for entry in entries}
    rows = await transaction.select_many(tables.history, _KEY, list(keys), (*_KEY, "body"))
    return {(tenant, customer, event_id): body for tenant, customer, event_id, body in rows}


async def of_customers(transaction: Transaction, customers: Sequence[CustomerKey]) -> list[Past]:
    """All kept events of some customers, each customer's in the order in which they were applied."""
    columns = ("tenant", "customer_id", "event_id", "arrival_ms", "log_offset", "logged_ms", "body")
    rows = await transaction.select_many(tables.history, ("tenant", "customer_id"), customers, columns)
    past = [Past(CustomerKey(tenant, customer), *rest) for tenant, customer, *rest in rows]
    return sorted(past, key=lambda each: (each.customer, each.arrival_ms, each.offset))


async def counts(transaction: Transaction, customers: Collection[CustomerKey]) -> dict[CustomerKey, int]:
    """How many events of some customers are kept; those without any are absent."""
    table = tables.history.c
    statement = (
        select(table.tenant, table.customer_id, func.count())
        .where(tuple_(table.tenant, table.customer_id).in_([tuple(each) for each in customers]))
        .group_by(table.tenant, table.customer_id)
    )
    found = [tuple(row) for row in await transaction.execute(statement)]
    return {CustomerKey(tenant, customer): count for tenant, customer, count in found}


async def before(transaction: Transaction, partition: int, horizon_ms: int, limit: int) -> list[Past]:
    """The first events of some customers from before a time, each customer's in the order in which they were applied."""
    table = tables.history.c
    statement = (
        select(
            table.tenant,
            table.customer_id,
            table.event_id,
            table.arrival_ms,
            table.log_offset,
            table.logged_ms,
            table.body,
        )
        .where(table.partition == partition, table.arrival_ms < horizon_ms)
        .order_by(table.tenant, table.customer_id, table.arrival_ms, table.log_offset)
        .limit(limit)
    )
    found = [tuple(row) for row in await transaction.execute(statement)]
    return [Past(CustomerKey(tenant, customer), *rest) for tenant, customer, *rest in found]


async def forget(transaction: Transaction, past: Iterable[Past]) -> None:
    """Delete events that a base state now stands for."""
    await transaction.delete_many(tables.history, _KEY, [(*each.customer, each.event_id) for each in past])
