"""Reads for people and programs: never part of a batch, always of one tenant."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from sqlalchemy import func, select, tuple_

from services.stage_engine.domain.state import CustomerState, decode_state
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.tables import customers, stage_changes, stages
from shared.db.port import Transaction

_LOOKED_BACK = 300


class Placed(NamedTuple):
    """A customer in a stage."""

    customer_id: str
    stage: str
    entered_ms: int
    entry: int


class KeptChange(NamedTuple):
    """A stage change as it was kept; `data` is JSON."""

    sequence: int
    change_id: str
    effective_ms: int
    data: bytes


class Listing(NamedTuple):
    """Which customers are asked for; `after` is the last customer id of the page before."""

    tenant: str
    lifecycle: str
    stage: str | None
    after: str
    limit: int


async def placed(transaction: Transaction, asked: Listing) -> list[Placed]:
    """Customers of a lifecycle, or of one of its stages, by customer id."""
    statement = (
        select(stages.c.customer_id, stages.c.stage, stages.c.entered_ms, stages.c.entry)
        .where(stages.c.tenant == asked.tenant, stages.c.lifecycle == asked.lifecycle)
        .where(stages.c.customer_id > asked.after)
        .order_by(stages.c.customer_id)
        .limit(asked.limit)
    )
    if asked.stage is not None:
        statement = statement.where(stages.c.stage == asked.stage)
    return [Placed(*tuple(row)) for row in await transaction.execute(statement)]


async def counts(transaction: Transaction, tenant: str, lifecycle: str) -> dict[str, int]:
    """How many customers are in each stage of a lifecycle."""
    statement = (
        select(stages.c.stage, func.count())
        .where(stages.c.tenant == tenant, stages.c.lifecycle == lifecycle)
        .group_by(stages.c.stage)
        .order_by(stages.c.stage)
    )
    found = [tuple(row) for row in await transaction.execute(statement)]
    return {str(stage): int(count) for stage, count in found}


async def located(transaction: Transaction, tenant: str, customer_id: str) -> tuple[int, CustomerState] | None:
    """A customer's partition and state, or None for one who was never heard of."""
    found = await transaction.execute(
        select(customers.c.partition, customers.c.state).where(
            customers.c.tenant == tenant, customers.c.customer_id == customer_id
        )
    )
    for partition, state in map(tuple, found):
        return partition, decode_state(state)
    return None


async def state_of(transaction: Transaction, tenant: str, customer_id: str) -> CustomerState | None:
    """A customer's state, or None for one who was never heard of."""
    found = await located(transaction, tenant, customer_id)
    return found[1] if found else None


async def changes_of(
    transaction: Transaction, tenant: str, customer_id: str, after: int, limit: int
) -> list[KeptChange]:
    """A customer's stage changes behind a sequence number, in order."""
    statement = (
        select(stage_changes.c.sequence, stage_changes.c.change_id, stage_changes.c.effective_ms, stage_changes.c.data)
        .where(stage_changes.c.tenant == tenant, stage_changes.c.customer_id == customer_id)
        .where(stage_changes.c.sequence > after)
        .order_by(stage_changes.c.sequence)
        .limit(limit)
    )
    return [KeptChange(*tuple(row)) for row in await transaction.execute(statement)]


async def last_changes(transaction: Transaction, tenant: str, customer_id: str) -> dict[str, KeptChange]:
    """The last stage change of a customer in each lifecycle, among the newest few hundred."""
    statement = (
        select(stage_changes.c.sequence, stage_changes.c.change_id, stage_changes.c.effective_ms, stage_changes.c.data)
        .where(stage_changes.c.tenant == tenant, stage_changes.c.customer_id == customer_id)
        .order_by(stage_changes.c.sequence.desc())
        .limit(_LOOKED_BACK)
    )
    newest = [KeptChange(*tuple(row)) for row in await transaction.execute(statement)]
    return {_lifecycle(each.data).lifecycle: each for each in reversed(newest)}


class _Named(msgspec.Struct):
    lifecycle: str


_lifecycle = msgspec.json.Decoder(_Named).decode


class StoredState(NamedTuple):
    """A customer as stored."""

    customer: CustomerKey
    partition: int
    state: CustomerState


async def states_after(
    transaction: Transaction, only: CustomerKey | None, after: CustomerKey | None, limit: int
) -> list[StoredState]:
    """Customers of all tenants by tenant and id, behind one of them; or only one."""
    columns = customers.c
    statement = select(columns.tenant, columns.customer_id, columns.partition, columns.state)
    if only is not None:
        statement = statement.where(columns.tenant == only.tenant, columns.customer_id == only.customer_id)
    if after is not None:
        statement = statement.where(tuple_(columns.tenant, columns.customer_id) > tuple_(*after))
    ordered = statement.order_by(columns.tenant, columns.customer_id).limit(limit)
    found = [tuple(row) for row in await transaction.execute(ordered)]
    return [
        StoredState(CustomerKey(tenant, customer), partition, decode_state(state))
        for tenant, customer, partition, state in found
    ]
