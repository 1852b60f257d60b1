"""How a condition may speak of another lifecycle's stage: only so that a stage which does not exist can be told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.stage_engine.definitions.expressions import ConditionError, blank_comments, code_in

_KEY = r"(?:'[^'\\\n]*'|\"[^\"\\\n]*\")"
_STAGE = re.compile(r"(?<![\w.])\.?stages\s*\.\s*(?P<lifecycle>\w+)")
_COMPARED = re.compile(rf"\s*(?:==|!=)\s*(?P<keys>{_KEY})")
_AMONG = re.compile(rf"\s*\bin\s*\[(?P<keys>\s*{_KEY}\s*(?:,\s*{_KEY}\s*)*(?:,\s*)?)\]")
_FACED = re.compile(rf"(?P<keys>{_KEY})\s*(?:==|!=)\s*$")
_BEFORE = ("(", "[", "{", ",", "?", ":", "&&", "||")
_BEHIND = re.compile(r"\s*(?:$|[)\]},?:]|&&|\|\|)")
"""What may stand around a comparison: brackets, commas and what joins conditions, but nothing that reckons with it."""
_LONGEST_SIDE = 200
_EACH_KEY = re.compile(_KEY)

HOW_TO_COMPARE = "compare it with ==, != or in […] and write the stage's key in quotes"


@dataclass(frozen=True, slots=True)
class StageNamed:
    """A stage of another lifecycle that a condition compares with. `offset` is where its text starts."""

    lifecycle: str
    stage: str
    offset: int


def stages_named(source: str) -> list[StageNamed]:
    """The stages of other lifecycles that a condition compares with, so that a misspelt one can be told."""
    return [named for use, keys in _uses(source) for named in _named(source, use["lifecycle"], keys)]


def check_stage_uses(source: str) -> None:
    """Refuse what hides from `stages_named` which stage is meant. Raises ConditionError."""
    for use, keys in _uses(source):
        if keys is None:
            advice = f"{HOW_TO_COMPARE}, such as stages.{use['lifecycle']} == 'key'"
            raise ConditionError(f"this use of `stages.{use['lifecycle']}` can't be checked; {advice}", use.start())


def _named(source: str, lifecycle: str, keys: tuple[int, int] | None) -> Iterator[StageNamed]:
    for literal in _EACH_KEY.finditer(source, *keys) if keys else ():
        yield StageNamed(lifecycle, literal[0][1:-1], literal.start())


def _uses(source: str) -> Iterator[tuple[re.Match[str], tuple[int, int] | None]]:
    """Each stage that is read, and from where to where the text has the keys that it is compared with; None where it is
    used in another way."""
    text = blank_comments(source)
    for use in _STAGE.finditer(code_in(text)):
        found = _comparison(text, use)
        yield use, found.span("keys") if found else None


def _comparison(text: str, use: re.Match[str]) -> re.Match[str] | None:
    """The comparison that a stage stands in, with nothing else on either side."""
    if use[0].startswith("."):
        return None
    if found := _FACED.search(text, max(0, use.start() - _LONGEST_SIDE), use.start()):
        begins, ends = found.start(), use.end()
    elif found := _COMPARED.match(text, use.end()) or _AMONG.match(text, use.end()):
        begins, ends = use.start(), found.end()
    else:
        return None
    before = text[:begins].rstrip()
    alone = (not before or before.endswith(_BEFORE)) and _BEHIND.match(text, ends)
    return found if alone else None
