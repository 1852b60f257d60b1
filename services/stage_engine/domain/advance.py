"""`advance`: the one function that moves customers. Simulation, plans, tests and production all call it.

Replay equals living: its result depends on a customer's history in the order of (arrival, log position) alone, not on
batches, on the number of engines, or on when a tick happens to come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import msgspec
from msgspec.structs import replace

from services.stage_engine.domain.by_hand import MANUAL_MOVE, ManualMove, Moved, read_move, refusal
from services.stage_engine.domain.decision import (
    Applied,
    BehindClock,
    ByActivation,
    ByEvent,
    ByHand,
    ByTimer,
    CausedBy,
    Decision,
    EvaluationError,
    StageChange,
    Unapplicable,
)
from services.stage_engine.domain.event import Activation, Event, Tick
from services.stage_engine.domain.facts import START_VALUES, Ledger, apply_event
from services.stage_engine.domain.lifecycle import Lifecycle, Rules
from services.stage_engine.domain.moves import Hop, Move, arrive, hops, walk_from, walk_on
from services.stage_engine.domain.own_facts import FactFailed, FactView, Problem, Tallies
from services.stage_engine.domain.state import CustomerState, FactValue, LifecycleState
from services.stage_engine.domain.walk import NOTHING, Situation, Walk, facts_read, next_wake_ms, stands_still

NEW_CUSTOMER = CustomerState(facts=dict(START_VALUES))
"""The state of a customer who was never heard of."""

MOST_BY_TIME = 1_000
"""How often time alone may move a customer in one lifecycle between two events; then they rest. See decision 15."""

_ALWAYS = 1 << 62
NO_TALLIES: Tallies = {}


@overload
def advance(rules: Rules, state: CustomerState, occurrence: Tick | Activation) -> Applied: ...
@overload
def advance(rules: Rules, state: CustomerState, occurrence: Event | Tick | Activation) -> Decision: ...
def advance(rules: Rules, state: CustomerState, occurrence: Event | Tick | Activation) -> Decision:
    """What an event, time gone by, or new rules make of a customer.

    First every wake-up that is ripe goes off, in the order of ripening, each a decision of its own. Then the event changes
    facts at its time, and takes edges at the later of its time and each lifecycle's clock.
    """
    advanced = _Advance(rules, state)
    if isinstance(occurrence, Tick):
        advanced.wake_ripe(occurrence.until_ms)
        return advanced.result()
    if isinstance(occurrence, Activation):
        advanced.activate(occurrence)
        return advanced.result()
    if occurrence.backfill and occurrence.arrival_ms < state.decided_until_ms:
        return BehindClock(state.decided_until_ms)
    advanced.wake_ripe(occurrence.arrival_ms)
    if occurrence.type == MANUAL_MOVE:
        return advanced.move_by_hand(occurrence, state)
    ledger = Ledger(dict(advanced.state.facts), dict(advanced.state.notes), rules.currency)
    try:
        apply_event(ledger, occurrence)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Unapplicable(f"the payload of {occurrence.type} can't be used: {error!r}")
    advanced.apply(occurrence, ledger)
    return advanced.result()


def first_ripe_ms(rules: Rules, state: CustomerState) -> int | None:
    """When time alone wakes a customer next, in any of the lifecycles; None when nothing waits."""
    first: int | None = None
    for lifecycle in rules.lifecycles:
        current = state.lifecycles.get(lifecycle.name)
        if current is not None and current.wake_ms is not None:
            ripe = current.wake_ms + lifecycle.lateness_ms
            first = ripe if first is None or ripe < first else first
    return first


class _Why(msgspec.Struct, frozen=True):
    """What a decision is put down to."""

    cause: CausedBy
    backfill: bool


@dataclass(slots=True)
class _Advance:
    """The state on its way through one call. Every version of it is a new value; none is changed in place."""

    rules: Rules
    state: CustomerState
    changes: list[StageChange] = field(default_factory=list)
    errors: list[EvaluationError] = field(default_factory=list)

    def result(self) -> Applied:
        return Applied(self.state, tuple(self.changes), tuple(self.errors))

    def wake_ripe(self, until_ms: int) -> None:
        """Let wake-ups go off whose due time plus lateness has come, the first ripe first, each a decision."""
        while (ripest := self._ripest(until_ms)) is not None:
            self._wake(*ripest)

    def _ripest(self, until_ms: int) -> tuple[Lifecycle, int] | None:
        """The wake-up that is ripe first. Not the one that is due first: where latenesses differ, that would depend on
        whether time was noticed in between. What ripens at one instant goes by due time, then as lifecycles run."""
        found: tuple[Lifecycle, int] | None = None
        first = (until_ms, _ALWAYS)
        for lifecycle in self.rules.lifecycles:
            current = self.state.lifecycles.get(lifecycle.name)
            due = current.wake_ms if current else None
            if due is not None and (due + lifecycle.lateness_ms, due) < first:
                found, first = (lifecycle, due), (due + lifecycle.lateness_ms, due)
        return found

    def _wake(self, lifecycle: Lifecycle, due: int) -> None:
        current = self.state.lifecycles[lifecycle.name]
        # A clock of one millisecond before wakes exactly the edges that are due now, and sees what a window loses now.
        move = self._pass(lifecycle, current, due - 1, due)
        if move.walk.taken and current.by_time >= MOST_BY_TIME:
            self._rest(move)
            return
        if move.walk.taken:
            ripe = due + lifecycle.lateness_ms
            # Ripe before the import had come in: nobody could have noticed it while it was news.
            why = _Why(ByTimer(due), backfill=ripe <= self.state.imported_until_ms)
            draft = replace(self.state, decided_until_ms=max(ripe, self.state.decided_until_ms))
            self._decide(self._with_dependents(move, due), draft, why)
            return
        # Nothing changed: no new revision, no movement of the clock; only this due time is done with.
        self.errors += move.walk.errors
        done = replace(current, wake_ms=next_wake_ms(move.walk, current.tallies, due))
        self.state = replace(self.state, lifecycles={**self.state.lifecycles, lifecycle.name: done})

    def _rest(self, move: Move) -> None:
        """Leave the customer where they are until something else moves them: time alone keeps up a circle of the rules."""
        lifecycle, edge = move.walk.lifecycle, move.walk.taken[0]
        detail = (
            f"time alone has moved this customer {MOST_BY_TIME:,} times since their last event, and moves them no further: the "
            "waits lead in a circle, so give one of its transitions an event or a condition"
        )
        expression = edge.when.source if edge.when else ""
        at = move.walk.situation.at_ms
        self.errors.append(EvaluationError(lifecycle.name, edge.id, expression, detail, {}, at))
        assert move.before is not None
        resting = {lifecycle.name: replace(move.before, wake_ms=None)}
        self.state = replace(self.state, lifecycles={**self.state.lifecycles, **resting})

    def _with_dependents(self, move: Move, due: int) -> list[Move]:
        """A move in one lifecycle, and what those that read its stage make of it at once."""
        moves = [move]
        for lifecycle in self.rules.lifecycles:
            current = self.state.lifecycles.get(lifecycle.name)
            moved = {each.walk.lifecycle.name for each in moves}
            if current is not None and lifecycle.reads_stages & moved:
                follows = self._pass(lifecycle, current, current.clock_ms, max(due, current.clock_ms), moves)
                moves += [follows] if follows.walk.taken else []
        return moves

    def _pass(
        self, lifecycle: Lifecycle, current: LifecycleState, clock: int, at: int, moves: Sequence[Move] = ()
    ) -> Move:
        """Time alone goes by in a lifecycle, from its clock until `at`; others have made `moves` before."""
        after = self._facts(lifecycle, self.state.facts, current.tallies, at, moves)
        changed = _moved(lifecycle, moves) | self._own_changed(lifecycle, current, (clock, at), after)
        walk = walk_on(lifecycle, current, Situation(at, clock, after, changed))
        return Move(walk, current, current.tallies, by_time=True)

    def apply(self, event: Event, ledger: Ledger) -> None:
        """Take edges in each lifecycle, by the facts as the event has left them."""
        changed = _changed(self.state.facts, ledger.facts)
        moves: list[Move] = []
        lifecycles = dict(self.state.lifecycles)
        for lifecycle in self.rules.lifecycles:
            found = self._move(lifecycle, event, ledger.facts, changed, moves)
            if isinstance(found, Move):
                moves.append(found)
            else:
                lifecycles[lifecycle.name] = found
        draft = replace(
            self.state,
            lifecycles=lifecycles,
            facts=ledger.facts,
            notes=ledger.notes,
            decided_until_ms=max(event.arrival_ms, self.state.decided_until_ms),
            imported_until_ms=imported_until_ms(self.state, event),
        )
        self._decide(moves, draft, _Why(ByEvent(event), event.backfill))

    def _move(
        self,
        lifecycle: Lifecycle,
        event: Event,
        built_in: dict[str, FactValue],
        changed: frozenset[str],
        moves: Sequence[Move],
    ) -> Move | LifecycleState:
        """What an event makes of the customer in one lifecycle; where it can open no edge, only the clock goes on."""
        current = self.state.lifecycles.get(lifecycle.name)
        clock = event.time_ms if current is None else current.clock_ms
        at = max(event.time_ms, clock)
        tallies: Tallies = NO_TALLIES
        problems: Sequence[Problem] = ()
        touched = changed
        if lifecycle.reads_more:
            tallies, problems = lifecycle.own.take(current.tallies if current else NO_TALLIES, event, at)
            if moved := lifecycle.own.moved_by(event.type):
                touched |= moved
            if moves and lifecycle.reads_stages:
                touched |= _moved(lifecycle, moves)
        if current is not None and not problems and stands_still(lifecycle, current, (event.type, touched), at):
            return LifecycleState(current.stage, current.entered_ms, at, current.entries, current.wake_ms, tallies)
        facts = self._facts(lifecycle, built_in, tallies, at, moves)
        if current is not None and lifecycle.reads_more:
            changed |= _moved(lifecycle, moves) | self._own_changed(lifecycle, current, (clock, at), facts, touched)
        walk = walk_on(lifecycle, current, Situation(at, clock, facts, changed, event.type, event.data))
        for each in problems:
            name = f"facts.{each.fact}"
            walk.errors.append(EvaluationError(lifecycle.name, name, each.expression, each.detail, {}, at))
        return Move(walk, current, tallies, late=event.time_ms < clock)

    def move_by_hand(self, event: Event, before: CustomerState) -> Decision:
        """Put the customer where a person says, and walk on from there. Nothing that the customer did: no fact changes.

        A refused move leaves the state `before`, in which not even the time until it has gone by: living history again
        passes over it, so nothing may hang on it.
        """
        try:
            wanted = read_move(event)
        except ValueError as error:
            return Unapplicable(f"the payload of {event.type} can't be used: {error}")
        lifecycle = next((each for each in self.rules.lifecycles if each.name == wanted.lifecycle), None)
        current = self.state.lifecycles.get(wanted.lifecycle)
        why_not = refusal(wanted, lifecycle, current)
        if why_not is not None or lifecycle is None or current is None:
            return Applied(before, moved=Moved(event.id, wanted, event.logged_ms, refusal=why_not))
        moved = Moved(event.id, wanted, event.logged_ms, sequence=self.state.sequence + 1)
        self._put(lifecycle, current, wanted, event)
        return replace(self.result(), moved=moved)

    def _put(self, lifecycle: Lifecycle, current: LifecycleState, wanted: ManualMove, event: Event) -> None:
        at = max(event.time_ms, current.clock_ms)
        facts = self._facts(lifecycle, self.state.facts, current.tallies, at)
        walk = walk_from(lifecycle, wanted.to, current, Situation(at, at, facts))
        move = Move(walk, current, current.tallies, late=event.time_ms < current.clock_ms, jumped_to=wanted.to)
        draft = replace(self.state, decided_until_ms=max(event.arrival_ms, self.state.decided_until_ms))
        self._decide(self._with_dependents(move, at), draft, _Why(ByHand(wanted, event.id), event.backfill))

    def activate(self, activation: Activation) -> None:
        """Go by a new version of a lifecycle: every pure edge out of the customer's stage is looked at, and those of
        lifecycles that read its stage if it changes. Where nobody moves, the clock and the revision stay."""
        draft = replace(self.state, activation=activation.number)
        lifecycle = next((each for each in self.rules.lifecycles if each.name == activation.lifecycle), None)
        if lifecycle is None:
            self.state = draft
            return
        move = self._renew(lifecycle, activation)
        if move.has_moved():
            draft = replace(draft, decided_until_ms=max(activation.at_ms, draft.decided_until_ms))
            why = _Why(ByActivation(activation), backfill=not activation.notify)
            self._decide(self._with_dependents(move, activation.at_ms), draft, why)
            return
        self.state = replace(draft, lifecycles={**draft.lifecycles, lifecycle.name: _unmoved(move)})
        self.errors += move.walk.errors

    def _renew(self, lifecycle: Lifecycle, activation: Activation) -> Move:
        current = self.state.lifecycles.get(lifecycle.name)
        at = activation.at_ms if current is None else max(activation.at_ms, current.clock_ms)
        tallies = activation.tallies
        if tallies is None:
            tallies = current.tallies if current else NO_TALLIES
        situation = Situation(at, at, self._facts(lifecycle, self.state.facts, tallies, at))
        if current is None:
            return Move(walk_on(lifecycle, None, situation), None, tallies)
        stage = activation.migrate.get(current.stage, current.stage)
        if stage != current.stage:
            return Move(walk_from(lifecycle, stage, current, situation), current, tallies, jumped_to=stage)
        walk = Walk(lifecycle, situation, current.stage, current.entered_ms, entered=True)
        walk.go()
        return Move(walk, current, tallies)

    def _facts(
        self,
        lifecycle: Lifecycle,
        built_in: Mapping[str, FactValue],
        tallies: Tallies,
        at: int,
        moves: Sequence[Move] = (),
    ) -> Mapping[str, FactValue]:
        """All that a lifecycle's conditions may read, at a moment, after others have made `moves`."""
        if not lifecycle.reads_more:
            return built_in
        stages: dict[str, str] = {}
        for variable, name in lifecycle.stage_variables:
            current = self.state.lifecycles.get(name)
            if current is not None:
                stages[variable] = current.stage
            for move in moves:
                if move.walk.lifecycle.name == name:
                    stages[variable] = move.walk.stage
        return FactView(lifecycle.own, built_in, tallies, at, stages)

    def _own_changed(
        self,
        lifecycle: Lifecycle,
        current: LifecycleState,
        between: tuple[int, int],
        after: Mapping[str, FactValue],
        moved: frozenset[str] = NOTHING,
    ) -> frozenset[str]:
        """The lifecycle's own facts that are not after what they were before, between two moments, among those that open a
        pure edge. `moved` names the facts of events that an event may have changed in between; time alone changes windows."""
        exits = lifecycle.exits.get(current.stage)
        if exits is None or not exits.own_reads:
            return NOTHING
        if exits.decaying and not lifecycle.own.same_day(*between):
            moved |= exits.decaying
        names = [name for source in moved if source in exits.own_reads for name in exits.own_reads[source]]
        if not names:
            return NOTHING
        before = self._facts(lifecycle, self.state.facts, current.tallies, between[0])
        return frozenset(name for name in names if _value(before, name) != _value(after, name))

    def _decide(self, moves: Sequence[Move], draft: CustomerState, why: _Why) -> None:
        """The next version of the state, and a stage change for every hop of the moves, in order."""
        every = [(move, hop) for move in moves if move.has_moved() for hop in hops(move)]
        lifecycles = dict(draft.lifecycles)
        for move in moves:
            lifecycles[move.walk.lifecycle.name] = arrive(move)
        first = draft.sequence + 1
        self.state = replace(
            draft, revision=draft.revision + 1, sequence=draft.sequence + len(every), lifecycles=lifecycles
        )
        self.changes += [
            self._change(move, hop, sequence, why) for sequence, (move, hop) in enumerate(every, start=first)
        ]
        for move in moves:
            self.errors += move.walk.errors

    def _change(self, move: Move, hop: Hop, sequence: int, why: _Why) -> StageChange:
        walk = move.walk
        return StageChange(
            lifecycle=walk.lifecycle,
            from_=hop.from_,
            to=hop.to,
            transition=hop.transition,
            entry=hop.entry,
            sequence=sequence,
            effective_ms=walk.situation.at_ms,
            previous_entered_ms=hop.previous_entered_ms,
            settled=hop.settled,
            late=move.late,
            backfill=why.backfill,
            cause=why.cause,
            facts=facts_read(hop.transition, walk.situation.facts) if hop.transition else {},
            after=self.state,
        )


def imported_until_ms(state: CustomerState, event: Event) -> int:
    """The log's time of the last imported event. When an import is lived again in order, that is not the last to come."""
    return max(event.logged_ms, state.imported_until_ms) if event.backfill else state.imported_until_ms


def _changed(before: Mapping[str, FactValue], after: Mapping[str, FactValue]) -> frozenset[str]:
    return frozenset(name for name, value in after.items() if before.get(name) != value)


def _unmoved(move: Move) -> LifecycleState:
    """A customer who stays where they are under new rules: the clock stays, the next wake-up is armed by the rules."""
    assert move.before is not None
    wake = next_wake_ms(move.walk, move.tallies, move.walk.situation.at_ms)
    return replace(move.before, wake_ms=wake, tallies=move.tallies, by_time=0)


def _moved(lifecycle: Lifecycle, moves: Sequence[Move]) -> frozenset[str]:
    """The stages that a lifecycle reads and that are not what they were, by the names under which they are read."""
    if not moves or not lifecycle.reads_stages:
        return NOTHING
    moved = {move.walk.lifecycle.name for move in moves if move.has_moved()}
    return frozenset(variable for variable, name in lifecycle.stage_variables if name in moved)


def _value(facts: Mapping[str, FactValue], name: str) -> FactValue | str | None:
    """A fact's value for comparison; what could not be computed equals itself and nothing else."""
    try:
        return facts.get(name)
    except FactFailed as error:
        return f"\x00{error}"
