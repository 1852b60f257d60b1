"""What somebody is told of an import: what the file holds, what is wrong with it, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.importing.ordering import Contents
from services.cli.importing.problems import Problem
from services.cli.importing.running import Seen
from shared.contracts.times import to_text

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What a file holds."""

    path: Path
    seen: Seen
    contents: Contents

    def as_json(self) -> Json:
        """The report but for its errors."""
        found = self.contents
        return {
            "file": str(self.path),
            "rows": self.seen.rows,
            "events": found.events,
            "types": found.types,
            "customers": found.customers,
            "first": _time(found.first_ms),
            "last": _time(found.last_ms),
            "repeated": found.repeated,
            "bad_lines": found.bad_lines,
            "warnings": [
                {"warning": text, "times": times, "first_line": self.seen.first_lines[text] or None}
                for text, times in self.seen.warnings.most_common()
            ],
        }


def show(out: Console, report: Report) -> None:
    """For people: what the file holds, and warnings."""
    found = report.contents
    table = Table("what", "", box=None, padding=(0, 2), show_header=False)
    table.add_row("rows", f"{report.seen.rows:,}")
    table.add_row("events", f"{found.events:,} of {counted_customers(found.customers)}")
    for name, times in found.types.items():
        table.add_row(f"  {escape(name)}", f"{times:,}")
    table.add_row("from", _time(found.first_ms) or "-")
    table.add_row("to", _time(found.last_ms) or "-")
    if found.repeated:
        table.add_row("repeated", f"{found.repeated:,} stand in the file more than once, and count once")
    out.print(table)
    _show_warnings(out, report.seen)


def show_problems(out: Console, path: Path, problems: Iterable[Problem], most: int) -> None:
    """The first problems, each with its line, and how many there are."""
    number = 0
    for number, problem in enumerate(problems, 1):
        if number <= most:
            out.print(f"[red]error[/] {escape(f'{path}:{problem}')}", soft_wrap=True)
    if number > most:
        out.print(f"[dim]and {number - most:,} more; --errors shows more, --format json all[/]")


def as_json_text(head: Json, problems: Iterable[Problem]) -> Iterator[str]:
    """A JSON document with all problems under `errors`, piece by piece: there may be a million."""
    text = json.dumps(head, ensure_ascii=False, indent=2)
    yield text[:-2] + ',\n  "errors": ['
    between = "\n    "
    for problem in problems:
        yield between + json.dumps(problem.as_json(), ensure_ascii=False)
        between = ",\n    "
    yield "\n  ]\n}\n"


def write_rejected(path: Path, problems: Iterable[Problem], *, anew: bool) -> None:
    """Lines that are not imported, one problem a line."""
    with path.open("w" if anew else "a", encoding="utf-8") as file:
        file.writelines(json.dumps(problem.as_json(), ensure_ascii=False) + "\n" for problem in problems)


def counted_customers(number: int) -> str:
    """`1 customer`, `1,200 customers`."""
    return f"{number:,} customer{'' if number == 1 else 's'}"


def _show_warnings(out: Console, seen: Seen) -> None:
    for text, times in seen.warnings.most_common():
        line = seen.first_lines[text]
        where = f" ({times:,} times, first on line {line})" if line and times > 1 else f" (line {line})" if line else ""
        out.print(f"[yellow]warning[/] {escape(text)}{where}", soft_wrap=True)


def _time(ms: int | None) -> str | None:
    return None if ms is None else to_text(ms)
