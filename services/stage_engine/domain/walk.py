"""One decision in one lifecycle: from a stage, along edges that hold, to where the customer comes to rest."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.stage_engine.domain.conditions import Verdict
from services.stage_engine.domain.decision import EvaluationError
from services.stage_engine.domain.lifecycle import Exits, Lifecycle, Transition, Waits
from services.stage_engine.domain.own_facts import Tallies, known_values
from services.stage_engine.domain.state import FactValue, LifecycleState

NOTHING: frozenset[str] = frozenset()
_NO_DATA: Mapping[str, Any] = {}


class Situation(msgspec.Struct, frozen=True):
    """What edges are judged by. `changed` names the facts and stages that are not what they were at the
    clock; edges whose time came after `clock_ms` and up to `at_ms` are woken."""

    at_ms: int
    clock_ms: int
    facts: Mapping[str, FactValue]
    changed: frozenset[str] = NOTHING
    event_type: str | None = None
    data: Mapping[str, Any] = _NO_DATA


@dataclass(slots=True)
class Walk:
    """The way taken so far: the edges in order, and the errors met."""

    lifecycle: Lifecycle
    situation: Situation
    stage: str
    entered_ms: int
    entered: bool
    """Whether the stage has just been entered, so that all its pure edges are looked at."""
    origin: str | None = None
    """A stage from which the customer was put into this one: it counts as visited."""
    taken: list[Transition] = field(default_factory=list)
    errors: list[EvaluationError] = field(default_factory=list)

    def go(self) -> None:
        """At most one edge with `on`, the first that holds; then pure edges to a fixpoint, no stage twice."""
        if not self.entered and not self._anything_to_look_at():
            return
        visited = {self.stage} if self.origin is None else {self.stage, self.origin}
        event_type = self.situation.event_type
        if event_type is not None:
            for edge in self.lifecycle.on_edges.get((self.stage, event_type), ()):
                if edge.target not in visited and self._holds(edge):
                    self._take(edge, visited)
                    break
        while (pure := self._next_pure(visited)) is not None:
            self._take(pure, visited)

    def _anything_to_look_at(self) -> bool:
        key = (self.stage, self.situation.event_type or "")
        return key in self.lifecycle.on_edges or self.stage in self.lifecycle.exits

    def _next_pure(self, visited: set[str]) -> Transition | None:
        exits = self.lifecycle.exits.get(self.stage)
        if exits is None:
            return None
        for edge in exits.edges if self.entered else self._considered(exits):
            if edge.target not in visited and self._holds(edge):
                return edge
        return None

    def _considered(self, exits: Exits) -> Iterable[Transition]:
        """Edges that read what has changed, or whose time has come, in the order of the file."""
        situation = self.situation
        places: set[int] = set()
        if not situation.changed.isdisjoint(exits.by_read):
            for name in situation.changed & exits.by_read.keys():
                places.update(exits.by_read[name])
        for waits in exits.waits:
            base = _base_ms(waits.since, self.entered_ms, situation.facts)
            if base is not None:
                first, past = _over(waits, situation.clock_ms - base), _over(waits, situation.at_ms - base)
                places.update(waits.places[first:past])
        for place in exits.following:
            due = due_ms(exits.edges[place], self.entered_ms, situation.facts)
            if due is not None and situation.clock_ms < due <= situation.at_ms:
                places.add(place)
        return [exits.edges[place] for place in sorted(places)] if places else ()

    def _holds(self, edge: Transition) -> bool:
        situation = self.situation
        if edge.after is not None:
            due = due_ms(edge, self.entered_ms, situation.facts)
            if due is None or due > situation.at_ms:
                return False
        if edge.when is None:
            return True
        finding = edge.when.evaluate(situation.facts, situation.data if edge.on else _NO_DATA)
        if finding.verdict is Verdict.ERROR:
            self._note_error(edge, edge.when.source, finding.detail)
        return finding.verdict is Verdict.HOLDS

    def _take(self, edge: Transition, visited: set[str]) -> None:
        self.taken.append(edge)
        visited.add(edge.target)
        self.stage, self.entered_ms, self.entered = edge.target, self.situation.at_ms, True

    def _note_error(self, edge: Transition, expression: str, detail: str) -> None:
        read = facts_read(edge, self.situation.facts)
        self.errors.append(
            EvaluationError(self.lifecycle.name, edge.id, expression, detail, read, self.situation.at_ms)
        )


def stands_still(lifecycle: Lifecycle, current: LifecycleState, event: tuple[str, frozenset[str]], at_ms: int) -> bool:
    """Whether an event, given as its type and the facts and stages that may have changed with it, can open no edge, so that
    a walk would end where it begins and the next wake-up stays."""
    event_type, touched = event
    if (current.stage, event_type) in lifecycle.on_edges:
        return False
    exits = lifecycle.exits.get(current.stage)
    if exits is None:
        return True
    return touched.isdisjoint(exits.sources) and (current.wake_ms is None or current.wake_ms > at_ms)


def due_ms(edge: Transition, entered_ms: int, facts: Mapping[str, FactValue]) -> int | None:
    """When the edge's `after` is over; None without one, or while a fact that it goes by has no value."""
    if edge.after is None:
        return None
    length = edge.after.fixed_ms if edge.after.fact is None else edge.after.length_ms(facts)
    base = _base_ms(edge.since, entered_ms, facts)
    return None if base is None or length is None else base + length


def _base_ms(since: str | None, entered_ms: int, facts: Mapping[str, FactValue]) -> int | None:
    """The moment that a wait counts from; None while the fact has no value."""
    base = entered_ms if since is None else facts.get(since)
    return None if base is None else int(base)


def _over(waits: Waits, elapsed_ms: int) -> int:
    """How many of the waits are over."""
    return bisect_right(waits.lengths_ms, elapsed_ms)


def next_wake_ms(walk: Walk, tallies: Tallies, after_ms: int) -> int | None:
    """The first moment later than `after_ms` at which time alone may open an edge out of the stage where the walk ended:
    an `after` is over, or a day leaves a window that is read."""
    exits = walk.lifecycle.exits.get(walk.stage)
    if exits is None:
        return None
    facts = walk.situation.facts
    first: int | None = None
    for waits in exits.waits:
        base = _base_ms(waits.since, walk.entered_ms, facts)
        if base is not None and (place := _over(waits, after_ms - base)) < len(waits.lengths_ms):
            due: int | None = base + waits.lengths_ms[place]
            if due is not None and (first is None or due < first):
                first = due
    for following in exits.following:
        due = due_ms(exits.edges[following], walk.entered_ms, facts)
        if due is not None and due > after_ms and (first is None or due < first):
            first = due
    if exits.decaying:
        due = walk.lifecycle.own.next_decay_ms(exits.decaying, tallies, after_ms)
        if due is not None and (first is None or due < first):
            first = due
    return first


def facts_read(edge: Transition, facts: Mapping[str, FactValue]) -> dict[str, FactValue]:
    """What the edge names, with its values; what has none is left out."""
    return known_values(facts, sorted(edge.reads))
