"""Lifecycle files and stories as commands are given them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from services.ingest.domain.intake import Intake, take
from services.ingest.domain.outcome import Refused
from services.stage_engine.definitions.definition import Definition, load_definition, shipped_or_path
from services.stage_engine.definitions.together import check_together
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.lifecycle import Rules, in_order
from shared.contracts.cloudevent import BACKFILL, decode
from shared.errors import Permanent

_FAR_FUTURE_MS = 32_503_680_000_000
"""The year 3000: a story may tell of any time."""


def read_together(files: Sequence[str]) -> list[Definition]:
    """Files, or shipped lifecycles by name, checked one by one and together. Raises DefinitionError, Permanent."""
    definitions = [load_definition(shipped_or_path(name)) for name in files]
    check_together(definitions)
    return definitions


def rules_of(definitions: Sequence[Definition], currency: str) -> Rules:
    """The rules of definitions that run together, each as version 1."""
    return Rules(in_order([each.compile(1, currency) for each in definitions]), currency)


def read_story(path: Path) -> list[Event]:
    """The events of a JSONL file: one native event a line, as POST /v1/events takes it, with a time. The order of the
    lines is that of the log: a line from before an earlier one comes late. Raises Permanent that lists every bad line."""
    events: list[Event] = []
    problems: list[str] = []
    arrival = 0
    for number, line in _lines(path):
        found = _event(line, number, arrival)
        if isinstance(found, str):
            problems.append(f"{path}:{number}: {found}")
        else:
            events.append(found)
            arrival = max(arrival, found.logged_ms)
    if problems:
        raise Permanent("\n".join(problems))
    if not events:
        raise Permanent(f"{path} has no events; write one JSON object a line, as POST /v1/events takes it")
    return events


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.strip()
    except OSError as error:
        raise Permanent(f"{path} can't be read: {error.strerror or error}") from None


def _event(line: bytes, number: int, arrival_ms: int) -> Event | str:
    """The event of a line, or what is wrong with it."""
    intake = Intake("story", True, _FAR_FUTURE_MS, lambda: f"line-{number}")
    outcome = take(intake, line)
    if isinstance(outcome, Refused):
        return "; ".join(f"{each.pointer or 'the event'}: {each.detail} ({each.advice})" for each in outcome.errors)
    posted = decode(outcome.value)
    if posted.servertime:
        return "/time: an event of a story needs one (write when it happened, such as 2026-11-22T14:03:11Z)"
    backfill = posted.mode == BACKFILL
    origin = Origin(posted.tenant, posted.subject, posted.id, posted.type)
    return Event.taken(origin, posted.time_ms, max(posted.time_ms, arrival_ms), backfill=backfill, data=posted.data)
