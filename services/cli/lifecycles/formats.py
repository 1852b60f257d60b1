"""How commands write their answers, and how people read times, lengths and values in them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

_MOMENT = re.compile(r"(\d{4,}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_LENGTH = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_UNITS = ("day", "hour", "minute", "second")


class Format(StrEnum):
    """How an answer is written."""

    TEXT = "text"
    JSON = "json"


Written = Annotated[Format, typer.Option("--format", help="text for people, json for programs")]


def say_json(answer: Any) -> None:
    """The answer for programs, on standard output."""
    typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))


def say_note(note: str) -> None:
    """Something worth knowing, on standard error: the answer stays what it is."""
    shown = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    shown.print(Text.assemble(("note", "cyan"), f": {note}"))


def readable(value: Any) -> str:
    """A value for people: RFC 3339 times and ISO 8601 lengths in words, `unknown` for none."""
    if value is None:
        return "unknown"
    text = str(value)
    if found := _MOMENT.fullmatch(text):
        return f"{found[1]} {found[2]} UTC"
    if (found := _LENGTH.fullmatch(text)) and text[-1] not in "PT":
        return found[1] + " ".join(_counted(*each) for each in zip(found.groups()[1:], _UNITS, strict=True) if each[0])
    return text


def in_words(values: Mapping[str, Any], joint: str = "is") -> str:
    """Facts with their values, on one line."""
    return ", ".join(f"{name} {joint} {readable(value)}" for name, value in values.items())


def cause_in_words(cause: Mapping[str, Any]) -> str:
    """What brought a stage change about."""
    kind = cause["kind"]
    if kind == "event":
        return f"{cause['type']} {cause['id']} of {readable(cause['time'])}"
    if kind == "timer":
        return f"time, at {readable(cause['due_at'])}"
    if kind == "published":
        return f"version {cause['version']} was published"
    if kind == "manual":
        return f'moved by hand by {cause["by"]}, with the reason "{cause["reason"]}" (move {cause["move_id"]})'
    if kind == "recomputed":
        return f"an import until {readable(cause['imported_until'])} reached behind it, and history was lived again"
    return ", ".join([kind, *(f"{name} {readable(value)}" for name, value in cause.items() if name != "kind")])


def counted(number: int, what: str) -> str:
    """`1 error`, `2 errors`, `no errors`."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _counted(number: str, unit: str) -> str:
    return f"{number} {unit}{'' if number == '1' else 's'}"
