"""Keeps history within its retention: old events are folded into a base state, then deleted, in small steps.

The base is what a recompute starts from, so replaying what is left gives the same customer as living did. The key of a
trimmed event is forgotten with it: a sender who repeats an id after that long is counted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby

import structlog
from sqlalchemy import select

from services.stage_engine.deciding import RulesOf
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.state import CustomerState, decode_state, encode_state
from services.stage_engine.ownership import Workshop
from services.stage_engine.partition import PartitionWorker
from services.stage_engine.store import history, progress, tables
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Past
from services.stage_engine.store.progress import Claim, OwnershipLost
from shared.contracts.cloudevent import BACKFILL, decode
from shared.contracts.times import DAY_MS, now_ms
from shared.db.port import Database, Transaction
from shared.errors import Transient
from shared.service import Resources

_STEP_EVENTS = 500
_PAUSE_SECONDS = 0.2
_ROUND_SECONDS = 600.0
_log = structlog.get_logger(__name__)


async def keep_trimming(resources: Resources, workshop: Workshop, owned: Callable[[], list[PartitionWorker]]) -> None:
    """Runs until cancelled; does nothing without a retention setting."""
    days = resources.settings.history_retention_days
    while days is not None:
        for worker in owned():
            try:
                await _trim(workshop, worker.claim, days * DAY_MS)
            except (OwnershipLost, Transient) as error:
                _log.info("trimming waits", partition=worker.claim.partition, why=str(error))
        await asyncio.sleep(_ROUND_SECONDS)


async def _trim(workshop: Workshop, claim: Claim, retention_ms: int) -> None:
    more = True
    while more:
        more = await trim_step(workshop, claim, now_ms() - retention_ms)
        await asyncio.sleep(_PAUSE_SECONDS)


async def trim_step(workshop: Workshop, claim: Claim, horizon_ms: int) -> bool:
    """Fold and delete the oldest events of some customers of a partition; whether there may be more."""
    database, rulebook = workshop.batches.database, workshop.batches.rulebook
    old = await _customers_with_old_events(database, claim.partition, horizon_ms)
    if not old:
        return False
    await rulebook.meet(key.tenant for key in old)
    async with database.transaction() as transaction:
        at = await progress.lock(transaction, claim)
        past = [each for each in await history.of_customers(transaction, old) if each.arrival_ms < horizon_ms]
        rules_of = rulebook.rules_of(rulebook.active(at.versions))
        await _rebase(transaction, past, rules_of, horizon_ms)
        await history.forget(transaction, past)
    return True


async def _customers_with_old_events(database: Database, partition: int, horizon_ms: int) -> list[CustomerKey]:
    table = tables.history
    statement = (
        select(table.c.tenant, table.c.customer_id)
        .where(table.c.partition == partition, table.c.arrival_ms < horizon_ms)
        .limit(_STEP_EVENTS)
    )
    async with database.reading() as transaction:
        found = await transaction.execute(statement)
        return sorted({CustomerKey(*tuple(row)) for row in found})


async def _rebase(transaction: Transaction, past: Sequence[Past], rules_of: RulesOf, horizon_ms: int) -> None:
    key = ("tenant", "customer_id")
    customers = {each.customer for each in past}
    stored = await transaction.select_many(tables.bases, key, list(customers), (*key, "state"))
    bases = {CustomerKey(tenant, customer): decode_state(state) for tenant, customer, state in stored}
    rows = []
    for customer, events in groupby(past, key=lambda each: each.customer):
        state = fold(rules_of, customer, bases.get(customer, NEW_CUSTOMER), list(events))
        rows.append((*customer, horizon_ms, encode_state(state)))
    await transaction.upsert(tables.bases, (*key, "horizon_ms", "state"), rows)


def fold(rules_of: RulesOf, customer: CustomerKey, state: CustomerState, past: Sequence[Past]) -> CustomerState:
    """Replay stored events, in the order of (arrival, position), over a state."""
    for each in past:
        envelope = decode(each.body)
        origin = Origin(customer.tenant, customer.customer_id, envelope.id, envelope.type)
        backfill = envelope.mode == BACKFILL
        event = Event.taken(origin, envelope.time_ms, each.logged_ms, backfill=backfill, data=envelope.data)
        decision = advance(rules_of(customer.tenant), state, event)
        assert isinstance(decision, Applied)
        state = decision.state
    return state
