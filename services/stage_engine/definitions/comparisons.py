"""Plain comparisons in the text of conditions: what each says of the names in it, and what several leave of a value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import inf

_NAME = r"(?:facts|stages|event)\.\w+"
_QUOTED = r"'[^'\\]*'|\"[^\"\\]*\""
"""A text that says what it is: with a backslash the same one can be written otherwise."""
_LITERAL = rf"{_QUOTED}|-?\d+(?:\.\d+)?|duration\((?:{_QUOTED})\)"
_OPERATOR = ">=|<=|==|!=|>|<"
_COMPARISON = re.compile(rf"({_NAME})\s*({_OPERATOR})\s*({_LITERAL}|{_NAME})")
_TURNED = re.compile(rf"({_LITERAL})\s*({_OPERATOR})\s*({_NAME})")
_MEMBER = re.compile(rf"({_NAME})\s+in\s*\[\s*((?:{_QUOTED})(?:\s*,\s*(?:{_QUOTED}))*)\s*\]")
_TEXT = re.compile(_QUOTED)
WORD = re.compile(r"[\w.]+")
_DURATION = re.compile(r"(-?)((?:\d+(?:\.\d+)?(?:h|ms|m|s|us|ns))+)")
_CLOCK = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)")
_NANOSECONDS = {"h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_SIDES = {">=": "=>", "<=": "<=", "==": "=", "!=": "<>", ">": ">", "<": "<"}
"""On which sides of the other a value may be: below, at it, above."""
_OTHER_WAY = {">=": "<=", "<=": ">=", "==": "==", "!=": "!=", ">": "<", "<": ">"}
OPPOSITE = {">=": "<", "<=": ">", "==": "!=", "!=": "==", ">": "<=", "<": ">="}
_ANYWHERE = frozenset("<=>")


@dataclass(frozen=True, slots=True)
class Said:
    """A comparison, read: a name with a literal or another name, or with a list of texts (`operator` is `in`)."""

    name: str
    operator: str
    other: str | frozenset[str]


@dataclass(slots=True)
class Value:
    """What comparisons leave of a value: bounds, texts, and the sides of others that it may be on."""

    least: tuple[float, int] = (-inf, 0)
    most: tuple[float, int] = (inf, 0)
    """The number, and whether the value may be it (0) or only be above (1) or below (-1) it."""
    texts: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    sides: dict[str, frozenset[str]] = field(default_factory=dict)

    def copy(self) -> Value:
        """One that can be narrowed by itself."""
        return Value(self.least, self.most, self.texts, self.without, dict(self.sides))

    def is_impossible(self) -> bool:
        """Whether nothing is left."""
        nowhere = any(not sides for sides in self.sides.values())
        return nowhere or self.least > self.most or (self.texts is not None and not self.texts - self.without)

    def narrow(self, said: Said) -> None:
        """By a comparison with a literal or another name, or a list of texts."""
        if isinstance(said.other, frozenset):
            self.texts = said.other if self.texts is None else self.texts & said.other
            return
        self.sides[said.other] = self.sides.get(said.other, _ANYWHERE) & frozenset(_SIDES[said.operator])
        if _TEXT.fullmatch(said.other):
            self._be_text(said.operator, frozenset({said.other[1:-1]}))
        elif (number := _number(said.other)) is not None:
            self._bound(said.operator, number, whole=isinstance(number, int) and not said.name.startswith("event."))

    def _be_text(self, operator: str, text: frozenset[str]) -> None:
        if operator == "==":
            self.texts = text if self.texts is None else self.texts & text
        elif operator == "!=":
            self.without |= text

    def _bound(self, operator: str, number: float, *, whole: bool) -> None:
        """`whole`: the value is a whole number, or it could not be compared with one; a field of an event may be any."""
        if operator in (">=", ">", "=="):
            over = (number + 1, 0) if whole else (number, 1)
            self.least = max(self.least, over if operator == ">" else (number, 0))
        if operator in ("<=", "<", "=="):
            under = (number - 1, 0) if whole else (number, -1)
            self.most = min(self.most, under if operator == "<" else (number, 0))


@lru_cache(20_000)
def negation(text: str) -> str:
    """A plain condition's opposite: it holds when that is false, and is unknown when that is."""
    if text.startswith("!") and WORD.fullmatch(text[1:]):
        return text[1:]
    if found := _COMPARISON.fullmatch(text) or _TURNED.fullmatch(text):
        left, operator, right = found.groups()
        return f"{left} {OPPOSITE[operator]} {right}"
    return f"!{text}" if WORD.fullmatch(text) else f"!({text})"


@lru_cache(20_000)
def read(condition: str) -> tuple[Said, ...]:
    """What a plain condition says of the names that it compares; empty for one that is no plain comparison."""
    if found := _COMPARISON.fullmatch(condition):
        name, operator, other = found.groups()
        said = Said(name, operator, other)
        return (said, Said(other, _OTHER_WAY[operator], name)) if re.fullmatch(_NAME, other) else (said,)
    if found := _TURNED.fullmatch(condition):
        literal, operator, name = found.groups()
        return (Said(name, _OTHER_WAY[operator], literal),)
    if found := _MEMBER.fullmatch(condition):
        return (Said(found[1], "in", frozenset(text[1:-1] for text in _TEXT.findall(found[2]))),)
    return ()


@lru_cache(20_000)
def _number(literal: str) -> int | float | None:
    """A number, or the nanoseconds of a duration; None for what is neither."""
    if not literal.startswith("duration"):
        return None if re.fullmatch(_NAME, literal) else float(literal) if "." in literal else int(literal)
    found = _DURATION.fullmatch(literal[len("duration(") + 1 : -2])
    if found is None:
        return None
    length = sum(Fraction(count) * _NANOSECONDS[unit] for count, unit in _CLOCK.findall(found[2]))
    return (-1 if found[1] else 1) * int(length) if length == int(length) else None
