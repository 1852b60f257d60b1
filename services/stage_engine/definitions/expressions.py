"""What an expression's text may say, before it is compiled: the names in it, and what is refused with advice.

Every fact is a typed variable of its own dotted name, so names are found in the text: a wrong one is refused with its
place, and only those named have to be given.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args, get_origin

from services.stage_engine.definitions.spelling import odd_letters
from services.stage_engine.domain.facts import FactType
from shared.contracts.events import PAYLOADS

MAX_SOURCE_CHARACTERS = 4_096
MAX_SUMS = 20
"""How often `+` may stand in a text: on texts it makes longer ones, of an event's field of 256 KiB for instance."""
_NO_CODE = re.compile(
    r"(?P<comment>//[^\n]*)"
    r"|(?P<text>[rR]?'''(?:[^\\]|\\.)*?'''|[rR]?\"\"\"(?:[^\\]|\\.)*?\"\"\"|[rR]'[^']*'|[rR]\"[^\"]*\""
    r"|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")",
    re.DOTALL,
)
"""Comments and string literals, whichever begins first: a quote in a comment is none, nor are two strokes in a literal."""
_VARIABLE = re.compile(r"(?<![\w.])(facts|known|event|stages)\s*\.\s*(\w+)")
_BUILDS = re.compile(r"\.\s*(map|filter)\s*\(")
_GOES_OVER = re.compile(r"\.\s*(all|exists|exists_one)\s*\(")
_HAS = re.compile(r"(?<![\w.])has\s*\(")
_NOW = re.compile(r"(?<![\w.])now\b")
_DURATION = re.compile(r"(?<![\w.])duration\s*\(\s*(['\"])(.*?)\1\s*\)")
_DURATION_FORM = re.compile(r"-?(\d+(\.\d+)?(h|m|s|ms|us|ns))+")
_DAYS = re.compile(r"\s*(\d+)\s*([dw])\s*")

Name = tuple[str, str]
"""What an expression names: its kind (facts, known, event, stages) and the name behind the dot."""


@dataclass(frozen=True, slots=True)
class ConditionError(Exception):
    """The expression can't be used. `offset` is the character (from 0) where it goes wrong; 0 for the whole."""

    message: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may name: facts with their types, fields of the event types that it is tried for, and other
    lifecycles' stages. `place` says what it is, for messages."""

    facts: tuple[tuple[str, FactType], ...]
    event_types: frozenset[str]
    currency: str
    place: str = "condition"

    @property
    def types(self) -> Mapping[str, FactType]:
        """The types of facts by name."""
        return dict(self.facts)

    @classmethod
    def over_facts(cls, types: Mapping[str, FactType], currency: str, place: str = "condition") -> Scope:
        """That of an expression which no event type is tried for."""
        return cls(tuple(sorted(types.items(), key=lambda each: each[0])), frozenset(), currency, place)


def names_in(source: str) -> frozenset[Name]:
    """All that an expression names."""
    return frozenset(_VARIABLE.findall(code_in(source)))


def code_in(source: str) -> str:
    """The source with string literals and comments blanked out, columns kept."""
    return _NO_CODE.sub(lambda found: " " * len(found[0]), source)


def blank_comments(source: str) -> str:
    """The source with comments blanked out, columns kept."""
    return _NO_CODE.sub(lambda found: " " * len(found[0]) if found.lastgroup == "comment" else found[0], source)


def text_spans(source: str) -> list[tuple[int, int]]:
    """From where to where each string literal goes, with its quotes."""
    return [found.span() for found in _NO_CODE.finditer(source) if found.lastgroup == "text"]


def check_text(source: str, scope: Scope) -> None:
    """Refuse what can be told from the text. Raises ConditionError."""
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise ConditionError(f"the condition has {len(source)} characters; at most {MAX_SOURCE_CHARACTERS} are allowed")
    code = code_in(source)
    if found := _HAS.search(code):
        raise ConditionError("has() does not work on facts; ask `known.nps` instead of `has(facts.nps)`", found.start())
    if found := _NOW.search(code):
        raise ConditionError(
            "`now` is not allowed: nothing would wake it up; use `after:` with `since:`", found.start()
        )
    _check_cost(code)
    _check_durations(source)
    for kind, name in sorted(names_in(source)):
        _check_name(kind, name, scope, offset_of(code, kind, name))


def _check_cost(code: str) -> None:
    """What an evaluation takes must be bounded by the length of the text and of the event, whoever wrote them."""
    if found := _BUILDS.search(code):
        raise ConditionError(
            f"`{found[1]}()` is not allowed: it builds lists of any length; ask with `exists()` or `all()` instead",
            found.start(1),
        )
    if len(loops := list(_GOES_OVER.finditer(code))) > 1:
        raise ConditionError(
            "only one of all(), exists() and exists_one() may stand in a text: one inside another goes over its list as "
            "often as that is long; make it two transitions, or send the event a field of its own",
            loops[1].start(1),
        )
    if code.count("+") > MAX_SUMS:
        raise ConditionError(
            f"`+` stands here {code.count('+')} times; at most {MAX_SUMS} are allowed: put parts into facts (`expr:`)"
        )


def _check_durations(source: str) -> None:
    """CEL's durations have no days; one that it can't read would only fail when it is evaluated."""
    for found in _DURATION.finditer(blank_comments(source)):
        text = found[2]
        if _DURATION_FORM.fullmatch(text):
            continue
        days = _DAYS.fullmatch(text)
        if days:
            hours = int(days[1]) * (24 if days[2] == "d" else 168)
            raise ConditionError(f"a condition's duration has no days; write duration('{hours}h')", found.start(2))
        raise ConditionError(
            f"{text!r} is no duration; write it in h, m and s, such as duration('36h')", found.start(2)
        )


def _check_name(kind: str, name: str, scope: Scope, offset: int) -> None:
    if kind == "event":
        if not scope.event_types:
            raise ConditionError("`event` is only there on a transition with `on:`; use facts here", offset)
        _check_field(name, scope.event_types, offset)
    elif scope.place == "where":
        raise ConditionError(f"a fact's `where` sees the event alone, not `{kind}.{name}`", offset)
    elif kind == "stages":
        if scope.place == "expr":
            raise ConditionError("arithmetic goes over facts, not over stages", offset)
    elif name not in scope.types:
        raise ConditionError(
            f"unknown fact `{kind}.{name}`{odd_letters(name)}{did_you_mean(name, scope.types)}", offset
        )


def offset_of(code: str, kind: str, name: str) -> int:
    """Where a name stands first in what `code_in` gives of a source; 0 where it does not."""
    found = re.search(rf"(?<![\w.]){kind}\s*\.\s*{re.escape(name)}\b", code)
    return found.start() if found else 0


_MOST_KNOWN = 40


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    more = " and more" if len(names) > _MOST_KNOWN else ""
    return f"; did you mean `{close[0]}`?" if close else f"; known are {', '.join(names[:_MOST_KNOWN])}{more}"


def _check_field(name: str, event_types: frozenset[str], offset: int) -> None:
    for event_type in sorted(event_types):
        payload = PAYLOADS.get(event_type)
        if payload is not None and name not in payload.model_fields:
            hint = did_you_mean(name, payload.model_fields)
            raise ConditionError(f"`{event_type}` has no field `{name}`{odd_letters(name)}{hint}", offset)


def field_type(name: str, event_types: Iterable[str]) -> type:
    """The plain Python type that a field has in all the event types; `object` where they differ or nobody declared it."""
    types = {_declared_type(name, event_type) for event_type in event_types}
    return types.pop() if len(types) == 1 else object


def _declared_type(name: str, event_type: str) -> type:
    """The plain Python type of a payload's field, without None, constraints and literals."""
    payload = PAYLOADS.get(event_type)
    if payload is None or name not in payload.model_fields:
        return object
    annotation: Any = payload.model_fields[name].annotation
    while arguments := [part for part in get_args(annotation) if part is not type(None)]:
        annotation = arguments[0]
        if get_origin(annotation) in (list, dict):
            return object
    return annotation if isinstance(annotation, type) else type(annotation)


MONEY = Decimal
"""The Python type of amounts in payloads."""
