"""What a candidate comes to, added up over customers: numbers, and the few who are moved most. Pure.

Nothing here grows with the number of customers: what is counted is bounded by the stages and transitions of the files.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import msgspec

from services.stage_engine.domain.decision import EvaluationError, StageChange
from services.stage_engine.domain.publishing import Published, publish_change
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.planning.candidate import Candidate
from services.stage_engine.store.customers import CustomerKey
from shared.contracts.stage_changed import StageChanged

MOST_AFFECTED = 10

Orders = Mapping[str, Mapping[str, int]]
"""The stages of each lifecycle with their order."""


class Source(StrEnum):
    """What a customer's part was decided from."""

    STATE = "state"
    """Facts are what they were, so the stored state has all that it takes."""
    HISTORY = "history"
    """Facts of the lifecycle's own are other ones, and were computed from all of the customer's events."""
    TRIMMED_HISTORY = "trimmed_history"
    """The same from the events that are kept: earlier ones were trimmed, and these facts do not know them."""


class Soon(NamedTuple):
    """Whether time alone moves a customer within a week in the candidate's lifecycle: as things are, and under the candidate."""

    active: bool
    candidate: bool


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One customer: where they stand when the candidate begins to hold, and the stage changes that it brings about, in order
    and as with `--notify`.

    `currency` is their tenant's. `moved_before` says that time, or an earlier publication, moves the customer first whatever
    becomes of the candidate.
    """

    customer: CustomerKey
    currency: str
    before: CustomerState
    after: CustomerState
    changes: Sequence[StageChange]
    errors: Sequence[EvaluationError]
    source: Source
    moved_before: bool
    soon: Soon

    def published(self) -> list[Published]:
        """The stage changes as they would be published."""
        return [publish_change(change, *self.customer, self.currency) for change in self.changes]


class Move(NamedTuple):
    """From where a customer is to where they settle; the same stage for one who stays, None for one who enters."""

    from_: str | None
    to: str


class Way(NamedTuple):
    """One hop; without a transition it is an entry into the start stage, or a stage that is no more was left."""

    lifecycle: str
    from_: str | None
    to: str
    transition: str | None


class Failing(NamedTuple):
    """A condition that can't be computed for some customers, so that its transition does not hold for them."""

    lifecycle: str
    transition: str
    expression: str


@dataclass(frozen=True, slots=True)
class Affected:
    """A customer who is moved, with each stage change and its why. `distance` is how far apart, in the order of stages, they
    stand before and after, in the lifecycle where that is most."""

    customer: CustomerKey
    distance: int
    hops: Sequence[StageChanged]


@dataclass(slots=True)
class Forecast:
    """The sum so far. `orders` are the lifecycles in which anybody can be moved: see `concerned`."""

    orders: Orders
    customers: int = 0
    moved: int = 0
    moved_before: int = 0
    """Customers whom time or an earlier publication moves first, whatever becomes of the candidate."""
    soon_active: int = 0
    """Customers whom time alone moves within a week in the candidate's lifecycle, as things are."""
    soon_candidate: int = 0
    """The same under the candidate, from where it leaves them."""
    sources: Counter[Source] = field(default_factory=Counter)
    moves: dict[str, Counter[Move]] = field(default_factory=dict)
    ways: Counter[Way] = field(default_factory=Counter)
    failing: Counter[Failing] = field(default_factory=Counter)
    _most: list[tuple[int, int, int, Affected]] = field(default_factory=list)

    def add(self, foreseen: Foreseen) -> None:
        """Take one customer in."""
        self.customers += 1
        self.moved += bool(foreseen.changes)
        self.moved_before += foreseen.moved_before
        self.soon_active += foreseen.soon.active
        self.soon_candidate += foreseen.soon.candidate
        self.sources[foreseen.source] += 1
        for name in self.orders:
            if name in foreseen.after.lifecycles:
                self.moves.setdefault(name, Counter())[_move(foreseen, name)] += 1
        for change in foreseen.changes:
            transition = change.transition.id if change.transition else None
            self.ways[Way(change.lifecycle.name, change.from_, change.to, transition)] += 1
        for error in foreseen.errors:
            self.failing[Failing(error.lifecycle, error.transition, error.expression)] += 1
        if foreseen.changes:
            self._rank(foreseen)

    def most_affected(self) -> list[Affected]:
        """The customers who take most hops; among equals those who get furthest, and among these the first ones."""
        return [each[-1] for each in sorted(self._most, key=lambda each: each[:3], reverse=True)]

    def _rank(self, foreseen: Foreseen) -> None:
        distance = max((self._distance(foreseen, name) for name in self.orders), default=0)
        rank = (len(foreseen.changes), distance, -self.customers)
        if len(self._most) == MOST_AFFECTED and rank < self._most[0][:3]:
            return
        hops = [msgspec.json.decode(each.kept, type=StageChanged) for each in foreseen.published()]
        entry = (*rank, Affected(foreseen.customer, distance, hops))
        if len(self._most) < MOST_AFFECTED:
            heapq.heappush(self._most, entry)
        else:
            heapq.heapreplace(self._most, entry)

    def _distance(self, foreseen: Foreseen, name: str) -> int:
        """How far apart somebody stands before and after; who enters is compared with the start stage."""
        stages = [change.to for change in foreseen.changes if change.lifecycle.name == name]
        if not stages:
            return 0
        begin = foreseen.before.lifecycles[name].stage if name in foreseen.before.lifecycles else stages[0]
        orders = self.orders[name]
        return abs(orders[stages[-1]] - orders.get(begin, orders[stages[-1]]))


def concerned(candidate: Candidate) -> dict[str, dict[str, int]]:
    """The lifecycles in which a candidate can move anybody: its own, those whose conditions read its stage, those that read
    theirs, in the order in which they run. With the stages of the active version and of the candidate."""
    rulebook, found = candidate.rulebook, dict[str, dict[str, int]]()
    for lifecycle in rulebook.rules_of(candidate.versions)("").lifecycles:
        name = lifecycle.name
        if name == candidate.definition.name or lifecycle.reads_stages & found.keys():
            before = rulebook.definition(name, candidate.active.get(name, lifecycle.version)).shape.stages
            found[name] = {key: part.order for key, part in before.items()}
            found[name] |= {key: stage.order for key, stage in lifecycle.stages.items()}
    return found


def new_facts(candidate: Candidate) -> list[str]:
    """The lifecycle's own facts that are new, or defined otherwise, or counted by the days of another zone."""
    name, after = candidate.definition.name, candidate.definition.shape
    if candidate.new:
        return list(after.facts)
    before = candidate.rulebook.definition(name, candidate.active[name]).shape
    other_days = before.time_zone != after.time_zone
    return [fact for fact, part in after.facts.items() if other_days or before.facts.get(fact) != part]


def _move(foreseen: Foreseen, name: str) -> Move:
    before = foreseen.before.lifecycles.get(name)
    return Move(before.stage if before else None, foreseen.after.lifecycles[name].stage)
