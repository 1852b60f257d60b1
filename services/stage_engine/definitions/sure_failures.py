"""What compiles and can never be computed, as far as a value that is written out tells: refused before anybody waits for it."""

from __future__ import annotations

import re
from functools import lru_cache

from cel_expr_python import cel

from services.stage_engine.definitions.expressions import ConditionError, blank_comments, code_in, text_spans

_TIME = re.compile(r"(?<![\w.])timestamp\s*\(\s*$")
_PATTERN = re.compile(r"\.\s*matches\s*\(\s*$|(?<![\w.])matches\s*\([^()]*,\s*$")
_CLOSED = re.compile(r"\s*\)")
_BY_ZERO = re.compile(r"[/%]\s*0(?![\w.])")
_MOST_SHOWN = 60
_LONGEST_CALL = 200
"""How far back the name of a function is looked for."""


def check_constants(source: str) -> None:
    """Refuse patterns and times that nothing can read, and divisions by 0. The source compiles. Raises ConditionError."""
    text = blank_comments(source)
    code = code_in(text)
    if by_zero := _BY_ZERO.search(code):
        raise ConditionError("a division by 0 can't be computed; divide by something else", by_zero.start())
    for start, end in text_spans(text):
        if not _CLOSED.match(code, end):
            continue
        before, literal = code[max(0, start - _LONGEST_CALL) : start], text[start:end]
        if _TIME.search(before) and _failure(f"timestamp({literal})"):
            advice = "write it as RFC 3339 does, such as timestamp('2026-01-31T00:00:00Z')"
            raise ConditionError(f"{_shown(literal)} is no time; {advice}", start)
        if _PATTERN.search(before) and (failure := _failure(f"''.matches({literal})")):
            why = failure.rpartition("expression: ")[2]
            advice = "write it as RE2 does, such as '^a', and a sign that stands for itself in [ ], such as '[(]'"
            raise ConditionError(f"{_shown(literal)} is no pattern ({_shown(why)}); {advice}", start)


def _shown(text: str) -> str:
    """On one line, and its beginning."""
    return " ".join(text.split())[:_MOST_SHOWN]


_WITHOUT_NAMES = cel.NewEnv(variables={})


@lru_cache(1_000)
def _failure(constant: str) -> str:
    """Why an expression without names can't be computed; empty if it can."""
    result = _WITHOUT_NAMES.compile(constant).eval(data={})
    return str(result.value()) if result.type() == cel.Type.ERROR else ""
