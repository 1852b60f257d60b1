"""How far an import is, and what it waits for, on standard error while it runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from time import monotonic

from rich.progress import DownloadColumn, MofNCompleteColumn, ProgressColumn, Task
from rich.text import Text

from services.cli.bars import Bar, bar
from services.cli.console import as_typed_here
from services.cli.lifecycles.formats import say_note

_SAY_AGAIN_SECONDS = 30.0


class Rate(ProgressColumn):
    """How many in a second."""

    def render(self, task: Task) -> Text:
        """The rate so far; empty before there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")


def reading_bar(total_bytes: int) -> AbstractContextManager[Bar]:
    """For the time in which a file is read."""
    return bar("checking", total_bytes, DownloadColumn())


def posting_bar(events: int) -> AbstractContextManager[Bar]:
    """For the time in which events are posted."""
    return bar("posting", events, MofNCompleteColumn(), Rate())


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
