"""One decision in one lifecycle: from a stage, along edges that hold, to where the customer comes to rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.stage_engine.domain.conditions import Verdict
from services.stage_engine.domain.decision import EvaluationError
from services.stage_engine.domain.lifecycle import Lifecycle, PureEdge, Transition
from services.stage_engine.domain.state import FactValue

NOTHING: frozenset[str] = frozenset()
_NO_DATA: Mapping[str, Any] = {}


class Situation(msgspec.Struct, frozen=True):
    """What edges are judged by. `changed` names the facts that this occurrence changed; edges whose time came after
    `clock_ms` and up to `at_ms` are woken."""

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
    taken: list[Transition] = field(default_factory=list)
    errors: list[EvaluationError] = field(default_factory=list)

    def go(self) -> None:
        """At most one edge with `on`, the first that holds; then pure edges to a fixpoint, no stage twice."""
        if not self.entered and not self._anything_to_look_at():
            return
        visited = {self.stage}
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
        return key in self.lifecycle.on_edges or self.stage in self.lifecycle.pure_edges

    def _next_pure(self, visited: set[str]) -> Transition | None:
        for edge in self.lifecycle.pure_edges.get(self.stage, ()):
            transition = edge.transition
            if transition.target not in visited and self._is_considered(edge) and self._holds(transition):
                return transition
        return None

    def _is_considered(self, edge: PureEdge) -> bool:
        if self.entered or not edge.reads.isdisjoint(self.situation.changed):
            return True
        due = due_ms(edge.transition, self.entered_ms, self.situation.facts)
        return due is not None and self.situation.clock_ms < due <= self.situation.at_ms

    def _holds(self, edge: Transition) -> bool:
        situation = self.situation
        if edge.after_ms is not None:
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


def due_ms(edge: Transition, entered_ms: int, facts: Mapping[str, FactValue]) -> int | None:
    """When the edge's `after` is over; None without one, or while its `since` fact has no value."""
    if edge.after_ms is None:
        return None
    if edge.since is None:
        return entered_ms + edge.after_ms
    base = facts.get(edge.since)
    return None if base is None else int(base) + edge.after_ms


def next_wake_ms(walk: Walk, after_ms: int) -> int | None:
    """The first due time later than `after_ms` among the pure edges out of the stage where the walk ended."""
    edges = walk.lifecycle.timed_edges.get(walk.stage)
    if not edges:
        return None
    first: int | None = None
    for edge in edges:
        due = due_ms(edge, walk.entered_ms, walk.situation.facts)
        if due is not None and due > after_ms and (first is None or due < first):
            first = due
    return first


def facts_read(edge: Transition, facts: Mapping[str, FactValue]) -> dict[str, FactValue]:
    """The facts that the edge names, with their values; one without a value is left out."""
    return {name: facts[name] for name in sorted(edge.reads) if name in facts}
