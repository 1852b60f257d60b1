"""Keeps history within its retention: old events are folded into a base state, then deleted, in small steps.

The base is what a recompute starts from, so replaying what is left gives the same customer as living did. The key of a
trimmed event is forgotten with it: a sender who repeats an id after that long is counted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby

import structlog

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
from shared.db.port import Transaction
from shared.errors import Permanent, Transient
from shared.service import Resources
from shared.trimming import ROUND_SECONDS, STEP_ROWS, in_small_steps

_log = structlog.get_logger(__name__)


async def keep_trimming(resources: Resources, workshop: Workshop, owned: Callable[[], list[PartitionWorker]]) -> None:
    """Runs until cancelled; does nothing without a retention setting."""
    days = resources.settings.history_retention_days
    while days is not None:
        for worker in owned():
            try:
                await _trim(workshop, worker.claim, days * DAY_MS)
            except (OwnershipLost, Permanent, Transient) as error:
                _log.warning("trimming waits", partition=worker.claim.partition, why=str(error))
        await asyncio.sleep(ROUND_SECONDS)


async def _trim(workshop: Workshop, claim: Claim, retention_ms: int) -> None:
    await in_small_steps(lambda: trim_step(workshop, claim, now_ms() - retention_ms))


async def trim_step(workshop: Workshop, claim: Claim, horizon_ms: int) -> bool:
    """Fold and delete some of a partition's events from before the horizon; whether there may be more."""
    database, rulebook = workshop.batches.database, workshop.batches.rulebook
    async with database.reading() as transaction:
        past = await history.before(transaction, claim.partition, horizon_ms, STEP_ROWS)
    if not past:
        return False
    await rulebook.meet(each.customer.tenant for each in past)
    async with database.transaction() as transaction:
        at = await progress.lock(transaction, claim)
        await _rebase(transaction, past, rulebook.rules_of(rulebook.active(at.versions)))
        await history.forget(transaction, past)
    return True


async def _rebase(transaction: Transaction, past: Sequence[Past], rules_of: RulesOf) -> None:
    key = ("tenant", "customer_id")
    customers = {each.customer for each in past}
    stored = await transaction.select_many(tables.bases, key, list(customers), (*key, "state"))
    bases = {CustomerKey(tenant, customer): decode_state(state) for tenant, customer, state in stored}
    rows = []
    for customer, grouped in groupby(past, key=lambda each: each.customer):
        events = list(grouped)
        state = fold(rules_of, customer, bases.get(customer, NEW_CUSTOMER), events)
        rows.append((*customer, events[-1].arrival_ms, encode_state(state)))
    await transaction.upsert(tables.bases, (*key, "horizon_ms", "state"), rows)


def fold(rules_of: RulesOf, customer: CustomerKey, state: CustomerState, past: Sequence[Past]) -> CustomerState:
    """Replay stored events, in the order of (arrival, position), over a state."""
    for each in past:
        envelope = decode(each.body)
        origin = Origin(customer.tenant, customer.customer_id, envelope.id, envelope.type)
        backfill = envelope.mode == BACKFILL
        event = Event.taken(origin, envelope.time_ms, each.logged_ms, backfill=backfill, data=envelope.data)
        decision = advance(rules_of(customer.tenant), state, event)
        if not isinstance(decision, Applied):
            raise Permanent(
                f"event {envelope.id!r} of {customer.customer_id!r} was applied once and can't be again: {decision}"
            )
        state = decision.state
    return state
