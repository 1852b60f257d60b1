"""What is wrong with a line of the file: where, what, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.errors import Poison


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a line, counted from 1. `column` is the file's own name of the place, `pointer` that in the
    event; either may be empty."""

    line: int
    column: str
    pointer: str
    detail: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.line}: {self.where}: {self.message}"

    @property
    def where(self) -> str:
        """The place for people."""
        if self.column and self.pointer:
            return f"{self.column} ({self.pointer})"
        return self.column or self.pointer or "the line"

    @property
    def message(self) -> str:
        """What is wrong, with advice."""
        return f"{self.detail} ({self.advice})" if self.advice else self.detail

    def as_json(self) -> dict[str, Any]:
        """The form of `--format json` and of the file of rejected lines."""
        named = {"column": self.column, "pointer": self.pointer, "detail": self.detail, "advice": self.advice}
        return {"line": self.line, **{name: text for name, text in named.items() if text}}


class Unfit(Poison):
    """A cell, or a line, can't be what it is to be; the text says why, `advice` what to do."""

    def __init__(self, detail: str, advice: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.advice = advice

    def at(self, line: int, column: str = "", pointer: str = "") -> Problem:
        """The same with its place."""
        return Problem(line, column, pointer, self.detail, self.advice)


def shortened(text: str, most: int = 60) -> str:
    """A text from a file as it may stand in a message: in quotes, on one line, not too long."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")
