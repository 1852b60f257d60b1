"""A lifecycle's own facts: checked against each other and the event types, and compiled for a currency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from services.stage_engine.definitions.cel import LONGEST_TEXT, CelCondition, CelFormula
from services.stage_engine.definitions.expressions import (
    MONEY,
    ConditionError,
    Scope,
    did_you_mean,
    field_type,
    names_in,
)
from services.stage_engine.definitions.file_model import FactPart
from services.stage_engine.definitions.yaml_source import Document, Path, Problem
from services.stage_engine.domain.aggregation import Kind, aggregation
from services.stage_engine.domain.event import Event
from services.stage_engine.domain.facts import BUILT_IN, FactType
from services.stage_engine.domain.own_facts import DerivedFact, EventFact, OwnFacts, Reader
from services.stage_engine.domain.state import FactValue
from shared.contracts.events import PAYLOADS
from shared.contracts.money import to_minor

Facts = Mapping[str, FactPart]

_SPECIAL_FIELD = "time"
"""Stands for the event's own time, unless its data has a field of that name."""
_BY_PYTHON_TYPE = {int: FactType.INT, float: FactType.NUMBER, MONEY: FactType.MONEY, str: FactType.TEXT}
_NUMBERS = (FactType.INT, FactType.NUMBER, FactType.MONEY)
_LARGEST = (1 << 53) - 1
"""Larger numbers are passed over: JSON does not carry them exactly, and their sums would leave what a double can hold."""
_STARTS_AT_ZERO = ("count", "sum", "distinct")


class FactProblem(Exception):
    """One thing wrong with a fact, and where in its part of the file: a key, and a character of that key's text."""

    def __init__(self, key: str, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.offset = offset


def fact_types(facts: Facts, currency: str) -> dict[str, FactType]:
    """Built-in facts and own ones with their types. Raises FactProblem for one that can't be typed."""
    types = {name: event_fact_type(part) for name, part in facts.items() if part.kind != "expr"}
    for name in _in_order(facts):
        types[name] = _formula(facts[name], Scope.over_facts({**BUILT_IN, **types}, currency, "expr")).type
    return {**BUILT_IN, **types}


def problems(document: Document, facts: Facts) -> Iterator[Problem]:
    """Everything wrong with the facts of a file."""
    typed: dict[str, FactType] = dict(BUILT_IN)
    for name, part in facts.items():
        path: Path = ("facts", name)
        if name in BUILT_IN:
            yield document.problem(path, f"`{name}` is a built-in fact; give yours another name")
        elif part.kind != "expr":
            try:
                typed[name] = event_fact_type(part)
                _where(part, "BRL")
            except FactProblem as error:
                yield document.problem_inside((*path, error.key), error.offset, f"`{name}`: {error.message}")
    try:
        ordered = _in_order(facts)
    except FactProblem as error:
        yield document.problem(("facts", error.key), error.message)
        return
    for name in ordered:
        try:
            typed[name] = _formula(facts[name], Scope.over_facts(typed, "BRL", "expr")).type
        except FactProblem as error:
            yield document.problem_inside(("facts", name, error.key), error.offset, f"`{name}`: {error.message}")


def compile_facts(facts: Facts, zone: ZoneInfo, currency: str) -> OwnFacts:
    """The runnable form of facts that have no problems."""
    types = fact_types(facts, currency)
    events = [_event_fact(name, part, currency) for name, part in facts.items() if part.kind != "expr"]
    derived = [
        DerivedFact(name, types[name], _formula(part, Scope.over_facts(types, currency, "expr")))
        for name, part in facts.items()
        if part.kind == "expr"
    ]
    return OwnFacts(events, derived, zone)


def event_fact_type(part: FactPart) -> FactType:
    """The type of a fact that events add up to. Raises FactProblem."""
    kind = part.kind
    if kind in ("count", "distinct"):
        if part.field is not None:
            _value_type(part)
        return FactType.INT
    if kind == "average_gap":
        return FactType.DURATION
    value = _value_type(part)
    if kind in ("sum", "average") and value not in _NUMBERS:
        raise FactProblem(kind, f"`{part.field}` is a {value.value}; {kind} needs a number")
    return FactType.NUMBER if kind == "average" and value is FactType.INT else value


def _value_type(part: FactPart) -> FactType:
    """The type of the field that a fact takes."""
    field, types = str(part.field), part.event_types
    for event_type in sorted(types):
        payload = PAYLOADS.get(event_type)
        if payload is not None and field not in payload.model_fields and field != _SPECIAL_FIELD:
            hint = did_you_mean(field, payload.model_fields)
            raise FactProblem(part.kind, f"`{event_type}` has no field `{field}`{hint}")
    if field == _SPECIAL_FIELD and not any(field in _fields_of(each) for each in types):
        return FactType.TIME
    if part.type is not None:
        return FactType(part.type)
    found = _BY_PYTHON_TYPE.get(field_type(field, types))
    if found is None:
        known = all(event_type in PAYLOADS for event_type in types)
        why = "is no plain value" if known else "is of an event type that nobody declared"
        raise FactProblem(part.kind, f"`{field}` {why}; say what it is with `type:` int, number, money or text")
    return found


def _fields_of(event_type: str) -> Mapping[str, Any]:
    payload = PAYLOADS.get(event_type)
    return payload.model_fields if payload is not None else {}


def _event_fact(name: str, part: FactPart, currency: str) -> EventFact:
    kind = part.kind
    value = _value_type(part) if part.field is not None else FactType.INT
    whole = value in (FactType.MONEY, FactType.TIME, FactType.DURATION)
    return EventFact(
        name=name,
        type=event_fact_type(part),
        aggregation=aggregation(Kind(kind), whole=whole),
        of=part.event_types,
        read=_reader(part, value, currency),
        where=_where(part, currency),
        days=part.within,
        field=part.field,
        start=0 if kind in _STARTS_AT_ZERO else None,
    )


def _reader(part: FactPart, value: FactType, currency: str) -> Reader:
    field = part.field
    if field is None:
        return lambda event: 1
    if value is FactType.TIME:
        return lambda event: event.time_ms
    convert = {FactType.INT: _int, FactType.NUMBER: _number, FactType.TEXT: _text}.get(value)
    if convert is None:
        return lambda event: _money(event, field, currency)
    return lambda event: convert(event.data.get(field))


def _int(value: Any) -> FactValue | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST else None


def _number(value: Any) -> FactValue | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
    return float(value) if usable else None


def _text(value: Any) -> FactValue | None:
    return value[:LONGEST_TEXT] if isinstance(value, str) else None


def _money(event: Event, field: str, currency: str) -> FactValue | None:
    """Minor units; an amount in another currency than the tenant's has no value here."""
    amount = event.data.get(field)
    if amount is None or event.data.get("currency", currency) != currency:
        return None
    try:
        # A margin may be negative, which no price is.
        exact = Decimal(str(amount))
        minor = to_minor(abs(exact), currency)
        return -minor if exact < 0 else minor
    except (ValueError, TypeError, DecimalException):
        return None


def _where(part: FactPart, currency: str) -> CelCondition | None:
    if part.where is None:
        return None
    try:
        return _compiled_where(part.where, part.event_types, currency)
    except ConditionError as error:
        raise FactProblem("where", error.message, error.offset) from None


@lru_cache(1_000)
def _compiled_where(source: str, event_types: frozenset[str], currency: str) -> CelCondition:
    return CelCondition(source, Scope((), event_types, currency, "where"))


def _formula(part: FactPart, scope: Scope) -> CelFormula:
    try:
        return _compiled_formula(str(part.expr), scope)
    except ConditionError as error:
        raise FactProblem("expr", error.message, error.offset) from None


@lru_cache(1_000)
def _compiled_formula(source: str, scope: Scope) -> CelFormula:
    return CelFormula(source, scope)


def _in_order(facts: Facts) -> list[str]:
    """Arithmetic facts, each after those that it reads. Raises FactProblem when they read each other in a circle."""
    derived = {name: part for name, part in facts.items() if part.kind == "expr"}
    reads = {
        name: {other for kind, other in names_in(str(part.expr)) if kind in ("facts", "known")} & derived.keys()
        for name, part in derived.items()
    }
    ordered: list[str] = []
    while reads:
        free = [name for name, needed in reads.items() if not needed & reads.keys()]
        if not free:
            first = next(iter(reads))
            raise FactProblem(first, f"facts are computed from each other in a circle: {', '.join(sorted(reads))}")
        for name in free:
            del reads[name]
        ordered += free
    return ordered
