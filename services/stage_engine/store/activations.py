"""From which offset on a partition goes by which versions: what replays a customer under the rules of the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from services.stage_engine.store.progress import Versions
from services.stage_engine.store.tables import activations, customers
from shared.db.port import Action, Transaction, Write

_COLUMNS = (
    "partition",
    "number",
    "publish_id",
    "lifecycle",
    "version",
    "log_offset",
    "at_ms",
    "notify",
    "migrate",
    "versions",
)


class Stored(NamedTuple):
    """One activation. Records before `offset` were applied under the versions of the one before; `versions` are all that
    hold from it on. Number 0 is how the partition began."""

    partition: int
    number: int
    publish_id: str
    lifecycle: str
    version: int
    offset: int
    at_ms: int
    notify: bool
    migrate: Mapping[str, str]
    versions: Versions


def add(rows: Sequence[Stored]) -> Write:
    """Append; one that is there stays as it is."""
    encoded = [
        (*row[:-2], msgspec.json.encode(dict(row.migrate)).decode(), msgspec.json.encode(row.versions).decode())
        for row in rows
    ]
    return Write(Action.INSERT_NEW, activations, _COLUMNS, encoded)


async def of_partition(transaction: Transaction, partition: int, since: int) -> list[Stored]:
    """A partition's activations from a number on, in order."""
    columns = [activations.c[name] for name in _COLUMNS]
    statement = (
        select(*columns)
        .where(activations.c.partition == partition, activations.c.number >= since)
        .order_by(activations.c.number)
    )
    return [_stored(tuple(row)) for row in await transaction.execute(statement)]


async def behind(transaction: Transaction, partition: int, number: int, limit: int) -> list[tuple[str, str]]:
    """Customers (tenant, id) of a partition who have not met its activation of that number."""
    statement = (
        select(customers.c.tenant, customers.c.customer_id)
        .where(customers.c.partition == partition, customers.c.activation < number)
        .limit(limit)
    )
    found = [tuple(row) for row in await transaction.execute(statement)]
    return [(str(tenant), str(customer)) for tenant, customer in found]


def _stored(row: tuple[Any, ...]) -> Stored:
    *plain, notify, migrate, versions = row
    moved = msgspec.json.decode(migrate, type=dict[str, str])
    return Stored._make((*plain, bool(notify), moved, msgspec.json.decode(versions, type=Versions)))
