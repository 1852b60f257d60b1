"""Conditions in CEL (Common Expression Language), behind the port of `domain.conditions`.

Every fact is a typed variable of its own dotted name, so that a wrong name or type is refused when the file is read,
and an evaluation costs only the variables that its expression names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args, get_origin

from cel_expr_python import cel

from services.stage_engine.domain.conditions import Finding, Verdict
from services.stage_engine.domain.facts import FactType
from services.stage_engine.domain.state import FactValue
from shared.contracts.events import PAYLOADS
from shared.contracts.money import to_major
from shared.contracts.times import from_ms

MAX_SOURCE_CHARACTERS = 4_096
_STRINGS = re.compile(
    r"[rR]?'''(?:[^\\]|\\.)*?'''|[rR]?\"\"\"(?:[^\\]|\\.)*?\"\"\"|[rR]'[^']*'|[rR]\"[^\"]*\""
    r"|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"",
    re.DOTALL,
)
_VARIABLE = re.compile(r"(?<![\w.])(facts|known|event)\s*\.\s*(\w+)")
_HAS = re.compile(r"(?<![\w.])has\s*\(")
_NOW = re.compile(r"(?<![\w.])now\b")
_POSITION = re.compile(r"<input>:(\d+):(\d+): (.*)")
_CEL_TYPES = {FactType.INT: cel.Type.INT, FactType.MONEY: cel.Type.DOUBLE, FactType.TIME: cel.Type.TIMESTAMP}
_FIELD_TYPES: Mapping[type, Any] = {
    bool: cel.Type.BOOL,
    int: cel.Type.INT,
    Decimal: cel.Type.DOUBLE,
    str: cel.Type.STRING,
}
_HOLDS, _FAILS = Finding(Verdict.HOLDS), Finding(Verdict.FAILS)

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ConditionError(Exception):
    """The expression can't be used. `offset` is the character (from 0) where it goes wrong; 0 for the whole."""

    message: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may name: facts with their types, and fields of the event types that it is tried for."""

    facts: Mapping[str, FactType]
    event_types: frozenset[str]
    currency: str


class CelCondition:
    """A compiled `when`; a boolean over facts and, for edges with `on`, the event's data."""

    def __init__(self, source: str, scope: Scope) -> None:
        names = _names_in(source)
        self.source = source
        self.reads = frozenset(name for kind, name in names if kind in ("facts", "known"))
        _check_names(names, source, scope)
        self._facts = tuple(
            (name, f"facts.{name}", _fact_convert(scope.facts[name], scope.currency))
            for kind, name in sorted(names)
            if kind == "facts"
        )
        self._known = tuple((name, f"known.{name}") for kind, name in sorted(names) if kind == "known")
        fields = sorted(name for kind, name in names if kind == "event")
        types = {name: _field_type(name, scope.event_types) for name in fields}
        self._fields = tuple(
            (name, f"event.{name}", float if types[name] is cel.Type.DOUBLE else None) for name in fields
        )
        self._expression = _compile(source, self._variables(scope, types))

    def _variables(self, scope: Scope, field_types: Mapping[str, Any]) -> dict[str, Any]:
        variables = {variable: _CEL_TYPES[scope.facts[name]] for name, variable, _ in self._facts}
        variables |= {variable: cel.Type.BOOL for _, variable in self._known}
        variables |= {variable: field_types[name] for name, variable, _ in self._fields}
        return variables

    def evaluate(self, facts: Mapping[str, FactValue], data: Mapping[str, Any]) -> Finding:
        given: dict[str, Any] = {variable: name in facts for name, variable in self._known}
        for name, variable, convert in self._facts:
            value = facts.get(name)
            if value is not None:
                given[variable] = convert(value) if convert else value
        try:
            for name, variable, convert in self._fields:
                field = data.get(name)
                if field is not None:
                    given[variable] = convert(field) if convert else field
            result = self._expression.eval(data=given)
        except (RuntimeError, ValueError, TypeError) as error:
            return Finding(Verdict.ERROR, str(error))
        if result.type() == cel.Type.ERROR:
            return _not_computed(str(result.value()))
        return _HOLDS if result.value() is True else _FAILS


def _not_computed(message: str) -> Finding:
    if "No value with name" in message or "Key not found" in message:
        return Finding(Verdict.UNKNOWN, message.split(": ", 1)[1])
    return Finding(Verdict.ERROR, message)


def _fact_convert(kind: FactType, currency: str) -> Convert | None:
    if kind is FactType.TIME:
        return from_ms
    if kind is FactType.MONEY:
        return lambda minor: float(to_major(minor, currency))
    return None


def _names_in(source: str) -> frozenset[tuple[str, str]]:
    return frozenset(_VARIABLE.findall(_blank_strings(source)))


def _blank_strings(source: str) -> str:
    """The source with string literals blanked out, columns kept."""
    return _STRINGS.sub(lambda match: " " * len(match.group()), source)


def _check_names(names: frozenset[tuple[str, str]], source: str, scope: Scope) -> None:
    code = _blank_strings(source)
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise ConditionError(f"the condition has {len(source)} characters; at most {MAX_SOURCE_CHARACTERS} are allowed")
    if found := _HAS.search(code):
        raise ConditionError("has() does not work on facts; ask `known.nps` instead of `has(facts.nps)`", found.start())
    if found := _NOW.search(code):
        raise ConditionError(
            "`now` is not allowed: nothing would wake it up; use `after:` with `since:`", found.start()
        )
    for kind, name in sorted(names):
        offset = _offset(code, kind, name)
        if kind == "event" and not scope.event_types:
            raise ConditionError("`event` is only there on a transition with `on:`; use facts here", offset)
        if kind != "event" and name not in scope.facts:
            raise ConditionError(f"unknown fact `{kind}.{name}`{_did_you_mean(name, list(scope.facts))}", offset)
        if kind == "event":
            _check_field(name, scope.event_types, offset)


def _offset(code: str, kind: str, name: str) -> int:
    found = re.search(rf"(?<![\w.]){kind}\s*\.\s*{re.escape(name)}\b", code)
    return found.start() if found else 0


def _did_you_mean(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean `{close[0]}`?" if close else f"; known are {', '.join(sorted(known))}"


def _check_field(name: str, event_types: frozenset[str], offset: int) -> None:
    for event_type in sorted(event_types):
        payload = PAYLOADS.get(event_type)
        if payload is not None and name not in payload.model_fields:
            hint = _did_you_mean(name, list(payload.model_fields))
            raise ConditionError(f"`{event_type}` has no field `{name}`{hint}", offset)


def _field_type(name: str, event_types: frozenset[str]) -> Any:
    """The CEL type that a field has in all the event types; dynamic where they differ or nobody declared it."""
    types = {_declared_type(name, event_type) for event_type in event_types}
    return _FIELD_TYPES.get(types.pop(), cel.Type.DYN) if len(types) == 1 else cel.Type.DYN


def _declared_type(name: str, event_type: str) -> type:
    """The plain Python type of a payload's field, without None, constraints and literals."""
    payload = PAYLOADS.get(event_type)
    if payload is None:
        return object
    annotation: Any = payload.model_fields[name].annotation
    while arguments := [part for part in get_args(annotation) if part is not type(None)]:
        annotation = arguments[0]
        if get_origin(annotation) in (list, dict):
            return object
    return annotation if isinstance(annotation, type) else type(annotation)


def _compile(source: str, variables: Mapping[str, Any]) -> Any:
    try:
        expression = cel.NewEnv(variables=variables).compile(source)
    except RuntimeError as error:
        raise _explain(str(error), source) from None
    if expression.return_type() != cel.Type.BOOL:
        raise ConditionError(
            f"the condition gives {expression.return_type()}, not true or false; compare it with something"
        )
    return expression


def _explain(message: str, source: str) -> ConditionError:
    found = _POSITION.search(message)
    if not found:
        return ConditionError(message.split("\n", 1)[0])
    line, column, text = int(found[1]), int(found[2]), found[3]
    before = sum(len(each) + 1 for each in source.split("\n")[: line - 1])
    if "no matching overload" in text and "double" in text and "int" in text:
        text += "; money and averages are decimals: write 300.0 instead of 300"
    elif "undeclared reference" in text:
        text += "; a condition can name facts.…, known.… and event.…"
    return ConditionError(text, before + column - 1)
