"""All events of an import, customer by customer and each one's in the order of time, however large it is.

Customer by customer, because an engine takes a pause between two events of one customer for the end of their import, and lets
their timers go off. They are kept in a temporary database that no other process sees.

It is in memory while it is small, and in a file of the system's folder for temporary files (TMPDIR) beyond that. The
file has no name, so nothing stays behind, whatever ends the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from types import TracebackType
from typing import Self

import msgspec

from services.cli.importing.checking import Checked
from services.cli.importing.problems import Problem
from services.ingest.domain.intake import MAX_ITEMS
from shared.http.body import MAX_BODY_BYTES

_CACHE_KIB = 16_384
_WRITTEN_AT_ONCE = 1_000
_READ_AT_ONCE = 200
_TABLES = """
CREATE TABLE events (
    customer INTEGER, time_ms INTEGER, line INTEGER, part INTEGER, type TEXT, name BLOB, content BLOB, body BLOB
);
CREATE TABLE problems (line INTEGER, column_name TEXT, pointer TEXT, detail TEXT, advice TEXT);
BEGIN;
"""
_INDEXES = """
CREATE INDEX events_by_name ON events (name, content);
CREATE INDEX events_in_order ON events (customer, time_ms, line, part);
CREATE INDEX problems_in_order ON problems (line);
"""
_ADD_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_ADD_PROBLEM = "INSERT INTO problems VALUES (?, ?, ?, ?, ?)"
_CONFLICTS = "SELECT name FROM events GROUP BY name HAVING min(content) <> max(content)"
_NAMESAKES = "SELECT line, content, body FROM events WHERE name = ? ORDER BY line, part"
_DROP_BAD_LINES = "DELETE FROM events WHERE line IN (SELECT line FROM problems)"
_DROP_REPEATED = "DELETE FROM events WHERE rowid NOT IN (SELECT min(rowid) FROM events GROUP BY name)"
_IN_ORDER = (
    "SELECT customer, time_ms, line, part, body FROM events WHERE (customer, time_ms, line, part) > (?, ?, ?, ?) "
    "ORDER BY customer, time_ms, line, part"
)
_LEFT = "SELECT count(*) FROM events WHERE (customer, time_ms, line, part) > (?, ?, ?, ?)"

Place = tuple[int, int, int, int]
"""Where an event stands in the order of an import: its customer's number, its time, its line, and which event of the line it
is."""
BEGINNING: Place = (-1, -1, 0, 0)


@dataclass(frozen=True, slots=True)
class Queued:
    """An event in its turn."""

    place: Place
    body: bytes

    @property
    def line(self) -> int:
        """The line that it comes from."""
        return self.place[2]


@dataclass(frozen=True, slots=True)
class Contents:
    """What an import holds: events, those of each type, customers, the first and last time in milliseconds (None without
    events), events that stand in the file more than once, and lines with problems."""

    events: int
    types: dict[str, int]
    customers: int
    first_ms: int | None
    last_ms: int | None
    repeated: int
    bad_lines: int


class Spool:
    """Takes events in the order of the file and gives them back in that of the import. Use as a context; `sort` in between."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for pragma in (f"cache_size = -{_CACHE_KIB}", "temp_store = FILE", "journal_mode = OFF", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_TABLES)
        self._events: list[tuple[int | str | bytes, ...]] = []
        self._repeated = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, event: Checked) -> None:
        """Keep an event."""
        customer = int.from_bytes(_digest(6, event.customer_id), "big")
        name = _digest(16, event.customer_id, event.id)
        content = blake2b(event.body, digest_size=16).digest()
        self._events.append((customer, event.time_ms, event.line, event.part, event.type, name, content, event.body))
        if len(self._events) >= _WRITTEN_AT_ONCE:
            self._write()

    def add_problems(self, problems: list[Problem]) -> None:
        """Keep what is wrong with a line; none of its events will be given back."""
        rows = [(each.line, each.column, each.pointer, each.detail, each.advice) for each in problems]
        self._database.executemany(_ADD_PROBLEM, rows)

    def sort(self) -> None:
        """After the last line: put events in order. An id that comes again with other content is a problem of its line;
        an event that comes again as it was is dropped."""
        self._write()
        self._database.executescript(_INDEXES)
        for (name,) in self._database.execute(_CONFLICTS).fetchall():
            self._add_conflicts(name)
        self._database.execute(_DROP_BAD_LINES)
        self._repeated = self._database.execute(_DROP_REPEATED).rowcount

    def contents(self) -> Contents:
        """What there is to post."""
        one = self._database.execute(
            "SELECT count(*), count(DISTINCT customer), min(time_ms), max(time_ms) FROM events"
        )
        events, customers, first, last = one.fetchone()
        types = dict(self._database.execute("SELECT type, count(*) FROM events GROUP BY type ORDER BY type").fetchall())
        (bad,) = self._database.execute("SELECT count(DISTINCT line) FROM problems").fetchone()
        return Contents(events, types, customers, first, last, self._repeated, bad)

    def problems(self) -> Iterator[Problem]:
        """What is wrong, by line."""
        for row in self._database.execute("SELECT * FROM problems ORDER BY line, rowid"):
            yield Problem(*row)

    def left(self, behind: Place) -> int:
        """How many events stand behind a place."""
        (left,) = self._database.execute(_LEFT, behind).fetchone()
        return int(left)

    def batches(self, behind: Place) -> Iterator[list[Queued]]:
        """The events behind a place, in order, in as few requests as ingest takes them in."""
        batch: list[Queued] = []
        size = 2
        for event in self._in_order(behind):
            if len(batch) == MAX_ITEMS or size + len(event.body) + 1 > MAX_BODY_BYTES:
                yield batch
                batch, size = [], 2
            batch.append(event)
            size += len(event.body) + 1
        if batch:
            yield batch

    def _in_order(self, behind: Place) -> Iterator[Queued]:
        found = self._database.execute(_IN_ORDER, behind)
        while page := found.fetchmany(_READ_AT_ONCE):
            for customer, time_ms, line, part, body in page:
                yield Queued((customer, time_ms, line, part), body)

    def _write(self) -> None:
        self._database.executemany(_ADD_EVENT, self._events)
        self._events.clear()

    def _add_conflicts(self, name: bytes) -> None:
        found = self._database.execute(_NAMESAKES, (name,))
        first, content, body = found.fetchone()
        detail = f"line {first} has `{msgspec.json.decode(body)['id']}` already, with other content"
        for line, other, _ in found:
            if other != content:
                self.add_problems([Problem(line, "", "/id", detail, "give each event of a customer an id of its own")])


def _digest(size: int, *texts: str) -> bytes:
    return blake2b(b"\x00".join(text.encode() for text in texts), digest_size=size).digest()
