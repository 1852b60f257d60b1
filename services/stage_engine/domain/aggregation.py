"""How a fact adds up: from one event's value to a partial result, from two partial results to one, from that to a value.

A partial result is plain JSON, as it is stored. Windows keep one for each local day and merge those that still count, so
every aggregation is defined by `one`, `merge` and `result` alone. Of two partials, the second one's events came later in
the log where their times are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import reduce
from hashlib import blake2b
from typing import Any, Protocol

from services.stage_engine.domain.state import FactValue

MOST_DISTINCT = 1_000
"""A count of distinct values is exact up to here, and then says "at least"."""

Partial = Any


class Kind(Enum):
    """The aggregations by their names in definition files."""

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVERAGE = "average"
    AVERAGE_GAP = "average_gap"
    FIRST = "first"
    LAST = "last"
    DISTINCT = "distinct"


class Aggregation(Protocol):
    """One way to add up."""

    def one(self, value: FactValue, time_ms: int) -> Partial:
        """The partial result of one event."""
        ...

    def merge(self, before: Partial, after: Partial) -> Partial:
        """Two partial results as one; neither is changed."""
        ...

    def result(self, partial: Partial) -> FactValue | None:
        """The fact's value; None while there is none."""
        ...


class _Sum:
    """Also counts: each event is worth 1."""

    def one(self, value: FactValue, time_ms: int) -> Partial:
        return value

    def merge(self, before: Partial, after: Partial) -> Partial:
        return before + after

    def result(self, partial: Partial) -> FactValue | None:
        value: FactValue = partial
        return value


class _Count(_Sum):
    def one(self, value: FactValue, time_ms: int) -> Partial:
        return 1


class _Min(_Sum):
    def merge(self, before: Partial, after: Partial) -> Partial:
        return min(before, after)


class _Max(_Sum):
    def merge(self, before: Partial, after: Partial) -> Partial:
        return max(before, after)


class _Average:
    """Sum and number. Whole amounts (money in minor units, durations) stay whole, rounded half up."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def one(self, value: FactValue, time_ms: int) -> Partial:
        return [value, 1]

    def merge(self, before: Partial, after: Partial) -> Partial:
        return [before[0] + after[0], before[1] + after[1]]

    def result(self, partial: Partial) -> FactValue | None:
        total, number = partial
        average: FactValue = (2 * total + number) // (2 * number) if self._whole else total / number
        return average


class _AverageGap:
    """The mean time between events, in milliseconds: (last − first) / (number − 1), so from the second event on."""

    def one(self, value: FactValue, time_ms: int) -> Partial:
        return [time_ms, time_ms, 1]

    def merge(self, before: Partial, after: Partial) -> Partial:
        return [min(before[0], after[0]), max(before[1], after[1]), before[2] + after[2]]

    def result(self, partial: Partial) -> FactValue | None:
        first, last, number = partial
        return None if number < 2 else int((last - first) // (number - 1))


class _First:
    def one(self, value: FactValue, time_ms: int) -> Partial:
        return [time_ms, value]

    def merge(self, before: Partial, after: Partial) -> Partial:
        return after if after[0] < before[0] else before

    def result(self, partial: Partial) -> FactValue | None:
        value: FactValue = partial[1]
        return value


class _Last(_First):
    def merge(self, before: Partial, after: Partial) -> Partial:
        return after if after[0] >= before[0] else before


class _Distinct:
    """Fingerprints of the values, sorted; one more than can be counted marks that there are more."""

    def one(self, value: FactValue, time_ms: int) -> Partial:
        text = f"{type(value).__name__}:{value}".encode()
        return [int.from_bytes(blake2b(text, digest_size=6).digest(), "big")]

    def merge(self, before: Partial, after: Partial) -> Partial:
        return sorted({*before, *after})[: MOST_DISTINCT + 1]

    def result(self, partial: Partial) -> FactValue | None:
        return min(len(partial), MOST_DISTINCT)


def aggregation(kind: Kind, *, whole: bool) -> Aggregation:
    """The aggregation of a kind; `whole` says that its amounts are whole numbers that stand for something finer."""
    return _Average(whole=whole) if kind is Kind.AVERAGE else _BY_KIND[kind]


_BY_KIND: Mapping[Kind, Aggregation] = {
    Kind.COUNT: _Count(),
    Kind.SUM: _Sum(),
    Kind.MIN: _Min(),
    Kind.MAX: _Max(),
    Kind.AVERAGE_GAP: _AverageGap(),
    Kind.FIRST: _First(),
    Kind.LAST: _Last(),
    Kind.DISTINCT: _Distinct(),
}


def together(aggregation: Aggregation, partials: Sequence[Partial]) -> Partial:
    """Partial results as one, in their order; None when there are none."""
    if isinstance(aggregation, _Distinct):
        return sorted(set().union(*partials))[: MOST_DISTINCT + 1] if partials else None
    return reduce(aggregation.merge, partials) if partials else None


def thinned(aggregation: Aggregation, window: list[Any]) -> list[Any]:
    """A window of [day, partial result] without what can make no difference any more.

    Of a distinct value only the last day counts, and of more values than can be counted only those that leave last: when
    the count falls below what can be told apart, all that was left out has gone before.
    """
    if not isinstance(aggregation, _Distinct):
        return window
    kept: list[Any] = []
    seen: set[int] = set()
    for day, partial in reversed(window):
        news = [each for each in partial if each not in seen][: MOST_DISTINCT + 1 - len(seen)]
        seen.update(news)
        if news:
            kept.append([day, news])
    return kept[::-1]


def is_saturated(aggregation: Aggregation, partial: Partial) -> bool:
    """Whether the value is a lower bound: more distinct values came than are told apart."""
    return isinstance(aggregation, _Distinct) and len(partial) > MOST_DISTINCT
