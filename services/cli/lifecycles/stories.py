"""Stories: events in a JSONL file, or posted, for `simulate`. Here, because ingest knows what an event is and the engine
what it does."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.ingest.domain.intake import Intake, take
from services.ingest.domain.outcome import Refused
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.simulating.story import StoryRefused
from shared.contracts.cloudevent import BACKFILL, CloudEvent, decode
from shared.contracts.field_errors import FieldError, pointer
from shared.errors import Permanent

_FAR_FUTURE_MS = 32_503_680_000_000
"""The year 3000: a story may tell of any time."""
_FORM = "write one JSON object a line, as POST /v1/events takes it"


def read_story(path: Path) -> list[Event]:
    """The events of a JSONL file: one native event a line, as POST /v1/events takes it, with a time. The order of a
    customer's lines is that of the log: a line from before an earlier one comes late. Raises Permanent that lists every
    bad line."""
    reading = _Reading("line")
    problems = [
        f"{path}:{number}: {'; '.join(map(_told, errors))}"
        for number, line in _lines(path)
        if (errors := _list_errors(line) or reading.add(number, line))
    ]
    if problems:
        raise Permanent("\n".join(problems))
    if not reading.events:
        raise Permanent(f"{path} has no events; {_FORM}")
    return reading.events


def read_posted(items: Sequence[bytes]) -> list[Event]:
    """The same for events that were posted as a list. Raises StoryRefused."""
    reading = _Reading("event")
    errors = [
        FieldError(pointer(index) + error.pointer, error.detail, error.advice)
        for index, item in enumerate(items)
        for error in reading.add(index + 1, item)
    ]
    if errors:
        raise StoryRefused(errors)
    return reading.events


class _Reading:
    """The events so far. Customers are independent of each other, so each has a log of their own."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.events: list[Event] = []
        self._arrivals: dict[str, int] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def add(self, number: int, item: bytes) -> Sequence[FieldError]:
        """Take an event, the n-th; or say what is wrong with it."""
        outcome = take(Intake("story", True, _FAR_FUTURE_MS, lambda: f"{self._what}-{number}"), item)
        if isinstance(outcome, Refused):
            return outcome.errors
        posted = decode(outcome.value)
        if posted.servertime:
            advice = "write when it happened, such as 2026-11-22T14:03:11Z"
            return [FieldError("/time", "an event of a story needs one", advice)]
        first = self._numbers.setdefault((posted.subject, posted.id), number)
        if first != number:
            detail = f"{self._what} {first} has `{posted.id}` already; an id counts once"
            return [FieldError("/id", detail, "give each event its own")]
        self.events.append(self._event(posted))
        return ()

    def _event(self, posted: CloudEvent) -> Event:
        customer = posted.subject
        arrival = self._arrivals[customer] = max(posted.time_ms, self._arrivals.get(customer, 0))
        origin = Origin(posted.tenant, customer, posted.id, posted.type)
        return Event.taken(origin, posted.time_ms, arrival, backfill=posted.mode == BACKFILL, data=posted.data)


def _list_errors(line: bytes) -> Sequence[FieldError]:
    return (
        [FieldError("", "this is a list", f"{_FORM}, without brackets and commas around")] if line[:1] == b"[" else ()
    )


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
