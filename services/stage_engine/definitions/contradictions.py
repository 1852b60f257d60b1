"""What conditions say of each other, as far as plain comparisons in their text tell: whether they exclude each other, and
whether one holds whenever another does.

Held means true: a condition whose fact has no value is not. So what follows from a comparison that holds is told only of
names that it compares, which therefore have values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from services.stage_engine.definitions.comparisons import OPPOSITE, WORD, Said, Value, negation, read
from services.stage_engine.definitions.parts import Part, parts_of

_KNOWN = re.compile(r"known\.(\w+)")
_MOST_CASES = 16
_DEEPEST = 12
"""Brackets within brackets that are taken apart; what is deeper stays whole."""


def never_holds(when: str | None) -> bool:
    """Whether a condition can't hold, whatever the facts. False where the text does not tell."""
    return not _cases(when)


def exclude(whens: Iterable[str | None]) -> bool:
    """Whether conditions can't all hold of the same facts. False where the text does not tell."""
    together: set[frozenset[str]] = {frozenset()}
    for when in whens:
        ways = [case.texts for case in _cases(when)]
        if len(together) * len(ways) > _MOST_CASES:
            ways = [_conjuncts(when)]
        together = {one | other for one in together for other in ways}
    return all(_Held.of(each) is None for each in together)


def size(when: str | None) -> int:
    """How much there is to compare."""
    return sum(len(case.texts) for case in _cases(when))


def implies(when: str | None, other: str | None) -> bool:
    """Whether `other` holds whenever `when` does. False where the text does not tell."""
    wanted = _tree(other)
    return all(_shows(case, wanted) for case in _cases(when))


def effort(when: str | None, other: str | None) -> int:
    """How many plain conditions `implies` may have to look at."""
    return max(1, len(_cases(when)) * _leaves(other))


@lru_cache(10_000)
def _leaves(when: str | None) -> int:
    def counted(part: Part) -> int:
        return sum(map(counted, part.parts)) if part.parts else 1

    return counted(_tree(when))


@dataclass(frozen=True, slots=True)
class _Held:
    """What holds together: plain conditions, and what they leave of the values that they compare."""

    texts: frozenset[str]
    values: dict[str, Value]

    @classmethod
    def of(cls, conditions: Iterable[str]) -> _Held | None:
        """None when they contradict each other."""
        texts, values = frozenset(conditions), dict[str, Value]()
        if "false" in texts or any(negation(each) in texts for each in texts):
            return None
        for each in texts:
            for said in read(each):
                values.setdefault(said.name, Value()).narrow(said)
        return None if any(value.is_impossible() for value in values.values()) else cls(texts, values)

    def shows(self, condition: str) -> bool:
        """Whether a plain condition holds along with these."""
        if condition in self.texts or condition == "true":
            return True
        if found := _KNOWN.fullmatch(condition):
            return f"facts.{found[1]}" in self.values
        said = next(iter(read(condition)), None)
        if said is None or said.name not in self.values:
            return False
        value = self.values[said.name]
        if isinstance(said.other, frozenset):
            return value.texts is not None and value.texts - value.without <= said.other
        opposite = value.copy()
        opposite.narrow(Said(said.name, OPPOSITE[said.operator], said.other))
        return opposite.is_impossible()


def _shows(held: _Held, wanted: Part) -> bool:
    """Whether a condition holds along with what is held: of an `||` one branch is enough, the others may be unknown."""
    if wanted.text in held.texts:
        return True
    if wanted.joined_by == "any":
        return any(_shows(held, each) for each in wanted.parts)
    if wanted.joined_by == "all":
        return all(_shows(held, each) for each in wanted.parts)
    return held.shows(wanted.text)


@lru_cache(10_000)
def _cases(when: str | None) -> tuple[_Held, ...]:
    """The ways in which a condition can hold: `a && (b || c)` with a and b, or with a and c."""
    held = (_Held.of(each) for each in _ways(_tree(when)))
    return tuple(each for each in held if each is not None)


def _ways(part: Part) -> list[frozenset[str]]:
    """What must all hold, of each way. An `||` that would make too many stays whole."""
    whole = [frozenset({part.text})]
    if part.joined_by == "any":
        found = [way for each in part.parts for way in _ways(each)]
        return found if len(found) <= _MOST_CASES else whole
    if part.joined_by != "all":
        return whole
    found = [frozenset()]
    for each in part.parts:
        more = _ways(each)
        if len(found) * len(more) > _MOST_CASES:
            more = [frozenset({each.text})]
        found = [one | other for one in found for other in more]
    return found


@lru_cache(10_000)
def _conjuncts(when: str | None) -> frozenset[str]:
    """What must all hold, each with its spaces made alike; `||` stays whole."""
    return frozenset(_pieces(_tree(when)))


def _pieces(part: Part) -> list[str]:
    return [piece for each in part.parts for piece in _pieces(each)] if part.joined_by == "all" else [part.text]


_ALWAYS = Part("", "all")


@lru_cache(10_000)
def _tree(when: str | None) -> Part:
    """A condition's parts, with `!` carried inward and texts made alike; without one it is all of nothing."""
    if when is None:
        return _ALWAYS
    return _alike(parts_of(when), negated=False) if _depth(when) <= _DEEPEST else Part(_spaced(when))


def _depth(text: str) -> int:
    """How deep brackets are nested, those in texts included."""
    depth = deepest = 0
    for found in re.finditer(r"[(\[{]|[)\]}]", text):
        depth += 1 if found[0] in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


def _alike(part: Part, *, negated: bool) -> Part:
    text = _spaced(part.text)
    if part.parts:
        turned = {"all": "any", "any": "all"}[part.joined_by] if negated else part.joined_by
        parts = tuple(_alike(each, negated=negated) for each in part.parts)
        return Part(f"!({text})" if negated else text, turned, parts)
    if (inner := _denied(text)) is not None:
        return _alike(inner, negated=not negated)
    return Part(negation(text) if negated else text)


def _denied(text: str) -> Part | None:
    """What a `!` stands before, where it denies the whole text."""
    rest = text[1:].strip()
    if not text.startswith("!"):
        return None
    inner = parts_of(rest)
    return inner if WORD.fullmatch(rest) or (rest.startswith("(") and inner.text != rest) else None


def _spaced(text: str) -> str:
    plain = "'" not in text and '"' not in text
    return " ".join(text.split()) if plain else text.strip()
