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
from services.stage_engine.domain.decision import Applied, EvaluationError
from services.stage_engine.domain.event import Activation, Event, Lived, Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.own_facts import OwnFacts, Tallies
from services.stage_engine.domain.recomputing import (
    decide_anew,
    is_due,
    live_again,
    marked,
    once_more,
    set_aside,
    up_to_import,
)
from services.stage_engine.domain.state import CustomerState, Recomputed
from services.stage_engine.looking_back import Life, check_amount, look_back
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.progress import Progress
from shared.db.port import Transaction
from shared.errors import Permanent


async def catch_up(
    transaction: Transaction,
    rulebook: RuleBook,
    partition: tuple[int, Progress],
    loaded: Mapping[CustomerKey, CustomerState],
    settle_ms: int,
    shares: int = 1,
) -> dict[CustomerKey, list[Applied]]:
    """What those of these customers go through who have not met all activations of their partition, in order. Raises
    TooMuchPast when that takes more of their history than a transaction with so many shares can."""
    number, at = partition
    behind = {key: state for key, state in loaded.items() if state.activation < at.activation}
    if not behind:
        return {}
    stored = await activations.of_partition(transaction, number, min(state.activation for state in behind.values()))
    for each in stored:
        await rulebook.learn(transaction, each.versions)
    course = Course(rulebook, stored, settle_ms)
    needed = behind.keys() if _needs_history(course) else {key for key in behind if behind[key].behind}
    await check_amount(transaction, needed, shares)
    lives = await look_back(transaction, needed)
    return {key: meet_all(course, lives.life(key), state) for key, state in behind.items()}


@dataclass(frozen=True, slots=True)
class Course:
    """What the customers of a partition go by, and from which offset on: its activations in order, all definitions being
    learnt by the rulebook. An import has settled `settle_ms` after its last event."""

    rulebook: RuleBook
    activations: Sequence[Stored]
    settle_ms: int

    def rules(self, activation: int, tenant: str) -> Rules:
        """Those of somebody who has met the activation of this number last. Raises Permanent when it is none of these."""
        found = [each.versions for each in self.activations if each.number == activation]
        if not found:
            raise Permanent(
                f"activation {activation} of the partition is not in the database; restore engine_activations"
            )
        return self.rulebook.rules_of(found[0])(tenant)

    def until(self, offset: int) -> Course:
        """As far as it had come at an offset of the log."""
        reached = [each for each in self.activations if each.offset <= offset]
        return Course(self.rulebook, reached, self.settle_ms)


def meet_all(course: Course, life: Life, state: CustomerState) -> list[Applied]:
    """One customer's way through the activations that they have not met. Who is to be decided anew is so before new rules
    come: an import counts by the rules under which it came."""
    found: list[Applied] = []
    for before, activation in pairwise(course.activations):
        if activation.number <= state.activation:
            continue
        if state.behind:
            rules = course.rules(before.number, life.customer.tenant)
            found.append(decide_anew(rules, state, life.base, life.lived, activation.offset))
            state = found[-1].state
        found += meet(course, life, state, (before, activation))
        state = found[-1].state
    return found


def meet(course: Course, life: Life, state: CustomerState, step: tuple[Stored, Stored]) -> list[Applied]:
    """From the versions of one activation to those of the next: time until then, and then the new rules.

    Of somebody whose import is still coming in, time goes on until its last event, so that what lies behind them is told as
    imported past and not as the doing of the new rules. Should more of the import come, they are decided anew.
    """
    before, stored = step
    old, new = (course.rules(each.number, life.customer.tenant) for each in step)
    counted_anew = facts_differ(course.rulebook, before, stored)
    settled = stored.at_ms >= state.imported_until_ms + course.settle_ms
    until_ms = stored.at_ms if settled else min(stored.at_ms, state.imported_until_ms)
    try:
        ticked = advance(old, state, Tick(until_ms))
        tallies = _tallies_anew(new, life, stored) if counted_anew else None
        return [ticked, advance(new, ticked.state, _activation(stored, tallies))]
    except Exception as error:  # the edge of a life: whatever is wrong with this one, the others must go on
        detail = f"{type(error).__name__} while meeting it: {error}"
        told = EvaluationError(stored.lifecycle, "", f"version {stored.version}", detail, {}, stored.at_ms)
        return [Applied(replace(state, activation=stored.number), errors=(told,))]


def _tallies_anew(rules: Rules, life: Life, stored: Stored) -> Tallies:
    own = next(each.own for each in rules.lifecycles if each.name == stored.lifecycle)
    return tallies_of(own, [each.event for each in life.lived if each.offset < stored.offset], stored.at_ms)


def _activation(stored: Stored, tallies: Tallies | None) -> Activation:
    return Activation(
        number=stored.number,
        at_ms=stored.at_ms,
        lifecycle=stored.lifecycle,
        version=stored.version,
        publish_id=stored.publish_id,
        notify=stored.notify,
        migrate=stored.migrate,
        tallies=tallies,
    )


def replay(course: Course, life: Life, recomputed: Recomputed | None = None) -> list[Applied]:
    """A customer's history lived again as it was lived: in the order of the log, each event under the rules that held at
    its offset, the course having all activations of the partition. With `recomputed` what came before the last time that
    the customer was decided anew is lived once and in the order of arrival, instead of as it was lived then. Raises
    NotLivable for an event that can't be applied again."""
    again = _Again(course, life, life.base)
    if recomputed is not None and life.base.recomputed != recomputed:
        again.jump(recomputed)
    elif life.base is NEW_CUSTOMER and life.lived:
        began = course.until(min(each.offset for each in life.lived)).activations
        again.state = replace(life.base, activation=max((each.number for each in began), default=0))
    for each in sorted(life.lived, key=lambda each: each.offset):
        if again.state.recomputed is None or each.offset >= again.state.recomputed.below:
            again.live(each)
    return again.found


@dataclass(slots=True)
class _Again:
    """One customer's life on its way through a replay."""

    course: Course
    life: Life
    state: CustomerState
    found: list[Applied] = field(default_factory=list)

    def jump(self, recomputed: Recomputed) -> None:
        """To where the customer was decided anew."""
        events = [each.event for each in self.life.lived if each.offset < recomputed.below]
        base = replace(self.life.base, activation=recomputed.activation)
        rules = self._rules(recomputed.activation)
        self._keep(Applied(marked(rules, live_again(rules, base, events), recomputed)))

    def live(self, each: Lived) -> None:
        """An event at its place in the log."""
        settle_ms = self.course.settle_ms
        for applied in meet_all(self.course.until(each.offset), self.life, self.state):
            self._keep(applied)
        rules = self._rules(self.state.activation)
        if is_due(self.state, each.event.logged_ms, settle_ms):
            self._keep(decide_anew(rules, self.state, self.life.base, self.life.lived, each.offset))
        if (woken := up_to_import(rules, self.state, each.event, settle_ms)) is not None:
            self._keep(woken)
        decision = once_more(rules, self.state, each.event)
        self._keep(decision if isinstance(decision, Applied) else Applied(set_aside(self.state, each.event)))

    def _keep(self, applied: Applied) -> None:
        self.state = applied.state
        self.found.append(applied)

    def _rules(self, activation: int) -> Rules:
        return self.course.rules(activation, self.life.customer.tenant)


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


def _needs_history(course: Course) -> bool:
    return any(facts_differ(course.rulebook, before, after) for before, after in pairwise(course.activations))
