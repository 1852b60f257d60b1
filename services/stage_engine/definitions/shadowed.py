"""Transitions that others, earlier in the file, always win over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from services.stage_engine.definitions.contradictions import effort, implies, never_holds
from services.stage_engine.definitions.expressions import Name, names_in
from services.stage_engine.definitions.file_model import LifecycleFile, TransitionPart

_MOST_COMPARED = 60_000
"""How many conditions are compared with others: of 300 transitions out of one stage, each with one, none is left out."""


class Ways:
    """Which stages follow which."""

    def __init__(self, transitions: Iterable[TransitionPart]) -> None:
        self._steps: dict[str, set[str]] = {}
        self._pure_steps: dict[str, set[str]] = {}
        for part in transitions:
            for source in part.from_:
                self._steps.setdefault(source, set()).add(part.to)
                if not part.on:
                    self._pure_steps.setdefault(source, set()).add(part.to)
        self._in_one_decision: dict[str, set[str]] = {}

    def reached(self, start: str) -> set[str]:
        """Stages to which transitions lead from one, by any number of steps."""
        return _followed(self._steps, self._steps.get(start, ()))

    def in_one_decision(self, start: str) -> set[str]:
        """The same within one decision: whatever comes first, then transitions without `on`."""
        found = self._in_one_decision.get(start)
        if found is None:
            found = self._in_one_decision[start] = _followed(self._pure_steps, self._steps.get(start, ()))
        return found


def _followed(steps: Mapping[str, set[str]], starts: Iterable[str]) -> set[str]:
    reached, waiting = set(starts), list(starts)
    while waiting:
        news = steps.get(waiting.pop(), set()) - reached
        reached |= news
        waiting += news
    return reached


@dataclass(frozen=True, slots=True)
class _Edge:
    """A transition in its place, with what its condition reads."""

    index: int
    part: TransitionPart
    sources: frozenset[str]
    types: frozenset[str]
    reads: frozenset[Name]
    risks: frozenset[Name]
    """What makes the whole condition fail where it can't be read: computed facts, and fields of the event."""


def _edges(shape: LifecycleFile) -> list[_Edge]:
    computed = {name for name, fact in shape.facts.items() if fact.kind == "expr"}
    found = []
    for index, part in enumerate(shape.transitions):
        named = names_in(part.when or "")
        reads = frozenset(("facts" if kind == "known" else kind, name) for kind, name in named)
        risks = frozenset(each for each in reads if each[0] == "event" or (each[0] == "facts" and each[1] in computed))
        found.append(_Edge(index, part, frozenset(part.from_), frozenset(part.on or ()), reads, risks))
    return found


def never_taken(shape: LifecycleFile) -> Iterator[tuple[int, list[str]]]:
    """Transitions that are never taken, by index in the file, each with the ids of those before it that always are."""
    edges = _edges(shape)
    ways, compared = Ways(shape.transitions), 0
    earlier: dict[str | None, list[_Edge]] = defaultdict(list)
    for edge in edges:
        keys: Iterable[str | None] = edge.types or (None,)
        # Whoever wins over it has each of its event types.
        same_event = min((earlier[key] for key in keys), key=len)
        rivals = [other for other in same_event if not edge.sources.isdisjoint(other.sources)]
        for key in keys:
            earlier[key].append(edge)
        compared += sum(effort(edge.part.when, other.part.when) for other in rivals)
        if compared > _MOST_COMPARED:
            return
        winners = {} if never_holds(edge.part.when) else _winners(ways, rivals, edge)
        if winners.keys() == edge.sources:
            yield edge.index, sorted(set(winners.values()))


def _winners(ways: Ways, rivals: Iterable[_Edge], edge: _Edge) -> dict[str, str]:
    """By stage, the earlier transition out of it that is taken whenever this one could be; only where there is one."""
    found: dict[str, str] = {}
    for other in rivals:
        shared = edge.sources & other.sources - found.keys()
        if shared and _covers(other, edge):
            found |= dict.fromkeys(shared - _where_passed_over(ways, other, edge), other.part.id)
    return found


def _covers(other: _Edge, edge: _Edge) -> bool:
    """Whether `other` holds whenever `edge` does, as far as the text tells."""
    if bool(other.types) != bool(edge.types) or not edge.types <= other.types or not other.risks <= edge.reads:
        return False
    return _is_over(other.part, edge.part) and implies(edge.part.when, other.part.when)


def _is_over(other: TransitionPart, part: TransitionPart) -> bool:
    """Whether the wait of `other` is over whenever that of `part` is."""
    if other.after is None:
        return True
    if part.after is None or other.since_fact != part.since_fact:
        return False
    if isinstance(other.after, int) and isinstance(part.after, int):
        return other.after <= part.after
    return other.after == part.after


def _where_passed_over(ways: Ways, other: _Edge, edge: _Edge) -> Set[str]:
    """Stages to which a decision may come through the target of `other`: no stage is visited twice in one decision, so
    `other` is not taken there then, and is not looked at again when `edge` alone is woken later. One with `on` is always
    a decision's first; and of two that say the same of the same and lead to the same both are passed over."""
    same = other.part.to == edge.part.to and edge.reads <= other.reads
    if edge.types or (same and _covers(edge, other)):
        return frozenset()
    return ways.in_one_decision(other.part.to)
