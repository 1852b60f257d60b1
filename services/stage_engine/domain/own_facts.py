"""The facts that a lifecycle declares for itself: what events add to them, and what they are worth at a moment.

What is stored of a fact is a tally: a partial result, or for a window one partial result for each local day that may still
count. A window's value follows from its tally and the moment at which it is read; nothing happens at midnight but that
edges which read it are looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec

from services.stage_engine.domain.aggregation import Aggregation, Partial, is_saturated, thinned, together
from services.stage_engine.domain.conditions import Condition, Verdict
from services.stage_engine.domain.event import Event
from services.stage_engine.domain.facts import FactType
from services.stage_engine.domain.local_days import Day, day_of, start_of
from services.stage_engine.domain.state import FactValue

Tallies = Mapping[str, Any]
"""By fact: a partial result, or for a window a list of [day, partial result], the earliest day first."""

Reader = Callable[[Event], FactValue | None]
"""What an event is worth to a fact; None passes it over."""

NO_STAGES: Mapping[str, str] = {}
NONE: frozenset[str] = frozenset()
STAGES = "stages."
"""What the name of another lifecycle's stage starts with, where facts are read by name."""


class FactFailed(ValueError):
    """An arithmetic fact could not be computed, such as a division by zero."""


class Formula(Protocol):
    """Arithmetic over facts."""

    @property
    def reads(self) -> frozenset[str]:
        """Names of the facts that it names."""
        ...

    def compute(self, facts: Mapping[str, FactValue]) -> FactValue | None:
        """Its value; None while a fact that it needs has none. Raises FactFailed."""
        ...


class EventFact(msgspec.Struct, frozen=True):
    """A fact that events of some types add up to. `days` is the window's length in local days, this one included; `field` is
    what it takes of an event's data, None for the event itself."""

    name: str
    type: FactType
    aggregation: Aggregation
    of: frozenset[str]
    read: Reader
    where: Condition | None = None
    days: int | None = None
    field: str | None = None
    start: FactValue | None = None
    """Its value before the first event: 0 for counts and sums."""


class DerivedFact(msgspec.Struct, frozen=True):
    """A fact computed from others whenever it is read."""

    name: str
    type: FactType
    formula: Formula


class Problem(msgspec.Struct, frozen=True):
    """A `where` that could not be computed for an event, which was passed over."""

    fact: str
    expression: str
    detail: str


class OwnFacts:
    """All that one lifecycle declares, with the zone whose days its windows count."""

    def __init__(self, events: Iterable[EventFact], derived: Iterable[DerivedFact], zone: ZoneInfo) -> None:
        self.zone = zone
        self.by_name: Mapping[str, EventFact] = {fact.name: fact for fact in events}
        self.derived: Mapping[str, DerivedFact] = {fact.name: fact for fact in derived}
        self._by_type: dict[str, list[EventFact]] = {}
        for fact in self.by_name.values():
            for event_type in fact.of:
                self._by_type.setdefault(event_type, []).append(fact)
        self._moved_by = {kind: frozenset(fact.name for fact in facts) for kind, facts in self._by_type.items()}
        self._sources: dict[str, frozenset[str]] = {}
        self.types: Mapping[str, FactType] = {
            **{name: fact.type for name, fact in self.by_name.items()},
            **{name: fact.type for name, fact in self.derived.items()},
        }

    def __bool__(self) -> bool:
        return bool(self.types)

    def sources(self, name: str) -> frozenset[str]:
        """The facts of events, own and built-in, that a fact comes down to: itself, unless it is derived."""
        if name not in self.derived:
            return frozenset({name})
        found = self._sources.get(name)
        if found is None:
            reads = self.derived[name].formula.reads
            found = self._sources[name] = frozenset(source for read in reads for source in self.sources(read))
        return found

    def moved_by(self, event_type: str) -> frozenset[str]:
        """The event facts that events of a type may change."""
        return self._moved_by.get(event_type, NONE)

    def same_day(self, one_ms: int, other_ms: int) -> bool:
        """Whether no local day begins between two moments, so that no window loses anything."""
        return one_ms == other_ms or day_of(one_ms, self.zone) == day_of(other_ms, self.zone)

    def take(self, tallies: Tallies, event: Event, at_ms: int) -> tuple[Tallies, Sequence[Problem]]:
        """The tallies after an event, and what went wrong; `at_ms` is the moment from which windows will be read."""
        concerned = self._by_type.get(event.type)
        if not concerned:
            return tallies, ()
        after = dict(tallies)
        problems: list[Problem] = []
        for fact in concerned:
            problem = self._add(after, fact, event, at_ms)
            if problem is not None:
                problems.append(problem)
        return after, problems

    def _add(self, tallies: dict[str, Any], fact: EventFact, event: Event, at_ms: int) -> Problem | None:
        if fact.where is not None:
            finding = fact.where.evaluate({}, event.data)
            if finding.verdict is Verdict.ERROR:
                return Problem(fact.name, fact.where.source, finding.detail)
            if finding.verdict is not Verdict.HOLDS:
                return None
        value = fact.read(event)
        if value is None:
            return None
        partial = fact.aggregation.one(value, event.time_ms)
        before = tallies.get(fact.name)
        if fact.days is not None:
            tallies[fact.name] = self._add_to_window(
                fact, before or [], day_of(event.time_ms, self.zone), partial, at_ms
            )
        else:
            tallies[fact.name] = partial if before is None else fact.aggregation.merge(before, partial)
        return None

    def _add_to_window(self, fact: EventFact, window: list[Any], day: Day, partial: Partial, at_ms: int) -> list[Any]:
        """The window with an event of a day. Days that have left it never count again, so they are dropped here."""
        today, days = day_of(at_ms, self.zone), fact.days or 0
        kept = _counting(window, today, days)
        if day <= today - days:
            return kept
        place = bisect_left(kept, day, key=_day)
        after = kept[place:]
        if after and after[0][0] == day:
            partial, after = fact.aggregation.merge(after[0][1], partial), after[1:]
        return thinned(fact.aggregation, [*kept[:place], [day, partial], *after])

    def without_past_days(self, tallies: Tallies, at_ms: int) -> Tallies:
        """The same tallies without days that have left their windows by a moment."""
        today = day_of(at_ms, self.zone)
        days = {name: fact.days for name, fact in self.by_name.items() if fact.days is not None}
        return {name: _counting(tally, today, days[name]) if name in days else tally for name, tally in tallies.items()}

    def value(self, name: str, tallies: Tallies, at_ms: int) -> FactValue | None:
        """What an event fact is worth at a moment; None while it has no value."""
        fact = self.by_name[name]
        partial = self._partial(fact, tallies.get(name), at_ms)
        return fact.start if partial is None else fact.aggregation.result(partial)

    def saturated(self, tallies: Tallies, at_ms: int) -> list[str]:
        """The facts whose value is a lower bound at a moment: they mean "at least"."""
        found = []
        for name, fact in self.by_name.items():
            partial = self._partial(fact, tallies.get(name), at_ms)
            if partial is not None and is_saturated(fact.aggregation, partial):
                found.append(name)
        return found

    def _partial(self, fact: EventFact, tally: Any, at_ms: int) -> Partial:
        """What a fact has come to at a moment; None before its first event that counts."""
        if tally is None or fact.days is None:
            return tally
        counting = _counting(tally, day_of(at_ms, self.zone), fact.days)
        return together(fact.aggregation, [partial for _, partial in counting])

    def next_decay_ms(self, windows: Set[str], tallies: Tallies, after_ms: int) -> int | None:
        """When a day leaves one of these facts' windows next, later than a moment; None when nothing is to leave."""
        today = day_of(after_ms, self.zone)
        leaving = (self._next_leaving(name, window, today) for name, window in tallies.items() if name in windows)
        first = min((day for day in leaving if day is not None), default=None)
        return None if first is None else start_of(first, self.zone)

    def _next_leaving(self, name: str, window: list[Any], today: Day) -> Day | None:
        """The next day after today at whose start something leaves the window."""
        days = self.by_name[name].days or 0
        place = bisect_right(window, today - days, key=_day)
        return window[place][0] + days if place < len(window) else None


class FactView(Mapping[str, FactValue]):
    """All facts that a lifecycle's conditions may read, by name, as they stand at one moment. Each is computed when it is
    first asked for. Other lifecycles' stages are there as `stages.<name>`."""

    __slots__ = ("_at_ms", "_built_in", "_found", "_own", "_stages", "_tallies")

    def __init__(
        self,
        own: OwnFacts,
        built_in: Mapping[str, FactValue],
        tallies: Tallies,
        at_ms: int,
        stages: Mapping[str, str] = NO_STAGES,
    ) -> None:
        self._own = own
        self._built_in = built_in
        self._stages = stages
        self._tallies = tallies
        self._at_ms = at_ms
        self._found: dict[str, FactValue | None] = {}

    def get(self, name: str, default: Any = None) -> Any:
        """A fact's value, or the default while it has none. Raises FactFailed."""
        value = self._built_in.get(name)
        if value is None:
            value = self._stages.get(name)
        if value is None and name in self._own.types:
            value = self._compute(name)
        return default if value is None else value

    def __getitem__(self, name: str) -> FactValue:
        found: FactValue | None = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return self.get(str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        names = (*self._built_in, *self._stages, *self._own.types)
        return (name for name in names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _compute(self, name: str) -> FactValue | None:
        if name in self._found:
            return self._found[name]
        if name in self._own.by_name:
            value = self._own.value(name, self._tallies, self._at_ms)
        else:
            value = self._own.derived[name].formula.compute(self)
        self._found[name] = value
        return value


def _counting(window: list[Any], today: Day, days: int) -> list[Any]:
    """The part of a window that still counts: today and the days before, as many as it is long."""
    return window[bisect_left(window, today - days + 1, key=_day) :]


def _day(entry: list[Any]) -> Day:
    day: Day = entry[0]
    return day


NO_OWN_FACTS = OwnFacts((), (), ZoneInfo("UTC"))


def known_values(facts: Mapping[str, FactValue], names: Iterable[str]) -> dict[str, FactValue]:
    """The facts of these names that have a value and can be computed."""
    found = {name: _known(facts, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _known(facts: Mapping[str, FactValue], name: str) -> FactValue | None:
    try:
        return facts.get(name)
    except FactFailed:
        return None
