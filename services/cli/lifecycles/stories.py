"""Stories: events in a JSONL file, for `simulate`."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.ingest.domain.intake import Intake, take
from services.ingest.domain.outcome import Refused
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.lifecycle import Rules
from shared.contracts.cloudevent import BACKFILL, CloudEvent, decode
from shared.contracts.events import PAYLOADS
from shared.contracts.field_errors import FieldError, did_you_mean
from shared.errors import Permanent

_FAR_FUTURE_MS = 32_503_680_000_000
"""The year 3000: a story may tell of any time."""
_FORM = "write one JSON object a line, as POST /v1/events takes it"


def read_story(path: Path) -> list[Event]:
    """The events of a JSONL file: one native event a line, as POST /v1/events takes it, with a time. The order of a
    customer's lines is that of the log: a line from before an earlier one comes late. Raises Permanent that lists every
    bad line."""
    reading = _Reading()
    problems = [
        f"{path}:{number}: {problem}" for number, line in _lines(path) if (problem := reading.add(number, line))
    ]
    if problems:
        raise Permanent("\n".join(problems))
    if not reading.events:
        raise Permanent(f"{path} has no events; {_FORM}")
    return reading.events


def unread_types(rules: Rules, story: Sequence[Event]) -> list[str]:
    """Types of events in a story that are neither built in nor named by the lifecycles: probably misspelt."""
    edges = {event_type for each in rules.lifecycles for edge in each.transitions for event_type in edge.on}
    facts = {event_type for each in rules.lifecycles for fact in each.own.by_name.values() for event_type in fact.of}
    known = {*PAYLOADS, *edges, *facts}
    unknown = dict.fromkeys(event.type for event in story if event.type not in known)
    return [f"nothing here reads events of the type `{each}`; {did_you_mean(each, known)}" for each in unknown]


class _Reading:
    """The events so far. Customers are independent of each other, so each has a log of their own."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._arrivals: dict[str, int] = {}
        self._lines: dict[tuple[str, str], int] = {}

    def add(self, number: int, line: bytes) -> str | None:
        """Take a line; or say what is wrong with it."""
        if line.startswith(b"["):
            return f"this is a list; {_FORM}, without brackets and commas around"
        outcome = take(Intake("story", True, _FAR_FUTURE_MS, lambda: f"line-{number}"), line)
        if isinstance(outcome, Refused):
            return "; ".join(map(_told, outcome.errors))
        posted = decode(outcome.value)
        if posted.servertime:
            return "/time: an event of a story needs one (write when it happened, such as 2026-11-22T14:03:11Z)"
        first = self._lines.setdefault((posted.subject, posted.id), number)
        if first != number:
            return f"/id: line {first} has `{posted.id}` already; an id counts once (give each event its own)"
        self.events.append(self._event(posted))
        return None

    def _event(self, posted: CloudEvent) -> Event:
        customer = posted.subject
        arrival = self._arrivals[customer] = max(posted.time_ms, self._arrivals.get(customer, 0))
        origin = Origin(posted.tenant, customer, posted.id, posted.type)
        return Event.taken(origin, posted.time_ms, arrival, backfill=posted.mode == BACKFILL, data=posted.data)


def _told(error: FieldError) -> str:
    advice = f" ({error.advice})" if error.advice else ""
    return f"{error.pointer or 'the event'}: {error.detail}{advice}"


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = (line.removeprefix(BOM_UTF8) if number == 1 else line).strip()
                if text:
                    yield number, text
    except OSError as error:
        raise Permanent(f"{path} can't be read: {error.strerror or error}") from None
