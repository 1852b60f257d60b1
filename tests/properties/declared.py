"""A lifecycle's own facts as generated, and their values: added up anew from the whole history for each moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.properties.conditions import Condition
from tests.properties.local_calendar import begins, day_at
from tests.properties.records import Record

CURRENCY = "BRL"
FAILED = object()
"""What arithmetic gives that can't be done."""


@dataclass(frozen=True)
class Declared:
    """One aggregation over events. `takes` is how the field's value is read; `days` the length of the window."""

    name: str
    kind: str
    types: tuple[str, ...]
    field: str | None = None
    takes: str = "int"
    says_type: bool = False
    where: Condition | None = None
    days: int | None = None

    @property
    def type(self) -> str:
        """int, number, money, time, duration or text"""
        if self.kind in ("count", "distinct"):
            return "int"
        if self.kind == "average_gap":
            return "duration"
        return "number" if self.kind == "average" and self.takes == "int" else self.takes

    def content(self) -> dict[str, Any]:
        """As it stands in the file."""
        types = list(self.types)
        said = {
            **({self.kind: self.field, "of": types} if self.field else {self.kind: types}),
            "type": self.takes if self.says_type else None,
            "where": self.where.text() if self.where else None,
            "within": f"{self.days}d" if self.days else None,
        }
        return {key: value for key, value in said.items() if value}

    def counts(self, record: Record) -> bool:
        """Whether an event is one of its own, whenever it happened."""
        if record.type not in self.types or (self.where and self.where.verdict({}, record.data) is not True):
            return False
        return self.field is None or taken_from(record, self.field, self.takes) is not None

    def value(self, history: Sequence[Record], at: int, zone: str) -> Any:
        """At a moment; None without a value. The history is in the order in which it was applied."""
        events = [record for record in history if self.counts(record)]
        if self.days:
            first_day = day_at(at, zone) - self.days + 1
            events = [record for record in events if day_at(record.happened, zone) >= first_day]
        by_time = sorted(events, key=lambda record: record.happened)
        field = self.field
        values = [taken_from(record, field, self.takes) for record in by_time] if field else []
        times = [record.happened for record in by_time]
        whole = self.takes == "money"
        ways: Mapping[str, Callable[[], Any]] = {
            "count": lambda: len(times),
            "sum": lambda: sum(values),
            "distinct": lambda: len(set(values)),
            "min": lambda: min(values, default=None),
            "max": lambda: max(values, default=None),
            "first": lambda: next(iter(values), None),
            "last": lambda: next(iter(values[::-1]), None),
            "average": lambda: _average(values, whole) if values else None,
            "average_gap": lambda: (times[-1] - times[0]) // (len(times) - 1) if len(times) > 1 else None,
        }
        return ways[self.kind]()

    def leaves(self, history: Sequence[Record], zone: str) -> list[int]:
        """When a day that counts ceases to."""
        days = {day_at(record.happened, zone) for record in history if self.counts(record)}
        return [begins(day + self.days, zone) for day in days] if self.days else []


@dataclass(frozen=True)
class Computed:
    """Arithmetic over two facts: `sum`, `quotient` of whole numbers, `share` of money (in major units) in a number."""

    name: str
    kind: str
    one: str
    other: str

    @property
    def type(self) -> str:
        """int or number"""
        return "number" if self.kind == "share" else "int"

    def content(self) -> dict[str, Any]:
        """As it stands in the file."""
        forms = {
            "sum": f"facts.{self.one} + facts.{self.other}",
            "quotient": f"facts.{self.one} / facts.{self.other}",
            "share": f"facts.{self.one} / double(facts.{self.other})",
        }
        return {"expr": forms[self.kind]}

    def value(self, facts: Mapping[str, Any]) -> Any:
        """None where one of the two has no value, FAILED where one has failed or the division is by zero."""
        both: list[Any] = [facts.get(self.one), facts.get(self.other)]
        if FAILED in both or None in both:
            return FAILED if FAILED in both else None
        one, other = both
        if self.kind == "sum":
            return one + other
        if other == 0:
            return FAILED
        return one // other if self.kind == "quotient" else one / 100 / float(other)


OwnFact = Declared | Computed


def values_at(
    facts: Sequence[OwnFact], counted: Mapping[str, Any], history: Sequence[Record], at: int, zone: str
) -> dict[str, Any]:
    """Own facts that have a value at a moment; those that are computed stand behind what they read."""
    known = dict(counted)
    for fact in facts:
        value = fact.value(history, at, zone) if isinstance(fact, Declared) else fact.value(known)
        if value is not None:
            known[fact.name] = value
    return {fact.name: known[fact.name] for fact in facts if fact.name in known}


def windows_behind(facts: Sequence[OwnFact], names: set[str]) -> list[Declared]:
    """The windows that decide these facts, through whatever is computed from them."""
    found: list[Declared] = []
    wanted = set(names)
    for fact in reversed(facts):
        if fact.name not in wanted:
            continue
        if isinstance(fact, Computed):
            wanted |= {fact.one, fact.other}
        elif fact.days:
            found.append(fact)
    return found


def taken_from(record: Record, field: str, takes: str) -> Any:
    """The field's value as a fact takes it, or None: it is missing, of another type, or in another currency."""
    if takes == "time":
        return record.happened
    value: Any = record.data.get(field)
    if takes == "money":
        known = value is not None and record.data.get("currency", CURRENCY) == CURRENCY
        return int(Decimal(value) * 100) if known else None
    if takes == "text":
        return value[:200] if type(value) is str else None
    if takes == "number":
        return float(value) if type(value) in (int, float) else None
    return value if type(value) is int else None


def _average(values: Sequence[Any], whole: bool) -> Any:
    if not whole:
        return sum(values) / len(values)
    return int((Decimal(sum(values)) / len(values)).quantize(Decimal(1), ROUND_HALF_UP))
