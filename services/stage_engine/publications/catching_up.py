"""Customers meet what was published while nobody looked at them: lazily, before anything else happens to them.

A partition goes by new versions from one offset on. A customer is brought up to it when first touched, by an event, a
timer or the sweep: what was ripe by then goes off under the old rules, facts of the lifecycle's own are computed from
history where their definition changed, and the new rules are looked at. All of it follows from history and activations,
so it makes no difference when it is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from msgspec.structs import replace

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.by_hand import MANUAL_MOVE
from services.stage_engine.domain.decision import Applied, BehindClock
from services.stage_engine.domain.event import Activation, Event, Lived, Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.own_facts import OwnFacts, Tallies
from services.stage_engine.domain.recomputing import (
    NotLivable,
    decide_anew,
    is_due,
    live_again,
    marked,
    set_aside,
    up_to_import,
)
from services.stage_engine.domain.state import CustomerState, Recomputed
from services.stage_engine.looking_back import look_back
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.progress import Progress
from shared.db.port import Transaction


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
    needed = behind.keys() if _needs_history(rulebook, stored) else {key for key in behind if behind[key].behind}
    lives = await look_back(transaction, needed)
    return {
        key: meet_all(rulebook, key.tenant, state, stored, lives.lived.get(key, ()), settle_ms, lives.bases.get(key))
        for key, state in behind.items()
    }


def meet_all(
    rulebook: RuleBook,
    tenant: str,
    state: CustomerState,
    stored: Sequence[Stored],
    past: Sequence[Lived],
    settle_ms: int,
    base: CustomerState | None = None,
) -> list[Applied]:
    """One customer's way through the activations that they have not met; `stored` begins with the one met last. Who is to
    be decided anew, from `base` on, is so before new rules come: an import counts by the rules under which it came."""
    found: list[Applied] = []
    for before, activation in pairwise(stored):
        if activation.number > state.activation:
            if state.behind:
                rules = rulebook.rules_of(before.versions)(tenant)
                found.append(decide_anew(rules, state, base or NEW_CUSTOMER, past, activation.offset))
                state = found[-1].state
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
    """From the versions of one activation to those of the next: time until then, and then the new rules.

    Of somebody whose import is still coming in, time goes on until its last event, so that what lies behind them is told as
    imported past and not as the doing of the new rules. Should more of the import come, they are decided anew.
    """
    before, stored = step
    settled = stored.at_ms >= state.imported_until_ms + settle_ms
    until_ms = stored.at_ms if settled else min(stored.at_ms, state.imported_until_ms)
    ticked = advance(rulebook.rules_of(before.versions)(tenant), state, Tick("", "", until_ms))
    assert isinstance(ticked, Applied)
    found = [ticked]
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
    recomputed: Recomputed | None = None,
) -> list[Applied]:
    """A customer's history lived again as it was lived: in the order of the log, each event under the rules that held at
    its offset, `stored` being all activations of the partition. `state` is where the history begins. With `recomputed`
    what came before the last time that the customer was decided anew is lived once and in the order of arrival, instead of
    as it was lived then. Raises NotLivable for an event that can't be applied again."""
    again = _Again(rulebook, tenant, stored, settle_ms, state, lived)
    if recomputed is not None and state.recomputed != recomputed:
        again.jump(recomputed)
    elif state is NEW_CUSTOMER and lived:
        first = min(each.offset for each in lived)
        began = [each.number for each in stored if each.offset <= first]
        again.state = replace(state, activation=max(began, default=0))
    for each in sorted(lived, key=lambda each: each.offset):
        if again.state.recomputed is None or each.offset >= again.state.recomputed.below:
            again.live(each)
    return again.found


@dataclass(slots=True)
class _Again:
    """One customer's life on its way through a replay."""

    rulebook: RuleBook
    tenant: str
    stored: Sequence[Stored]
    settle_ms: int
    base: CustomerState
    lived: Sequence[Lived]
    state: CustomerState = field(init=False)
    found: list[Applied] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.base

    def jump(self, recomputed: Recomputed) -> None:
        """To where the customer was decided anew."""
        events = [each.event for each in self.lived if each.offset < recomputed.below]
        base = replace(self.base, activation=recomputed.activation)
        rules = self._rules(recomputed.activation)
        self._keep(Applied(marked(rules, live_again(rules, base, events), recomputed)))

    def live(self, each: Lived) -> None:
        """An event at its place in the log."""
        reached = [activation for activation in self.stored if activation.offset <= each.offset]
        for applied in meet_all(self.rulebook, self.tenant, self.state, reached, self.lived, self.settle_ms, self.base):
            self._keep(applied)
        rules = self._rules(self.state.activation)
        if is_due(self.state, each.event.logged_ms, self.settle_ms):
            self._keep(decide_anew(rules, self.state, self.base, self.lived, each.offset))
        if (woken := up_to_import(rules, self.state, each.event, self.settle_ms)) is not None:
            self._keep(woken)
        decision = advance(rules, self.state, each.event)
        if isinstance(decision, BehindClock):
            decision = Applied(set_aside(self.state, each.event))
        if not isinstance(decision, Applied):
            customer = each.event.customer_id
            raise NotLivable(f"event {each.event.id!r} of {customer!r} was applied once and can't be again: {decision}")
        self._keep(decision)

    def _keep(self, applied: Applied) -> None:
        self.state = applied.state
        self.found.append(applied)

    def _rules(self, activation: int) -> Rules:
        versions = next(each.versions for each in self.stored if each.number == activation)
        return self.rulebook.rules_of(versions)(self.tenant)


def tallies_of(own: OwnFacts, lived: Sequence[Event], at_ms: int) -> Tallies:
    """A lifecycle's own facts from a history, as they stand at a moment."""
    tallies: Tallies = {}
    reached = 0
    for event in lived:
        if event.type == MANUAL_MOVE:
            continue  # nothing that the customer did
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
