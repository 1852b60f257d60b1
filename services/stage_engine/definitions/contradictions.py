"""Whether conditions exclude each other, as far as plain comparisons in their text tell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf, nextafter

from services.stage_engine.definitions.parts import Part, parts_of

_NAME = r"(?:facts|stages)\.\w+"
_LITERAL = r"'[^']*'|\"[^\"]*\"|-?\d+(?:\.\d+)?|duration\((?:'[^']*'|\"[^\"]*\")\)"
_OPERATOR = ">=|<=|==|!=|>|<"
_COMPARISON = re.compile(rf"({_NAME})\s*({_OPERATOR})\s*({_LITERAL}|{_NAME})")
_TURNED = re.compile(rf"({_LITERAL})\s*({_OPERATOR})\s*({_NAME})")
_MEMBER = re.compile(rf"({_NAME})\s+in\s*\[([^\]]*)\]")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_CLOCK = re.compile(r"(-?\d+(?:\.\d+)?)(h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_SIDES = {">=": "=>", "<=": "<=", "==": "=", "!=": "<>", ">": ">", "<": "<"}
"""On which sides of the other a value may be: below, at it, above."""
_OTHER_WAY = {">=": "<=", "<=": ">=", "==": "==", "!=": "!=", ">": "<", "<": ">"}


@lru_cache(10_000)
def conjuncts(when: str | None) -> frozenset[str]:
    """What must all hold, each with its spaces made alike."""
    return frozenset() if when is None else frozenset(_held(parts_of(when)))


def contradict(conditions: Iterable[str]) -> bool:
    """Whether they can't all hold of the same facts. False where the text does not tell."""
    held = frozenset(conditions)
    if any(f"!{each}" in held or f"!({each})" in held for each in held):
        return True
    values: dict[str, _Value] = {}
    for each in held:
        _narrow(values, each)
    return any(value.is_impossible() for value in values.values())


def _held(part: Part) -> list[str]:
    if part.joined_by == "all":
        return [piece for each in part.parts for piece in _held(each)]
    plain = "'" not in part.text and '"' not in part.text
    return [" ".join(part.text.split()) if plain else part.text.strip()]


@dataclass(slots=True)
class _Value:
    """What comparisons leave of a value: bounds, texts, and the sides of others that it may be on."""

    least: float = -inf
    most: float = inf
    texts: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    sides: dict[str, set[str]] = field(default_factory=dict)

    def is_impossible(self) -> bool:
        """Whether nothing is left."""
        nowhere = any(not sides for sides in self.sides.values())
        return nowhere or self.least > self.most or (self.texts is not None and not self.texts - self.without)

    def compare(self, operator: str, other: str) -> None:
        """Narrow by `value operator other`, with a literal or another name."""
        self.sides[other] = self.sides.get(other, set("<=>")) & set(_SIDES[operator])
        if _TEXT.fullmatch(other):
            self._be_text(operator, other[1:-1])
        elif (number := _number(other)) is not None:
            self._bound(operator, number)

    def be_one_of(self, texts: frozenset[str]) -> None:
        """Narrow to some texts."""
        self.texts = texts if self.texts is None else self.texts & texts

    def _be_text(self, operator: str, text: str) -> None:
        if operator == "==":
            self.be_one_of(frozenset({text}))
        elif operator == "!=":
            self.without |= {text}

    def _bound(self, operator: str, number: float) -> None:
        if operator in (">=", ">", "=="):
            self.least = max(self.least, nextafter(number, inf) if operator == ">" else number)
        if operator in ("<=", "<", "=="):
            self.most = min(self.most, nextafter(number, -inf) if operator == "<" else number)


def _narrow(values: dict[str, _Value], condition: str) -> None:
    if found := _COMPARISON.fullmatch(condition):
        name, operator, other = found.groups()
        values.setdefault(name, _Value()).compare(operator, other)
        if re.fullmatch(_NAME, other):
            values.setdefault(other, _Value()).compare(_OTHER_WAY[operator], name)
    elif found := _TURNED.fullmatch(condition):
        literal, operator, name = found.groups()
        values.setdefault(name, _Value()).compare(_OTHER_WAY[operator], literal)
    elif found := _MEMBER.fullmatch(condition):
        texts = frozenset(text[1:-1] for text in _TEXT.findall(found[2]))
        values.setdefault(found[1], _Value()).be_one_of(texts)


def _number(literal: str) -> float | None:
    """A number, or the seconds of a duration."""
    if literal.startswith("duration"):
        sign = -1.0 if "'-" in literal or '"-' in literal else 1.0
        return sign * sum(abs(float(count)) * _SECONDS[unit] for count, unit in _CLOCK.findall(literal))
    return None if literal.startswith(("facts", "stages")) else float(literal)
