"""How far an import is, on standard error while it runs; the answer on standard output stays what it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as Remaining
from rich.text import Text

from services.cli.console import as_typed_here
from services.cli.lifecycles.formats import say_note

_SAY_AGAIN_SECONDS = 30.0


class Rate(ProgressColumn):
    """How many in a second."""

    def render(self, task: Task) -> Text:
        """The rate so far; empty before there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")


class Bar:
    """One bar. `to` moves it; a place that it had at the start does not count for its rate."""

    def __init__(self, shown: Progress, what: str, total: int) -> None:
        self._shown = shown
        self._task = shown.add_task(what, total=total)

    def to(self, completed: int) -> None:
        """It has come so far."""
        self._shown.update(self._task, completed=completed)


@contextmanager
def reading_bar(total_bytes: int) -> Iterator[Bar]:
    """For the time in which a file is read."""
    with _progress(DownloadColumn()) as shown:
        yield Bar(shown, "checking", total_bytes)


@contextmanager
def posting_bar(events: int) -> Iterator[Bar]:
    """For the time in which events are posted."""
    with _progress(MofNCompleteColumn(), Rate()) as shown:
        yield Bar(shown, "posting", events)


class Patience:
    """Says what is waited for: at once when it is something else than before, and every half a minute."""

    def __init__(self) -> None:
        self._said = ""
        self._said_at = 0.0

    def say(self, why: str) -> None:
        """Why nothing goes on."""
        if why == self._said and monotonic() - self._said_at < _SAY_AGAIN_SECONDS:
            return
        self._said, self._said_at = why, monotonic()
        say_note(as_typed_here(f"{why}. Ctrl-C ends the import; the same command goes on later"))


def _progress(*columns: ProgressColumn) -> Progress:
    shown = Console(file=sys.stderr, highlight=False)
    described = TextColumn("{task.description}")
    # Without a terminal not even an empty line: what is in a log is what was said.
    quiet = not shown.is_terminal
    return Progress(described, BarColumn(), *columns, Remaining(), console=shown, transient=True, disable=quiet)
