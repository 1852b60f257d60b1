"""Customers: states, stages, timers, stage changes, written set-based after a batch was decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import func, select

from services.stage_engine.domain.decision import EvaluationError
from services.stage_engine.domain.state import CustomerState, decode_state, encode_state
from services.stage_engine.store import tables
from shared.db.port import Row, Transaction

_KEY = ("tenant", "customer_id")


class CustomerKey(NamedTuple):
    """Who: a customer of a tenant."""

    tenant: str
    customer_id: str


class Loaded(NamedTuple):
    """A stored state and the ripe time stored with it (None: no timer)."""

    state: CustomerState
    ripe_ms: int | None


async def load(transaction: Transaction, keys: Iterable[CustomerKey]) -> dict[CustomerKey, Loaded]:
    """The states of those who are known; the others are absent."""
    wanted = list(keys)
    states = await transaction.select_many(tables.customers, _KEY, wanted, (*_KEY, "state"))
    found = {CustomerKey(tenant, customer): stored for tenant, customer, stored in states}
    timers = await transaction.select_many(tables.timers, _KEY, list(found), (*_KEY, "ripe_ms"))
    ripe = {CustomerKey(tenant, customer): ripe_ms for tenant, customer, ripe_ms in timers}
    return {key: Loaded(decode_state(stored), ripe.get(key)) for key, stored in found.items()}


async def save_states(transaction: Transaction, partition: int, states: Mapping[CustomerKey, CustomerState]) -> None:
    """Write new versions of states."""
    rows = [(*key, partition, state.revision, encode_state(state)) for key, state in states.items()]
    await transaction.upsert(tables.customers, (*_KEY, "partition", "revision", "state"), rows)


async def save_stages(transaction: Transaction, rows: Sequence[Row]) -> None:
    """Write current stages: (tenant, customer, lifecycle, stage, entered, entry), one row a customer and lifecycle."""
    await transaction.upsert(tables.stages, (*_KEY, "lifecycle", "stage", "entered_ms", "entry"), rows)


async def save_timers(transaction: Transaction, partition: int, ripe: Mapping[CustomerKey, int | None]) -> None:
    """Arm and disarm; only customers whose ripe time has changed need to be given."""
    armed = [(*key, partition, ripe_ms) for key, ripe_ms in ripe.items() if ripe_ms is not None]
    await transaction.upsert(tables.timers, (*_KEY, "partition", "ripe_ms"), armed)
    await transaction.delete_many(tables.timers, _KEY, [key for key, ripe_ms in ripe.items() if ripe_ms is None])


async def ripe_customers(transaction: Transaction, partition: int, until_ms: int, limit: int) -> list[CustomerKey]:
    """Customers with a wake-up that is ripe, the oldest first."""
    found = await transaction.execute(
        select(tables.timers.c.tenant, tables.timers.c.customer_id)
        .where(tables.timers.c.partition == partition, tables.timers.c.ripe_ms <= until_ms)
        .order_by(tables.timers.c.ripe_ms)
        .limit(limit)
    )
    return [CustomerKey(*tuple(row)) for row in found]


async def first_ripe_ms(transaction: Transaction, partition: int) -> int | None:
    """When the partition's first wake-up is ripe; None when nothing is armed."""
    found = await transaction.execute(
        select(func.min(tables.timers.c.ripe_ms)).where(tables.timers.c.partition == partition)
    )
    ripe: int | None = found.scalar_one()
    return ripe


async def save_stage_changes(transaction: Transaction, rows: Sequence[Row]) -> None:
    """Append stage changes: (tenant, customer, sequence, id, effective, data)."""
    columns = (*_KEY, "sequence", "change_id", "effective_ms", "data")
    await transaction.insert(tables.stage_changes, columns, rows)


async def save_errors(transaction: Transaction, errors: Sequence[tuple[CustomerKey, EvaluationError]]) -> None:
    """Keep conditions that could not be computed, once each."""
    columns = (*_KEY, "lifecycle", "transition", "at_ms", "expression", "detail", "facts")
    rows = [
        (
            *key,
            each.lifecycle,
            each.transition,
            each.at_ms,
            each.expression,
            each.detail,
            msgspec.json.encode(each.facts),
        )
        for key, each in errors
    ]
    await transaction.insert_new(tables.evaluation_errors, columns, rows, ("at_ms",))
