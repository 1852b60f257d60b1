"""An import from its first line to its last answer: read and checked as a whole, then posted in the order of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from services.cli.importing.applying import Draft
from services.cli.importing.checking import Checked, check, intake, native
from services.cli.importing.mapping import RowMapping
from services.cli.importing.ordering import Queued, Spool
from services.cli.importing.posting import Ingest, Item
from services.cli.importing.problems import Problem, Unfit
from services.cli.importing.reading import File, Form, Row, Text, form_of, object_row, opened
from services.cli.importing.resuming import State
from services.ingest.domain.intake import Intake
from shared.errors import Permanent

_TOLD_EVERY = 500
_MOST_WARNINGS = 1_000
_NO_EVENT = "the row fits no `where`, so it gives no event"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be imported, and how it is to be read. Without a mapping each line is an event already. `now_ms` is the
    time against which events are checked."""

    path: Path
    mapping: RowMapping | None
    text: Text
    now_ms: int


@dataclass(slots=True)
class Seen:
    """What came up while a file was read: rows, and warnings with how often and on which line first."""

    rows: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    first_lines: dict[str, int] = field(default_factory=dict)

    def warn(self, warning: str, line: int) -> None:
        """Something worth knowing of a line, or of the file (line 0)."""
        if warning not in self.warnings and len(self.warnings) >= _MOST_WARNINGS:
            return
        self.warnings[warning] += 1
        self.first_lines.setdefault(warning, line)


@dataclass(frozen=True, slots=True)
class Drafted:
    """What a line gives: events that are to be checked, or problems. A line with one wrong event gives none."""

    drafts: tuple[Draft, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_all(asked: Asked, spool: Spool, told: Callable[[int], None]) -> Seen:
    """Read, map and check every line, and put what it gives into the spool. `told` is given how many bytes were read.

    Raises Permanent when the file can't be read, and DefinitionError when the mapping does not fit it.
    """
    seen = Seen()
    looking = intake(asked.now_ms)
    with opened(asked.path) as file:
        for drafted in _lines(asked, file, seen):
            seen.rows += 1
            _take(drafted, looking, spool, seen)
            if seen.rows % _TOLD_EVERY == 0:
                told(file.bytes_read)
        told(file.bytes_read)
    if not seen.rows:
        seen.warn("the file has no rows", 0)
    spool.sort()
    return seen


def post_all(
    spool: Spool, ingest: Ingest, state: State, *, skip_refused: bool
) -> Iterator[tuple[State, list[Problem]]]:
    """Post what stands behind the state's place, batch by batch: after each the state to keep, and what ingest refused.

    Raises Permanent when ingest refuses something that is not to be skipped.
    """
    for batch in spool.batches(state.place):
        refused = ingest.post(batch)
        problems = [one for item in refused for one in _told(batch[item.index], item)]
        if problems and not skip_refused:
            told = "\n".join(f"line {problem}" for problem in problems)
            raise Permanent(f"{told}\ningest refuses these; nothing behind them was posted. --skip-bad goes on without")
        state = msgspec.structs.replace(
            state,
            place=batch[-1].place,
            posted=state.posted + len(batch) - len(refused),
            refused=state.refused + len(refused),
        )
        yield state, problems


def _take(drafted: Drafted, looking: Intake, spool: Spool, seen: Seen) -> None:
    problems = list(drafted.problems)
    events: list[Checked] = []
    for draft in drafted.drafts:
        found = check(looking, draft)
        if isinstance(found, Checked):
            events.append(found)
            for warning in found.warnings:
                seen.warn(warning, draft.line)
        else:
            problems += found
    if problems:
        spool.add_problems(problems)
        return
    for event in events:
        spool.add(event)


def _lines(asked: Asked, file: File, seen: Seen) -> Iterator[Drafted]:
    """What each line gives, in order."""
    mapping = asked.mapping
    if mapping is None:
        if form_of(asked.path) is Form.CSV:
            raise Permanent(f"{asked.path}: --map names the mapping file that says how rows become events")
        return (_native(found) for found in file.lines())
    if form_of(asked.path) is Form.CSV:
        table = file.table(asked.text)
        mapping.check_columns(table.header)
        return _mapped(mapping, table.rows(), seen)
    return _mapped(mapping, _object_rows(file), seen)


def _native(found: tuple[int, bytes] | Problem) -> Drafted:
    return Drafted(problems=(found,)) if isinstance(found, Problem) else Drafted((native(*found),))


def _object_rows(file: File) -> Iterator[Row | Problem]:
    for found in file.lines():
        if isinstance(found, Problem):
            yield found
            continue
        try:
            yield object_row(*found)
        except Unfit as error:
            yield error.at(found[0])


def _mapped(mapping: RowMapping, rows: Iterator[Row | Problem], seen: Seen) -> Iterator[Drafted]:
    """Each row by each rule that it fits."""
    unread, unfit = set(mapping.used), set(range(len(mapping.rules)))
    row: Row | Problem | None = None
    for row in rows:
        if isinstance(row, Problem):
            yield Drafted(problems=(row,))
            continue
        unread -= row.cells.keys()
        fitting = [part for part, rule in enumerate(mapping.rules) if rule.fits(row)]
        unfit.difference_update(fitting)
        yield _applied(mapping, row, fitting, seen)
    if row is None:
        return
    for column in sorted(unread):
        seen.warn(f"no line has `{column}`, which the mapping reads", 0)
    for part in sorted(unfit):
        seen.warn(mapping.said_of(part, "no row fits this rule's `where`"), 0)


def _applied(mapping: RowMapping, row: Row, fitting: list[int], seen: Seen) -> Drafted:
    drafts: list[Draft] = []
    problems: list[Problem] = []
    for part in fitting:
        found = mapping.rules[part].apply(row, part)
        if isinstance(found, Draft):
            drafts.append(found)
            if found.odd:
                seen.warn(f"local time: {found.odd}", row.line)
        else:
            problems += found
    if not fitting:
        seen.warn(_NO_EVENT, row.line)
    return Drafted(tuple(drafts), tuple(problems))


def _told(event: Queued, item: Item) -> list[Problem]:
    """What ingest says of an event, by the line that it comes from."""
    return [
        Problem(event.line, "", error.pointer.removeprefix(f"/{item.index}"), error.detail, error.advice)
        for error in item.errors
    ] or [Problem(event.line, "", "", f"ingest refused it: {item.reason or 'no reason given'}")]
