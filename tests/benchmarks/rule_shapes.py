"""Lifecycles that differ in size alone: what a hundred transitions cost is measured against five that do the same.

Each shape is written as people write lifecycles, and read by the parser that reads theirs. The small and the large one of a
shape take the same edges on the same events; the rest of the large one is there and does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.lifecycle import Lifecycle

SMALL, LARGE = 5, 100
OWN_TYPES = tuple(f"shop.action{number}" for number in range(SMALL))
"""Event types of the shop's own that occur: as many as the small lifecycle has transitions."""

_Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """A way of having many transitions."""

    name: str
    body: Callable[[int], _Part]

    def lifecycle(self, transitions: int) -> Lifecycle:
        """The lifecycle of this shape with so many transitions."""
        text = msgspec.json.encode(self.body(transitions)).decode()  # JSON is YAML
        lifecycle = parse_definition(self.name, text).compile(1, "BRL")
        assert len(lifecycle.transitions) == transitions, (self.name, len(lifecycle.transitions))
        return lifecycle


def _file(stages: Iterable[str], transitions: Iterable[_Part], facts: _Part | None = None) -> _Part:
    keys = list(stages)
    return {
        "lifecycle": "measured",
        "start": keys[0],
        "facts": facts or {},
        "stages": {key: {"order": order} for order, key in enumerate(keys)},
        "transitions": list(transitions),
    }


def _counting(transitions: int) -> _Part:
    """One stage, and from it an edge for each of as many own facts, which count events of a type each."""
    numbers = range(transitions)
    edges = [_edge(number, when=f"facts.actions{number} >= 1000") for number in numbers]
    facts = {f"actions{number}": {"count": f"shop.action{number}"} for number in numbers}
    return _file(["first", *(f"stage{number}" for number in numbers)], edges, facts)


def _windows(transitions: int) -> _Part:
    """The same with windows of thirty days, whose decay has to be watched."""
    body = dict(_counting(transitions))
    body["facts"] = {name: {**fact, "within": "30d"} for name, fact in body["facts"].items()}
    return body


def _reacting(transitions: int) -> _Part:
    """One stage, and from it an edge for each of as many event types."""
    numbers = range(transitions)
    edges = [_edge(number, on=f"shop.action{number}", when="facts.last_seen < facts.first_seen") for number in numbers]
    return _file(["first", *(f"stage{number}" for number in numbers)], edges)


def _waiting(transitions: int) -> _Part:
    """One stage, and from it waits of different lengths: half from entering it, half from the last order."""
    sources = ("entered", "facts.last_purchase_at")
    numbers = range(transitions)
    edges = [_edge(number, after=f"{1000 + number}d", since=sources[number % 2]) for number in numbers]
    return _file(["first", *(f"stage{number}" for number in numbers)], edges)


def _spread(transitions: int) -> _Part:
    """A circle of stages, one onwards with each order, and from each stage an equal share of edges of all kinds."""
    stages = max(SMALL, transitions // SMALL)
    keys = [f"stage{number}" for number in range(stages)]
    edges: list[_Part] = []
    for number, key in enumerate(keys):
        onwards = keys[(number + 1) % stages]
        elsewhere = keys[(number + 2) % stages]
        edges.append({"id": f"onwards{number}", "from": key, "to": onwards, "on": "purchase", "demotion": True})
        edges += [
            {"id": f"aside{number}_{place}", "from": key, "to": elsewhere, "demotion": True, **part}
            for place, part in enumerate(_ASIDE)
        ]
    return _file(keys, [edge for edge in edges if transitions > SMALL or edge["id"].startswith("onwards")])


_ASIDE: tuple[_Part, ...] = (
    {"when": "facts.nps >= 9 && facts.referrals >= 1000"},
    {"when": "facts.csat >= 4 && facts.referrals >= 1000"},
    {"after": "1000d", "since": "facts.last_purchase_at"},
    {"on": "subscription_cancelled", "when": "facts.orders >= 100000"},
)


def _edge(number: int, **more: str) -> _Part:
    return {"id": f"edge{number}", "from": "first", "to": f"stage{number}", **more}


def _all_alike(transitions: int) -> _Part:
    """One stage, and from it edges that all read what every event changes: no index can pass one of them over."""
    edges = [_edge(number, when=f"facts.engagements >= {100_000 + number}") for number in range(transitions)]
    return _file(["first", *(f"stage{number}" for number in range(transitions))], edges)


SHAPES = (
    Shape("from one stage, each reads an own fact", _counting),
    Shape("from one stage, each reads a window of 30 days", _windows),
    Shape("from one stage, each on an event type", _reacting),
    Shape("from one stage, each after a time", _waiting),
    Shape("over 20 stages, of all kinds", _spread),
)
HARDEST = Shape("from one stage, all read what changes", _all_alike)
