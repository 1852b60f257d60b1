"""Conditions and formulas in CEL (Common Expression Language), behind the ports of `domain`.

What an expression may name is checked on its text before (`expressions`); here it is compiled with a typed variable for
each name, and an evaluation is given only those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from cel_expr_python import cel

from services.stage_engine.definitions.cel_messages import explain
from services.stage_engine.definitions.expressions import ConditionError, Scope, check_text, field_type, names_in
from services.stage_engine.definitions.mismatches import in_words
from services.stage_engine.definitions.sure_failures import check_constants
from services.stage_engine.domain.conditions import Finding, Verdict
from services.stage_engine.domain.facts import FactType
from services.stage_engine.domain.own_facts import STAGES, FactFailed
from services.stage_engine.domain.state import FactValue
from shared.contracts.money import to_major
from shared.contracts.times import from_ms, to_ms

_CEL_TYPES = {
    FactType.INT: cel.Type.INT,
    FactType.NUMBER: cel.Type.DOUBLE,
    FactType.MONEY: cel.Type.DOUBLE,
    FactType.TIME: cel.Type.TIMESTAMP,
    FactType.DURATION: cel.Type.DURATION,
    FactType.TEXT: cel.Type.STRING,
}
_FIELD_TYPES: Mapping[type, Any] = {
    bool: cel.Type.BOOL,
    int: cel.Type.INT,
    float: cel.Type.DOUBLE,
    Decimal: cel.Type.DOUBLE,
    str: cel.Type.STRING,
}
_LONGEST_DETAIL = 1_000
LONGEST_TEXT = 200
"""Characters of a text that is a fact."""
_HOLDS, _FAILS = Finding(Verdict.HOLDS), Finding(Verdict.FAILS)

Convert = Callable[[Any], Any]


class _Expression:
    """A compiled expression and what it has to be given."""

    def __init__(self, source: str, scope: Scope) -> None:
        check_text(source, scope)
        self.source = source
        named = sorted(names_in(source))
        types = scope.types
        self._facts: tuple[tuple[str, str, Convert | None], ...] = tuple(
            (name, f"facts.{name}", _fact_convert(types[name], scope.currency))
            for kind, name in named
            if kind == "facts"
        )
        self._facts += tuple((f"{STAGES}{name}", f"{STAGES}{name}", None) for kind, name in named if kind == "stages")
        self._known = tuple((name, f"known.{name}") for kind, name in named if kind == "known")
        self.reads = frozenset({name for name, _, _ in self._facts} | {name for name, _ in self._known})
        fields = {
            name: _FIELD_TYPES.get(field_type(name, scope.event_types), cel.Type.DYN)
            for kind, name in named
            if kind == "event"
        }
        self._fields: tuple[tuple[str, str, Convert | None], ...] = tuple(
            (name, f"event.{name}", float if kind is cel.Type.DOUBLE else None) for name, kind in fields.items()
        )
        variables = {variable: _CEL_TYPES[types.get(name, FactType.TEXT)] for name, variable, _ in self._facts}
        variables |= {variable: cel.Type.BOOL for _, variable in self._known}
        variables |= {f"event.{name}": kind for name, kind in fields.items()}
        self.compiled = _compile(source, variables, scope)

    def evaluate(self, facts: Mapping[str, FactValue], data: Mapping[str, Any]) -> Any:
        """CEL's value, which may be an error value. Raises RuntimeError, ValueError, TypeError, OverflowError."""
        given: dict[str, Any] = {variable: name in facts for name, variable in self._known}
        for name, variable, convert in self._facts:
            value = facts.get(name)
            if value is not None:
                given[variable] = convert(value) if convert else value
        for name, variable, convert in self._fields:
            field = data.get(name)
            if field is not None:
                given[variable] = convert(field) if convert else field
        return self.compiled.eval(data=given)


class CelCondition:
    """A compiled `when` or `where`: true or false over facts, stages and, where there is one, the event's data."""

    def __init__(self, source: str, scope: Scope) -> None:
        expression = _Expression(source, scope)
        self._evaluate = expression.evaluate
        self.source = source
        self.reads = expression.reads
        returned = expression.compiled.return_type()
        if returned != cel.Type.BOOL:
            raise ConditionError(
                f"the condition gives {in_words(str(returned))}, not true or false; compare it with something"
            )

    def evaluate(self, facts: Mapping[str, FactValue], data: Mapping[str, Any]) -> Finding:
        try:
            result = self._evaluate(facts, data)
        except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
            return Finding(Verdict.ERROR, str(error)[:_LONGEST_DETAIL])
        if result.type() == cel.Type.ERROR:
            return _not_computed(str(result.value()))
        return _HOLDS if result.value() is True else _FAILS


class CelFormula:
    """A compiled `expr`: arithmetic over facts. Money is read in major units, so what it gives is a plain number."""

    def __init__(self, source: str, scope: Scope) -> None:
        self._expression = _Expression(source, scope)
        self.source = source
        self.reads = self._expression.reads
        returned = self._expression.compiled.return_type()
        found = next((kind for kind, each in _RESULTS.items() if each[0] == returned), None)
        if found is None:
            raise ConditionError(
                f"`expr` gives {in_words(str(returned))}; a fact is a number, a text, a time or a duration"
            )
        self.type = found
        self._stored: Convert | None = _RESULTS[found][1]

    def compute(self, facts: Mapping[str, FactValue]) -> FactValue | None:
        try:
            result = self._expression.evaluate(facts, {})
        except FactFailed:
            raise  # one that this one reads: it has said which
        except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
            raise FactFailed(f"{self.source}: {error}") from None
        if result.type() == cel.Type.ERROR:
            finding = _not_computed(str(result.value()))
            if finding.verdict is Verdict.UNKNOWN:
                return None
            raise FactFailed(f"{self.source}: {finding.detail}")
        value: FactValue = self._stored(result.value()) if self._stored else result.value()
        if isinstance(value, float) and not isfinite(value):
            raise FactFailed(f"{self.source}: gives {value}")
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise FactFailed(f"{self.source}: gives a text of {len(value):,} characters; a fact holds {LONGEST_TEXT}")
        return value


_RESULTS: Mapping[FactType, tuple[Any, Convert | None]] = {
    FactType.INT: (cel.Type.INT, None),
    FactType.NUMBER: (cel.Type.DOUBLE, None),
    FactType.TEXT: (cel.Type.STRING, None),
    FactType.TIME: (cel.Type.TIMESTAMP, to_ms),
    FactType.DURATION: (cel.Type.DURATION, lambda length: length // timedelta(milliseconds=1)),
}
"""What a formula may give, and how it is kept."""


def _not_computed(message: str) -> Finding:
    if "No value with name" in message or "Key not found" in message:
        return Finding(Verdict.UNKNOWN, message.split(": ", 1)[1])
    return Finding(Verdict.ERROR, message[:_LONGEST_DETAIL])  # it may quote a text of the event


def _fact_convert(kind: FactType, currency: str) -> Convert | None:
    if kind is FactType.TIME:
        return from_ms
    if kind is FactType.DURATION:
        return lambda ms: timedelta(milliseconds=ms)
    if kind is FactType.MONEY:
        return lambda minor: float(to_major(minor, currency))
    return None


def _compile(source: str, variables: Mapping[str, Any], scope: Scope) -> Any:
    try:
        compiled = cel.NewEnv(variables=variables).compile(source)
    except RuntimeError as error:
        raise explain(str(error), source, scope) from None
    check_constants(source)
    return compiled
