"""Keeps history within its retention: old events are folded into a base state, then deleted, in small steps.

The base is what a recompute starts from, so replaying what is left gives the same customer as living did. The key of a
trimmed event is forgotten with it: a sender who repeats an id after that long is counted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog
from msgspec.structs import replace

from services.stage_engine.batches.batch import Batches
from services.stage_engine.domain.advance import NEW_CUSTOMER
from services.stage_engine.domain.recomputing import live_again
from services.stage_engine.domain.state import CustomerState, Recomputed
from services.stage_engine.looking_back import Life, lives
from services.stage_engine.partition import PartitionWorker
from services.stage_engine.publications.catching_up import Course, replay
from services.stage_engine.store import activations, bases, customers, history, progress
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Past
from services.stage_engine.store.progress import Claim, OwnershipLost
from shared.contracts.times import DAY_MS, now_ms
from shared.db.port import Transaction
from shared.errors import Permanent, Transient
from shared.service import Resources
from shared.trimming import ROUND_SECONDS, STEP_ROWS, in_small_steps

_log = structlog.get_logger(__name__)


async def keep_trimming(resources: Resources, batches: Batches, owned: Callable[[], list[PartitionWorker]]) -> None:
    """Runs until cancelled; does nothing without a retention setting."""
    days = resources.settings.history_retention_days
    while days is not None:
        for worker in owned():
            try:
                await _trim(batches, worker.claim, days * DAY_MS)
            except (OwnershipLost, Permanent, Transient) as error:
                _log.warning("trimming waits", partition=worker.claim.partition, why=str(error))
        await asyncio.sleep(ROUND_SECONDS)


async def _trim(batches: Batches, claim: Claim, retention_ms: int) -> None:
    await in_small_steps(lambda: trim_step(batches, claim, now_ms() - retention_ms))


async def trim_step(batches: Batches, claim: Claim, horizon_ms: int) -> bool:
    """Fold and delete some of a partition's events from before the horizon; whether there may be more."""
    database, rulebook = batches.database, batches.rulebook
    async with database.reading() as transaction:
        past = await history.before(transaction, claim.partition, horizon_ms, STEP_ROWS)
    if not past:
        return False
    await rulebook.meet(each.customer.tenant for each in past)
    async with database.transaction() as transaction:
        await progress.lock(transaction, claim)
        stored = await activations.of_partition(transaction, claim.partition, 0)
        for each in stored:
            await rulebook.learn(transaction, each.versions)
        known = await customers.load(transaction, {each.customer for each in past})
        # Who is about to be decided anew keeps what that takes.
        free = [each for each in past if each.customer not in known or not known[each.customer].behind]
        await _rebase(transaction, free, known, Course(rulebook, stored, batches.settle_ms))
        await history.forget(transaction, free)
    return bool(free)


def _fold(course: Course, life: Life, recomputed: Recomputed | None) -> CustomerState:
    """What stored events come to, lived again as the customer's own state came about."""
    if recomputed is not None and all(each.offset < recomputed.below for each in life.lived):
        # The beginning of what was decided anew together: it is counted when all of it is here.
        rules = course.rules(recomputed.activation, life.customer.tenant)
        began = replace(life.base, activation=recomputed.activation)
        return live_again(rules, began, [each.event for each in life.lived])
    steps = replay(course, life, recomputed)
    return steps[-1].state if steps else life.base


async def _rebase(
    transaction: Transaction,
    past: Sequence[Past],
    known: Mapping[CustomerKey, CustomerState],
    course: Course,
) -> None:
    begun = await bases.load(transaction, {each.customer for each in past})
    folded = {}
    for customer, lived in (await lives(transaction, past)).items():
        if lived:
            recomputed = known[customer].recomputed if customer in known else None
            life = Life(customer, lived, begun.get(customer, NEW_CUSTOMER))
            folded[customer] = lived[-1].event.arrival_ms, _fold(course, life, recomputed)
    await bases.save(transaction, folded)
