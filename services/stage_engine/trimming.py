"""Keeps history within its retention: old events are folded into a base state, then deleted, in small steps.

The base is what a recompute starts from, so replaying what is left gives the same customer as living did. The key of a
trimmed event is forgotten with it: a sender who repeats an id after that long is counted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from services.stage_engine.domain.advance import NEW_CUSTOMER
from services.stage_engine.domain.event import Lived
from services.stage_engine.domain.recomputing import live_again
from services.stage_engine.domain.state import CustomerState, Recomputed
from services.stage_engine.looking_back import lives
from services.stage_engine.ownership import Workshop
from services.stage_engine.partition import PartitionWorker
from services.stage_engine.publications.catching_up import replay
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations, bases, customers, history, progress
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Past
from services.stage_engine.store.progress import Claim, OwnershipLost
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
        await progress.lock(transaction, claim)
        stored = await activations.of_partition(transaction, claim.partition, 0)
        for each in stored:
            await rulebook.learn(transaction, each.versions)
        known = await customers.load(transaction, {each.customer for each in past})
        # Who is about to be decided anew keeps what that takes.
        free = [each for each in past if each.customer not in known or not known[each.customer].behind]
        await _rebase(transaction, free, known, Replaying(rulebook, stored, workshop.batches.settle_ms))
        await history.forget(transaction, free)
    return bool(free)


@dataclass(frozen=True, slots=True)
class Replaying:
    """What history is lived again by: the rules, and from which offset on which of them held."""

    rulebook: RuleBook
    activations: Sequence[Stored]
    settle_ms: int

    def fold(
        self, customer: CustomerKey, state: CustomerState, lived: Sequence[Lived], recomputed: Recomputed | None
    ) -> CustomerState:
        """Live stored events again over a state, as the customer's own state came about."""
        if recomputed is not None and all(each.offset < recomputed.below for each in lived):
            # The beginning of what was decided anew together: it is counted when all of it is here.
            versions = next(each.versions for each in self.activations if each.number == recomputed.activation)
            rules = self.rulebook.rules_of(versions)(customer.tenant)
            began = replace(state, activation=recomputed.activation)
            return live_again(rules, began, [each.event for each in lived])
        steps = replay(self.rulebook, customer.tenant, state, lived, self.activations, self.settle_ms, recomputed)
        return steps[-1].state if steps else state


async def _rebase(
    transaction: Transaction,
    past: Sequence[Past],
    known: Mapping[CustomerKey, CustomerState],
    replaying: Replaying,
) -> None:
    begun = await bases.load(transaction, {each.customer for each in past})
    folded = {}
    for customer, lived in (await lives(transaction, past)).items():
        if lived:
            recomputed = known[customer].recomputed if customer in known else None
            state = replaying.fold(customer, begun.get(customer, NEW_CUSTOMER), lived, recomputed)
            folded[customer] = lived[-1].event.arrival_ms, state
    await bases.save(transaction, folded)
