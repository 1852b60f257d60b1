"""A lifecycle, compiled: stages, and transitions indexed by what can have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.stage_engine.domain.conditions import Condition
from shared.contracts.stage_changed import Direction


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. A higher `order` is further along; `side` is presentation only."""

    key: str
    order: int
    labels: Mapping[str, str]
    side: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """An edge. Without `on` it is pure: looked at when its stage is entered, when a fact that it reads has changed, and
    when `after` has gone by. With `on` it is looked at when such an event comes."""

    id: str
    sources: frozenset[str]
    target: str
    on: frozenset[str] = frozenset()
    when: Condition | None = None
    after_ms: int | None = None
    since: str | None = None
    """Name of the time fact that `after` counts from; None counts from entering the stage."""

    @property
    def reads(self) -> frozenset[str]:
        """Facts that decide it: all that `when` names, and its `since`."""
        named = self.when.reads if self.when else frozenset()
        return named | {self.since} if self.since else named


@dataclass(frozen=True, slots=True)
class PureEdge:
    """A pure transition with what it reads worked out once."""

    transition: Transition
    reads: frozenset[str]


@dataclass(frozen=True)
class Lifecycle:
    """An immutable, checked definition, indexed for `advance`."""

    name: str
    version: int
    start: str
    lateness_ms: int
    stages: Mapping[str, Stage]
    transitions: Sequence[Transition]
    on_edges: Mapping[tuple[str, str], tuple[Transition, ...]] = field(init=False, repr=False)
    pure_edges: Mapping[str, tuple[PureEdge, ...]] = field(init=False, repr=False)
    timed_edges: Mapping[str, tuple[Transition, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        on: dict[tuple[str, str], tuple[Transition, ...]] = {}
        pure: dict[str, tuple[PureEdge, ...]] = {}
        for edge in self.transitions:
            for source in edge.sources:
                for event_type in edge.on:
                    on[source, event_type] = (*on.get((source, event_type), ()), edge)
                if not edge.on:
                    pure[source] = (*pure.get(source, ()), PureEdge(edge, edge.reads))
        timed = {
            stage: tuple(edge.transition for edge in edges if edge.transition.after_ms is not None)
            for stage, edges in pure.items()
        }
        object.__setattr__(self, "on_edges", on)
        object.__setattr__(self, "pure_edges", pure)
        object.__setattr__(self, "timed_edges", timed)

    def direction(self, from_: str | None, to: str) -> Direction:
        """Up, down or same, by the order of the two stages; entering the start stage is up."""
        if from_ is None:
            return "up"
        before, after = self.stages[from_].order, self.stages[to].order
        return "up" if after > before else "down" if after < before else "same"


@dataclass(frozen=True, slots=True)
class Rules:
    """What `advance` decides by: the active lifecycles in the order in which they run, and the tenant's currency."""

    lifecycles: tuple[Lifecycle, ...]
    currency: str
