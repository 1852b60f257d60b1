"""The table that `make bench` prints: figure, goal, and what it cost in CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Line:
    """One row. `goal` and `cpu` are text for people; `met` is None where there is no goal."""

    what: str
    figure: str
    goal: str = ""
    met: bool | None = None
    cpu: str = ""


def show(lines: Sequence[Line], note: str = "") -> None:
    """Print all rows, with a note below."""
    table = Table(title="Jornada benchmarks", caption=note, show_lines=False)
    for heading in ("what", "figure", "goal", "met", "CPU µs per event"):
        table.add_column(heading)
    for line in lines:
        met = "" if line.met is None else "[green]yes[/]" if line.met else "[red]no[/]"
        table.add_row(line.what, line.figure, line.goal, met, line.cpu)
    Console(width=170).print(table)


def step(text: str) -> None:
    """Say what is being measured now."""
    Console().print(f"[dim]… {text}[/]")
