"""Customers: states, stages, timers, stage changes, written set-based after a batch was decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import func, select

from services.stage_engine.domain.decision import EvaluationError
from services.stage_engine.domain.state import CustomerState, decode_state, encode_state
from services.stage_engine.store import tables
from shared.db.port import Action, Row, Transaction, Write

_KEY = ("tenant", "customer_id")


class CustomerKey(NamedTuple):
    """Who: a customer of a tenant."""

    tenant: str
    customer_id: str


async def load(transaction: Transaction, keys: Iterable[CustomerKey]) -> dict[CustomerKey, CustomerState]:
    """The states of those who are known; the others are absent."""
    rows = await transaction.select_many(tables.customers, _KEY, list(keys), (*_KEY, "state"))
    return {CustomerKey(tenant, customer): decode_state(stored) for tenant, customer, stored in rows}


def states_write(partition: int, states: Mapping[CustomerKey, CustomerState]) -> Write:
    """New versions of states."""
    rows = [(*key, partition, state.revision, state.activation, encode_state(state)) for key, state in states.items()]
    return Write(Action.UPSERT, tables.customers, (*_KEY, "partition", "revision", "activation", "state"), rows)


def stages_write(rows: Sequence[Row]) -> Write:
    """Current stages: (tenant, customer, lifecycle, stage, entered, entry), one row a customer and lifecycle."""
    return Write(Action.UPSERT, tables.stages, (*_KEY, "lifecycle", "stage", "entered_ms", "entry"), rows)


def timers_writes(partition: int, ripe: Mapping[CustomerKey, int | None]) -> tuple[Write, Write]:
    """Arm and disarm; only customers whose ripe time has changed need to be given."""
    armed = [(*key, partition, ripe_ms) for key, ripe_ms in ripe.items() if ripe_ms is not None]
    disarmed = [key for key, ripe_ms in ripe.items() if ripe_ms is None]
    return (
        Write(Action.UPSERT, tables.timers, (*_KEY, "partition", "ripe_ms"), armed),
        Write(Action.DELETE, tables.timers, _KEY, disarmed),
    )


async def ripe_customers(transaction: Transaction, partition: int, until_ms: int, limit: int) -> list[CustomerKey]:
    """Customers with a wake-up that is ripe, the oldest first."""
    found = await transaction.execute(
        select(tables.timers.c.tenant, tables.timers.c.customer_id)
        .where(tables.timers.c.partition == partition, tables.timers.c.ripe_ms <= until_ms)
        .order_by(tables.timers.c.ripe_ms)
        .limit(limit)
    )
    return [CustomerKey(*tuple(row)) for row in found]


async def ripe_timers(
    transaction: Transaction, partitions: Sequence[int], until_ms: int, limit: int
) -> tuple[int, int | None]:
    """How many wake-ups of some partitions are ripe, counted up to a limit, and since when the oldest of these is."""
    ripe = (
        select(tables.timers.c.ripe_ms)
        .where(tables.timers.c.partition.in_(partitions), tables.timers.c.ripe_ms <= until_ms)
        .limit(limit)
        .subquery()
    )
    found = await transaction.execute(select(func.count(), func.min(ripe.c.ripe_ms)).select_from(ripe))
    count, oldest = tuple(found.one())
    return count, oldest


async def first_ripe_ms(transaction: Transaction, partition: int) -> int | None:
    """When the partition's first wake-up is ripe; None when nothing is armed."""
    found = await transaction.execute(
        select(func.min(tables.timers.c.ripe_ms)).where(tables.timers.c.partition == partition)
    )
    ripe: int | None = found.scalar_one()
    return ripe


def stage_changes_write(rows: Sequence[Row]) -> Write:
    """New stage changes: (tenant, customer, sequence, id, effective, data)."""
    return Write(Action.INSERT, tables.stage_changes, (*_KEY, "sequence", "change_id", "effective_ms", "data"), rows)


def errors_write(errors: Sequence[tuple[CustomerKey, EvaluationError]]) -> Write:
    """Conditions that could not be computed, kept once each."""
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
    return Write(Action.INSERT_NEW, tables.evaluation_errors, columns, rows)
