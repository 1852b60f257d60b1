"""Everything that a backtest has found so far, and the form in which programs get it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.stage_engine.backtesting.counting import Counts, Flow
from services.stage_engine.backtesting.lives import Life
from services.stage_engine.backtesting.parting import Differences, Example
from services.stage_engine.backtesting.periods import Span
from services.stage_engine.definitions.file_model import LifecycleFile
from services.stage_engine.planning.candidate import Candidate
from services.stage_engine.store.customers import CustomerKey
from shared.contracts.times import duration_text, to_text

Json = dict[str, Any]


@dataclass(slots=True)
class Trimmed:
    """Customers whose early history is gone; they are counted from a base state on, the last of them from `until_ms`."""

    customers: int = 0
    until_ms: int = 0

    def add(self, at_ms: int) -> None:
        """One more."""
        self.customers += 1
        self.until_ms = max(at_ms, self.until_ms)


@dataclass(slots=True)
class Findings:
    """Of the customers looked at so far. `active` is None for a lifecycle that is new to the database.

    `customers` are those who had any event before the end, `events` theirs that are kept, `passed_over` those of them that
    could not be applied again. `stages` are those of both sets of rules in order.
    """

    name: str
    versions: tuple[int | None, int]
    stages: tuple[str, ...]
    span: Span
    active: Counts | None
    candidate: Counts
    differences: Differences = field(default_factory=Differences)
    trimmed: Trimmed = field(default_factory=Trimmed)
    customers: int = 0
    events: int = 0
    passed_over: int = 0
    complete: bool = False

    def add(self, customer: CustomerKey, active: Life | None, candidate: Life, currency: str) -> None:
        """Count one customer with their two lives."""
        self.customers += 1
        self.passed_over += max(candidate.passed_over, active.passed_over if active else 0)
        self.candidate.add(candidate)
        if active is not None and self.active is not None:
            self.active.add(active)
            self.differences.add(customer, active, candidate, currency)

    def sides(self) -> list[Counts]:
        """What there is: the active rules first."""
        return [each for each in (self.active, self.candidate) if each is not None]

    def pairs(self) -> list[tuple[str | None, str]]:
        """All moves that happened within the span, by stages in their order."""
        found = {pair for side in self.sides() for pair in side.moves}
        place = {stage: number for number, stage in enumerate(self.stages)}
        return sorted(found, key=lambda pair: (place.get(pair[0] or "", -1), place.get(pair[1], -1)))

    def as_json(self) -> Json:
        """The form of `--format json`."""
        return {
            "lifecycle": self.name,
            "active_version": self.versions[0],
            "candidate_version": self.versions[1],
            "from": to_text(self.span.from_ms),
            "to": to_text(self.span.to_ms),
            "time_zone": self.span.zone.key,
            "every": self.span.every.value,
            "complete": self.complete,
            "customers": self.customers,
            "events": self.events,
            "passed_over": self.passed_over,
            "trimmed": {
                "customers": self.trimmed.customers,
                "until": to_text(self.trimmed.until_ms) if self.trimmed.customers else None,
            },
            "populations": [self._population(place) for place in range(len(self.span.moments))],
            "moves": [self._move(pair) for pair in self.pairs()],
            "stages": [self._stage(stage) for stage in self.stages],
            "differences": self._differences() if self.active is not None else None,
        }

    def _population(self, place: int) -> Json:
        moment = self.span.moments[place]
        candidate = self.candidate.population(place)
        active = self.active.population(place) if self.active is not None else None
        differs = None
        if active is not None:
            both = {stage: candidate.get(stage, 0) - active.get(stage, 0) for stage in self.stages}
            differs = {stage: number for stage, number in both.items() if number}
        return {
            "until": to_text(moment),
            "label": self.span.label(moment),
            "active": active,
            "candidate": candidate,
            "difference": differs,
        }

    def _move(self, pair: tuple[str | None, str]) -> Json:
        active = self.active.moves[pair] if self.active is not None else None
        return {"from": pair[0], "to": pair[1], "active": active, "candidate": self.candidate.moves[pair]}

    def _stage(self, stage: str) -> Json:
        active = _flow(self.active.flow(stage)) if self.active is not None else None
        return {"stage": stage, "active": active, "candidate": _flow(self.candidate.flow(stage))}

    def _differences(self) -> Json:
        found = self.differences
        ends = [{"active": each[0], "candidate": each[1], "customers": n} for each, n in found.ends.most_common()]
        return {
            "ever_elsewhere": found.ever,
            "end_elsewhere": found.elsewhere,
            "ends": ends,
            "examples": [_example(each) for each in found.examples()],
        }


def begin(candidate: Candidate, over: Span) -> Findings:
    """Nothing found yet."""
    name = candidate.definition.name
    tried = candidate.definition.shape
    version = candidate.active.get(name)
    active = None if version is None else candidate.rulebook.definition(name, version).shape
    stages = _stages(tried, active or tried)
    counted = None if active is None else Counts(over, _orders(active))
    return Findings(name, (version, candidate.version), stages, over, counted, Counts(over, _orders(tried)))


def _flow(flow: Flow) -> Json:
    return {
        "entered": flow.entered,
        "left": flow.left,
        "went_on": flow.went_on,
        "share": None if flow.share is None else round(flow.share, 4),
        "median_stay": None if flow.median_ms is None else duration_text(flow.median_ms),
    }


def _orders(shape: LifecycleFile) -> dict[str, int]:
    return {key: part.order for key, part in shape.stages.items()}


def _stages(tried: LifecycleFile, active: LifecycleFile) -> tuple[str, ...]:
    """The stages of both in one order; where they disagree, in that of the rules that are tried."""
    orders = _orders(tried)
    orders |= {key: order for key, order in _orders(active).items() if key not in orders}
    return tuple(sorted(orders, key=lambda key: orders[key]))


def _example(example: Example) -> Json:
    return {
        "tenant": example.customer.tenant,
        "customer_id": example.customer.customer_id,
        "ends": {"active": example.ends[0], "candidate": example.ends[1]},
        "at": to_text(example.at_ms),
        "active": example.active,
        "candidate": example.candidate,
    }
