"""One row by one rule: the event that it gives, as POST /v1/events takes it, or what is wrong with its cells. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from services.cli.importing.mapping_file import Scalar, TextPart, filled_in
from services.cli.importing.moments import Moment, Odd, Reader
from services.cli.importing.problems import Problem, Unfit, shortened
from services.cli.importing.reading import Row
from services.cli.importing.values import Convert, Value
from shared.contracts.cloudevent import BACKFILL
from shared.contracts.field_errors import did_you_mean
from shared.contracts.times import to_text

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it is checked. `columns` names the column behind each pointer into it; `part` counts the events of
    one line; `odd` says what is odd about its time."""

    line: int
    part: int
    body: bytes
    columns: Mapping[str, str]
    odd: Odd | None = None


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A field of an event's data: the way down to it, and where its value comes from: `constant`, or `source` by
    `convert`."""

    path: Sequence[str]
    source: TextPart | None
    convert: Convert
    constant: Scalar | None = None

    @property
    def pointer(self) -> str:
        """Its place in the event."""
        return "/data/" + "/".join(self.path)


@dataclass(frozen=True)
class Rule:
    """How a row gives one kind of event: when `tests` hold. Without an `id`, the event's own content names it."""

    type: str
    tests: Sequence[tuple[str, Callable[[str], bool]]]
    id: TextPart | None
    customer: TextPart
    time: TextPart
    read_time: Reader
    fields: Sequence[FieldRule]

    def fits(self, row: Row) -> bool:
        """Whether the row gives this event."""
        return all(test(row.cells.get(column, "")) for column, test in self.tests)

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """The column, or columns, behind each pointer."""
        named = {"/customer_id": self.customer.columns(), "/time": self.time.columns()}
        named |= {each.pointer: each.source.columns() for each in self.fields if each.source}
        named["/id"] = self.id.columns() if self.id else ()
        return {pointer: ", ".join(columns) for pointer, columns in named.items() if columns}

    def apply(self, row: Row, part: int) -> Draft | list[Problem]:
        """The event of a row that fits; or all that is wrong with its cells."""
        applying = _Applying(self, row)
        event = applying.event()
        if applying.problems:
            return applying.problems
        return Draft(row.line, part, _encode(event), self.columns, applying.odd)


class _Applying:
    """One row on its way to an event."""

    def __init__(self, rule: Rule, row: Row) -> None:
        self._rule = rule
        self._row = row
        self.problems: list[Problem] = []
        self.odd: Odd | None = None

    def event(self) -> dict[str, Any]:
        """The event's fields; not to be used when there are problems."""
        rule = self._rule
        event: dict[str, Any] = {
            "type": rule.type,
            "customer_id": self._needed("/customer_id", rule.customer),
            "time": self._time(),
            "data": self._data(),
            "mode": BACKFILL,
        }
        event["id"] = self._needed("/id", rule.id) if rule.id else digest_id(event)
        return event

    def _needed(self, pointer: str, source: TextPart) -> str:
        """A text that is built of filled cells only."""
        missing = [column for column in source.columns() if not self._cell(column)]
        if not missing:
            return _text(source, self._cell)
        advice = f"fill it, or leave such rows out with where: {{{missing[0]}: {{filled: true}}}}"
        self.problems.append(Problem(self._row.line, missing[0], pointer, "the cell is empty", advice))
        return ""

    def _time(self) -> str:
        text = self._needed("/time", self._rule.time)
        if not text:
            return ""
        try:
            moment: Moment = self._rule.read_time(text)
        except Unfit as error:
            self._wrong(error, self._rule.time, "/time")
            return ""
        self.odd = moment.odd
        return to_text(moment.ms)

    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for each in self._rule.fields:
            value = self._value(each)
            if value is None:
                continue
            inner = data
            for name in each.path[:-1]:
                inner = inner.setdefault(name, {})
            inner[each.path[-1]] = value
        return data

    def _value(self, rule: FieldRule) -> Value | float | None:
        """None for what is left out: an empty cell, or a template of empty cells only."""
        if rule.source is None:
            return rule.constant
        if not any(map(self._cell, rule.source.columns())):
            return None
        try:
            return rule.convert(_text(rule.source, self._cell))
        except Unfit as error:
            self._wrong(error, rule.source, rule.pointer)
            return None

    def _cell(self, column: str) -> str:
        return self._row.cells.get(column, "")

    def _wrong(self, error: Unfit, source: TextPart, pointer: str) -> None:
        self.problems.append(error.at(self._row.line, ", ".join(source.columns()), pointer))


def translated(values: Mapping[str, Scalar]) -> Callable[[str], Any]:
    """How a cell is read by a table of what each means."""

    def read(cell: str) -> Scalar:
        if cell not in values:
            raise Unfit(f"{shortened(cell)} is not among the `values`", did_you_mean(cell, values))
        return values[cell]

    return read


def digest_id(event: Mapping[str, Any]) -> str:
    """An id from what an event says: the same content has the same id, wherever in a file it stands."""
    return f"imported-{blake2b(_encode(event), digest_size=16).hexdigest()}"


def _text(source: TextPart, cell: Callable[[str], str]) -> str:
    return cell(source.column) if source.column is not None else filled_in(source.template or "", cell).strip()
