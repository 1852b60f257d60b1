"""A lifecycle, compiled: stages, and transitions indexed by what can have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from services.stage_engine.domain.conditions import Condition
from services.stage_engine.domain.own_facts import NO_OWN_FACTS, STAGES, OwnFacts
from services.stage_engine.domain.state import FactValue
from shared.contracts.stage_changed import Direction


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. A higher `order` is further along; `side` is presentation only."""

    key: str
    order: int
    labels: Mapping[str, str]
    side: bool = False


class Wait(msgspec.Struct, frozen=True):
    """How long an edge waits: `fixed_ms`; or as long as a duration fact says, times a number, within bounds."""

    fixed_ms: int = 0
    fact: str | None = None
    times: float = 1.0
    min_ms: int = 0
    max_ms: int | None = None

    def length_ms(self, facts: Mapping[str, FactValue]) -> int | None:
        """In milliseconds; None while the fact that it follows has no value."""
        if self.fact is None:
            return self.fixed_ms
        value = facts.get(self.fact)
        if value is None:
            return None
        length = max(int(float(value) * self.times), self.min_ms)
        return length if self.max_ms is None else min(length, self.max_ms)


@dataclass(frozen=True, slots=True)
class Transition:
    """An edge. Without `on` it is pure: looked at when its stage is entered, when a fact that it reads has changed, and
    when `after` has gone by. With `on` it is looked at when such an event comes."""

    id: str
    sources: frozenset[str]
    target: str
    on: frozenset[str] = frozenset()
    when: Condition | None = None
    after: Wait | None = None
    since: str | None = None
    """Name of the time fact that `after` counts from; None counts from entering the stage."""

    @property
    def reads(self) -> frozenset[str]:
        """What decides it, by name: facts in `when`, in `since` and in `after`, and stages as `stages.<lifecycle>`."""
        named = self.when.reads if self.when else frozenset()
        timed = (self.since, self.after.fact if self.after else None)
        return named | {name for name in timed if name is not None}


class Waits(msgspec.Struct, frozen=True):
    """Fixed waits on edges out of one stage that count from the same moment, the shortest first: which are over, and which
    is over next, is found without looking at each."""

    since: str | None
    """Name of the time fact that they count from; None counts from entering the stage."""
    lengths_ms: tuple[int, ...]
    places: tuple[int, ...]
    """Places in the stage's edges, in the order of the lengths."""


class Exits(msgspec.Struct, frozen=True):
    """The pure edges out of one stage, in the order of the file, and what makes one worth a look."""

    edges: tuple[Transition, ...]
    by_read: Mapping[str, tuple[int, ...]]
    """Places in `edges` by the names that they read."""
    sources: frozenset[str]
    """What they come down to: built-in facts, facts of events, other lifecycles' stages. While none of these changes and no
    time is over, none of the edges is worth a look."""
    waits: tuple[Waits, ...]
    """Edges with a fixed `after`."""
    following: tuple[int, ...]
    """Places of edges whose `after` follows a fact."""
    own_reads: Mapping[str, frozenset[str]]
    """The lifecycle's own facts among what is read, by the facts that they come down to: only these need to be compared,
    and only when one of those has changed."""
    decaying: frozenset[str]
    """Own facts with a window whose decay can open one of the edges."""


@dataclass(frozen=True)
class Lifecycle:
    """An immutable, checked definition, indexed for `advance`."""

    name: str
    version: int
    start: str
    lateness_ms: int
    stages: Mapping[str, Stage]
    transitions: Sequence[Transition]
    own: OwnFacts = NO_OWN_FACTS
    on_edges: Mapping[tuple[str, str], tuple[Transition, ...]] = field(init=False, repr=False)
    exits: Mapping[str, Exits] = field(init=False, repr=False)
    reads_stages: frozenset[str] = field(init=False, repr=False)
    """The lifecycles whose stages it reads."""
    stage_variables: tuple[tuple[str, str], ...] = field(init=False, repr=False)
    """The names under which it reads them, each with the lifecycle's name."""
    reads_more: bool = field(init=False, repr=False)
    """Whether it reads anything but built-in facts."""

    def __post_init__(self) -> None:
        on: dict[tuple[str, str], list[Transition]] = {}
        pure: dict[str, list[Transition]] = {}
        for edge in self.transitions:
            for source in edge.sources:
                for event_type in edge.on:
                    on.setdefault((source, event_type), []).append(edge)
                if not edge.on:
                    pure.setdefault(source, []).append(edge)
        named = frozenset(name for edge in self.transitions for name in edge.reads)
        object.__setattr__(self, "on_edges", {key: tuple(edges) for key, edges in on.items()})
        object.__setattr__(self, "exits", {stage: _exits(edges, self.own) for stage, edges in pure.items()})
        object.__setattr__(
            self, "reads_stages", frozenset(name.removeprefix(STAGES) for name in named if name.startswith(STAGES))
        )
        variables = tuple((f"{STAGES}{name}", name) for name in sorted(self.reads_stages))
        object.__setattr__(self, "stage_variables", variables)
        object.__setattr__(self, "reads_more", bool(self.own or self.reads_stages))

    def direction(self, from_: str | None, to: str) -> Direction:
        """Up, down or same, by the order of the two stages; entering the start stage is up."""
        if from_ is None:
            return "up"
        if from_ not in self.stages:
            return "same"  # a stage of an earlier version, which has no place among these
        before, after = self.stages[from_].order, self.stages[to].order
        return "up" if after > before else "down" if after < before else "same"


def _exits(edges: Sequence[Transition], own: OwnFacts) -> Exits:
    by_read: dict[str, list[int]] = {}
    for place, edge in enumerate(edges):
        for name in edge.reads:
            by_read.setdefault(name, []).append(place)
    own_reads: dict[str, set[str]] = {}
    for name in by_read:
        for source in own.sources(name) if name in own.types else ():
            own_reads.setdefault(source, set()).add(name)
    return Exits(
        edges=tuple(edges),
        by_read={name: tuple(places) for name, places in by_read.items()},
        sources=frozenset(name for name in by_read if name not in own.types) | own_reads.keys(),
        waits=_waits(edges),
        following=tuple(place for place, edge in enumerate(edges) if edge.after and edge.after.fact is not None),
        own_reads={source: frozenset(names) for source, names in own_reads.items()},
        decaying=frozenset(name for name in own_reads if name in own.by_name and own.by_name[name].days is not None),
    )


def _waits(edges: Sequence[Transition]) -> tuple[Waits, ...]:
    by_since: dict[str | None, list[tuple[int, int]]] = {}
    for place, edge in enumerate(edges):
        if edge.after is not None and edge.after.fact is None:
            by_since.setdefault(edge.since, []).append((edge.after.fixed_ms, place))
    return tuple(Waits(since, *map(tuple, zip(*sorted(found), strict=True))) for since, found in by_since.items())


@dataclass(frozen=True, slots=True)
class Rules:
    """What `advance` decides by: the active lifecycles in the order in which they run, and the tenant's currency."""

    lifecycles: tuple[Lifecycle, ...]
    currency: str


RulesOf = Callable[[str], Rules]
"""The rules that hold for a tenant."""


class Entangled(ValueError):
    """Lifecycles that read each other's stages in a circle."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = sorted(names)
        super().__init__(f"lifecycles read each other's stages in a circle: {', '.join(self.names)}")


def in_order(lifecycles: Iterable[Lifecycle]) -> tuple[Lifecycle, ...]:
    """The order in which lifecycles run: one that reads another's stage after it, otherwise by name.

    Raises Entangled when they read each other in a circle. A lifecycle that is read and is not there is passed over.
    """
    waiting = {each.name: each for each in lifecycles}
    ordered: list[Lifecycle] = []
    while waiting:
        free = sorted(name for name, each in waiting.items() if not each.reads_stages & waiting.keys())
        if not free:
            raise Entangled(_circle(waiting))
        ordered.append(waiting.pop(free[0]))
    return tuple(ordered)


def _circle(waiting: Mapping[str, Lifecycle]) -> set[str]:
    """Of lifecycles that wait for each other those that are waited for, not those that only wait."""
    circle = set(waiting)
    while loose := {name for name in circle if not any(name in waiting[other].reads_stages for other in circle)}:
        circle -= loose
    return circle
