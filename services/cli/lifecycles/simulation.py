"""What `simulate` shows: each customer's path, decision by decision."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.lifecycles.formats import in_words, readable
from services.stage_engine.domain.decision import Applied, ByTimer, StageChange
from services.stage_engine.domain.event import Event
from services.stage_engine.simulating.simulation import Step
from services.stage_engine.simulating.story import Path, changes, moment, refusal
from shared.contracts.times import to_text


def show(out: Console, found: Iterable[Path]) -> None:
    """A table for each customer: what happened, and what it moved."""
    for path in found:
        out.rule(escape(path.customer), align="left")
        table = Table("when", "what", "lifecycle", "move", "transition", "because", box=None, padding=(0, 1))
        for step in path.steps:
            for row in _rows(path, step):
                table.add_row(*row)
        out.print(table)
        for name, end in path.ends().items():
            facts = f" [dim]{escape(in_words(end['facts']))}[/]" if end["facts"] else ""
            out.print(f"[dim]ends in[/] {name}: [bold]{end['stage']}[/] since {readable(end['since'])}{facts}")


def _rows(path: Path, step: Step) -> list[tuple[str, ...]]:
    """What time brought before the event, then the event with what it brought."""
    by_time = [each for each in changes(step) if isinstance(each.cause, ByTimer)]
    rows = [_row(path, each, to_text(each.effective_ms), "time goes by") for each in by_time]
    rows += _event_rows(path, step) if isinstance(step.occurrence, Event) else []
    if not rows:
        rows.append((_dim(readable(to_text(moment(step)))), _dim("time goes by"), "", _dim("stays"), "", ""))
    if isinstance(step.decision, Applied):
        rows += [
            ("", "", each.lifecycle, f"[red]{escape(each.detail)}[/]", each.transition, escape(each.expression))
            for each in step.decision.errors
        ]
    return rows


def _event_rows(path: Path, step: Step) -> list[tuple[str, ...]]:
    assert isinstance(step.occurrence, Event)
    when, what = to_text(step.occurrence.time_ms), step.occurrence.type
    late = " (late)" if step.occurrence.arrival_ms > step.occurrence.time_ms else ""
    if (refused := refusal(step)) is not None:
        return [(readable(when), what, "", f"[red]refused: {escape(refused)}[/]", "", "")]
    own = [each for each in changes(step) if not isinstance(each.cause, ByTimer)]
    if not own:
        return [(_dim(readable(when)), _dim(what + late), "", _dim("stays"), "", "")]
    first, *others = own
    return [_row(path, first, when, what + late), *(_row(path, each, "", "") for each in others)]


def _row(path: Path, change: StageChange, when: str, what: str) -> tuple[str, ...]:
    shown = path.change(change)
    move = f"{shown['from']} → {shown['to']}" if shown["from"] else f"enters {shown['to']}"
    because = escape(in_words(shown["facts"]))
    return readable(when), what, shown["lifecycle"], move, shown["transition"] or _dim("start"), because


def _dim(text: str) -> str:
    return f"[dim]{text}[/]"
