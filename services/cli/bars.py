"""How far a command is, on standard error while it runs; the answer on standard output stays what it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn


class Bar:
    """One bar. `to` moves it; a place that it had at the start does not count for its rate."""

    def __init__(self, shown: Progress, what: str, total: int) -> None:
        self._shown = shown
        self._task = shown.add_task(what, total=total)

    def to(self, completed: int) -> None:
        """It has come so far."""
        self._shown.update(self._task, completed=completed)


@contextmanager
def bar(what: str, total: int, *columns: ProgressColumn) -> Iterator[Bar]:
    """A bar for the length of a block; `columns` say how far it is, otherwise it is counted."""
    shown = Console(file=sys.stderr, highlight=False)
    counted = columns or (MofNCompleteColumn(),)
    around = (TextColumn("{task.description}"), BarColumn(), *counted, TimeRemainingColumn())
    # Without a terminal not even an empty line: what is in a log is what was said.
    with Progress(*around, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        yield Bar(progress, what, total)
