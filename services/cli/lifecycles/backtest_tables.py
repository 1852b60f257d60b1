"""What `backtest` shows to people: populations over time, moves, how stages are passed, and who ends elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.lifecycles.formats import cause_in_words, in_words, readable
from services.stage_engine.backtesting.counting import Flow
from services.stage_engine.backtesting.findings import Findings
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, duration_text, to_text

Json = dict[str, Any]
_BARS = "▁▂▃▄▅▆▇█"
_NOBODY = "·"
_UNITS = (DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS)


def show(out: Console, found: Findings) -> None:
    """All of it, as tables."""
    _say_what(out, found)
    if not found.customers:
        out.print("nobody had any event before the end")
        return
    for title, table in _tables(found):
        out.print(f"\n[bold]{title}[/]")
        out.print(table)
    if found.active is not None:
        _show_differences(out, found)


def _tables(found: Findings) -> list[tuple[str, Table]]:
    against = "" if found.active is None else ", as tried and against active"
    return [
        ("How many customers are in a stage, over time", _courses(found)),
        (f"The same in numbers{against}", _populations(found)),
        ("Moves", _moves(found)),
        ("Ways through a stage; medians are right to within 10 %", _stages(found)),
    ]


def _say_what(out: Console, found: Findings) -> None:
    if not found.complete:
        out.print(f"[bold yellow]partial[/]: ended after {found.customers:,} customers")
    active, tried = found.versions
    beside = f"beside version {active}" if active is not None else "which no engine runs yet"
    over = f"{found.span.begins} to {found.span.label(found.span.to_ms)}"
    out.rule(f"{found.name} version {tried}, {beside}", align="left")
    out.print(
        f"{found.customers:,} customers with {found.events:,} events, "
        f"{over} ({found.span.zone.key}), by {found.span.every}"
    )
    if found.passed_over:
        out.print(f"{found.passed_over:,} events could not be applied again and were passed over")
    if found.trimmed.customers:
        out.print(
            f"the early history of {found.trimmed.customers:,} customers is trimmed: they begin with what both "
            f"sets of rules can start from, and are counted from then on, all of them from "
            f"{readable(to_text(found.trimmed.until_ms))}"
        )


def _courses(found: Findings) -> Table:
    """A line for each stage: its population over time as bars, all of one height."""
    table = _table("stage")
    if found.active is not None:
        table.add_column("active")
    for head in ("tried", "first", "last"):
        table.add_column(head, justify="left" if head == "tried" else "right")
    highest = max(
        (number for side in found.sides() for line in side.populations.values() for number in line), default=0
    )
    for stage in found.stages:
        courses = [side.populations.get(stage, [0] * len(found.span.moments)) for side in found.sides()]
        ends = [_with_difference([course[place] for course in courses]) for place in (0, -1)]
        table.add_row(stage, *(_bars(course, highest) for course in courses), *ends)
    return table


def _bars(course: Sequence[int], highest: int) -> str:
    return "".join(_BARS[number * (len(_BARS) - 1) // highest] if number else _NOBODY for number in course)


def _populations(found: Findings) -> Table:
    table = _table("at the end of")
    for stage in found.stages:
        table.add_column(stage, justify="right")
    for place, moment in enumerate(found.span.moments):
        numbers = [[side.population(place).get(stage, 0) for side in found.sides()] for stage in found.stages]
        table.add_row(found.span.label(moment), *map(_with_difference, numbers))
    return table


def _with_difference(sides: Sequence[int]) -> str:
    """The number under the rules that are tried, and how far it is from that of the active ones."""
    difference = sides[-1] - sides[0]
    if not difference:
        return f"{sides[-1]:,}"
    return f"{sides[-1]:,} [{'green' if difference > 0 else 'red'}]{difference:+,}[/]"


def _moves(found: Findings) -> Table:
    table = _table("from", "to")
    for head in _heads(found):
        table.add_column(head, justify="right")
    for from_, to in found.pairs():
        numbers = [side.moves[from_, to] for side in found.sides()]
        table.add_row(from_ or "[dim]begin[/]", to, *_beside(numbers))
    return table


def _beside(numbers: Sequence[int]) -> list[str]:
    return [*(f"{number:,}" for number in numbers[:-1]), _with_difference(numbers)]


def _stages(found: Findings) -> Table:
    table = _table("stage", "")
    for head in ("entered", "left", "went on to a higher one", "median stay"):
        table.add_column(head, justify="right")
    for stage in found.stages:
        flows = [side.flow(stage) for side in found.sides()]
        if any(flow.entered or flow.left for flow in flows):
            for head, flow in zip(_heads(found), flows, strict=True):
                table.add_row(stage if flow is flows[0] else "", head, *_flow_cells(flow))
    return table


def _flow_cells(flow: Flow) -> list[str]:
    return [
        f"{flow.entered:,}",
        f"{flow.left:,}",
        "" if flow.share is None else f"{flow.went_on:,} ({flow.share:.0%})",
        "" if flow.median_ms is None else _length(flow.median_ms),
    ]


def _length(length_ms: int) -> str:
    """As precise as is right to within a tenth."""
    unit = next((unit for unit in _UNITS if length_ms >= 10 * unit), 1)
    return readable(duration_text(length_ms // unit * unit))


def _show_differences(out: Console, found: Findings) -> None:
    differences = found.differences
    out.print(
        f"\n[bold]{differences.elsewhere:,}[/] of {found.customers:,} customers end elsewhere, "
        f"{differences.ever:,} were elsewhere at some time since their history begins"
    )
    if not differences.elsewhere:
        return
    table = _table("active", "tried")
    table.add_column("customers", justify="right")
    for (active, tried), number in differences.ends.most_common():
        if active != tried:
            table.add_row(active or "", tried or "", f"{number:,}")
    out.print(table)
    for example in found.as_json()["differences"]["examples"]:
        out.print(
            f"[bold]{escape(example['tenant'])}:{escape(example['customer_id'])}[/] from {readable(example['at'])} on"
        )
        for side, name in (("active", "active"), ("candidate", "tried")):
            out.print(f"  {name}: {_way(example[side])}; ends in {example['ends'][side]}")


def _way(side: Json) -> str:
    if not side["moves"]:
        return f"stays in {side['stage']}"
    return ", ".join(_move(move) for move in side["moves"])


def _move(move: Json) -> str:
    way = f"{move['from']} → {move['to']}" if move["from"] else f"enters {move['to']}"
    by = f" by {move['transition']}" if move["transition"] else ""
    read = f" ({in_words(move['facts'], 'was')})" if move["facts"] else ""
    return escape(f"{way}{by}, {cause_in_words(move['cause'])}{read}")


def _heads(found: Findings) -> list[str]:
    return ["tried"] if found.active is None else ["active", "tried"]


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, padding=(0, 2))
