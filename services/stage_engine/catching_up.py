"""Customers meet what was published while nobody looked at them: lazily, before anything else happens to them.

A partition goes by new versions from one offset on. A customer is brought up to it when first touched, by an event, a
timer or the sweep: what was ripe by then goes off under the old rules, facts of the lifecycle's own are computed from
history where their definition changed, and the new rules are looked at. All of it follows from history and activations,
so it makes no difference when it is done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from msgspec.structs import replace

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Activation, Event, Origin, Tick
from services.stage_engine.domain.own_facts import OwnFacts, Tallies
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations, history
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Past
from services.stage_engine.store.progress import Progress
from shared.contracts.cloudevent import BACKFILL, decode
from shared.db.port import Transaction
from shared.errors import Permanent


@dataclass(frozen=True, slots=True)
class Lived:
    """An event of a customer's history with its place in the log."""

    offset: int
    event: Event


async def catch_up(
    transaction: Transaction,
    rulebook: RuleBook,
    partition: tuple[int, Progress],
    loaded: Mapping[CustomerKey, CustomerState],
    settle_ms: int,
) -> dict[CustomerKey, list[Applied]]:
    """What those of these customers go through who have not met all activations of their partition, in order."""
    number, at = partition
    behind = {key: state for key, state in loaded.items() if state.activation < at.activation}
    if not behind:
        return {}
    stored = await activations.of_partition(transaction, number, min(state.activation for state in behind.values()))
    for each in stored:
        await rulebook.learn(transaction, each.versions)
    past = await histories(transaction, list(behind)) if _needs_history(rulebook, stored) else {}
    return {
        key: meet_all(rulebook, key.tenant, state, stored, past.get(key, ()), settle_ms)
        for key, state in behind.items()
    }


def meet_all(
    rulebook: RuleBook,
    tenant: str,
    state: CustomerState,
    stored: Sequence[Stored],
    past: Sequence[Lived],
    settle_ms: int,
) -> list[Applied]:
    """One customer's way through the activations that they have not met; `stored` begins with the one met last."""
    found: list[Applied] = []
    for before, activation in pairwise(stored):
        if activation.number > state.activation:
            lived = [each.event for each in past if each.offset < activation.offset]
            for applied in meet(rulebook, tenant, state, (before, activation), lived, settle_ms):
                state = applied.state
                found.append(applied)
    return found


def meet(
    rulebook: RuleBook,
    tenant: str,
    state: CustomerState,
    step: tuple[Stored, Stored],
    lived: Sequence[Event],
    settle_ms: int,
) -> list[Applied]:
    """From the versions of one activation to those of the next: time until then, and then the new rules."""
    before, stored = step
    found: list[Applied] = []
    if stored.at_ms >= state.imported_until_ms + settle_ms:
        ticked = advance(rulebook.rules_of(before.versions)(tenant), state, Tick("", "", stored.at_ms))
        assert isinstance(ticked, Applied)
        found.append(ticked)
        state = ticked.state
    tallies = None
    if facts_differ(rulebook, before, stored):
        rules = rulebook.rules_of(stored.versions)(tenant)
        own = next(each.own for each in rules.lifecycles if each.name == stored.lifecycle)
        tallies = tallies_of(own, lived, stored.at_ms)
    activation = Activation(
        number=stored.number,
        at_ms=stored.at_ms,
        lifecycle=stored.lifecycle,
        version=stored.version,
        publish_id=stored.publish_id,
        notify=stored.notify,
        migrate=stored.migrate,
        tallies=tallies,
    )
    applied = advance(rulebook.rules_of(stored.versions)(tenant), state, activation)
    assert isinstance(applied, Applied)
    return [*found, applied]


def replay(
    rulebook: RuleBook,
    tenant: str,
    state: CustomerState,
    lived: Sequence[Lived],
    stored: Sequence[Stored],
    settle_ms: int,
) -> list[Applied]:
    """A customer's history lived again, each event under the rules that held at its offset, `stored` being all
    activations of the partition. Raises Permanent for an event that can't be applied again."""
    found: list[Applied] = []
    if state is NEW_CUSTOMER and lived:
        began = [each.number for each in stored if each.offset <= lived[0].offset]
        state = replace(state, activation=max(began, default=0))
    versions = {each.number: each for each in stored}
    for place, each in enumerate(lived):
        reached = [activation for activation in stored if activation.offset <= each.offset]
        for applied in meet_all(rulebook, tenant, state, reached, lived[:place], settle_ms):
            state = applied.state
            found.append(applied)
        decision = advance(rulebook.rules_of(versions[state.activation].versions)(tenant), state, each.event)
        if not isinstance(decision, Applied):
            customer = each.event.customer_id
            raise Permanent(f"event {each.event.id!r} of {customer!r} was applied once and can't be again: {decision}")
        state = decision.state
        found.append(decision)
    return found


def tallies_of(own: OwnFacts, lived: Sequence[Event], at_ms: int) -> Tallies:
    """A lifecycle's own facts from a history, as they stand at a moment."""
    tallies: Tallies = {}
    reached = 0
    for event in lived:
        reached = max(reached, event.time_ms)
        tallies, _ = own.take(tallies, event, reached)
    return own.without_past_days(tallies, at_ms)


def facts_differ(rulebook: RuleBook, before: Stored, after: Stored) -> bool:
    """Whether the lifecycle's own facts have to be computed anew: another definition, or days of another zone."""
    if not after.lifecycle:
        return False
    if before.versions.get(after.lifecycle) is None:
        return bool(rulebook.definition(after.lifecycle, after.version).shape.facts)
    old = rulebook.definition(after.lifecycle, before.versions[after.lifecycle]).shape
    new = rulebook.definition(after.lifecycle, after.version).shape
    return (old.facts, old.time_zone) != (new.facts, new.time_zone)


def _needs_history(rulebook: RuleBook, stored: Sequence[Stored]) -> bool:
    return any(facts_differ(rulebook, before, after) for before, after in pairwise(stored))


async def histories(transaction: Transaction, keys: Collection[CustomerKey]) -> dict[CustomerKey, list[Lived]]:
    """The kept events of some customers, each customer's in the order in which they were applied."""
    found: dict[CustomerKey, list[Lived]] = {}
    for past in await history.of_customers(transaction, list(keys)):
        found.setdefault(past.customer, []).append(Lived(past.offset, event_of(past)))
    return found


def event_of(past: Past) -> Event:
    """A stored event as it was applied."""
    envelope = decode(past.body)
    origin = Origin(past.customer.tenant, past.customer.customer_id, envelope.id, envelope.type)
    backfill = envelope.mode == BACKFILL
    return Event.taken(origin, envelope.time_ms, past.logged_ms, backfill=backfill, data=envelope.data)
