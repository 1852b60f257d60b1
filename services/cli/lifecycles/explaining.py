"""`jornada explain CUSTOMER`: where a customer is, why, what each way out waits for, and what time alone would bring."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from services.cli.console import console
from services.cli.database import opened
from services.cli.lifecycles.customers import never_heard_of
from services.cli.lifecycles.formats import Format, Written, cause_in_words, in_words, readable, say_json
from services.stage_engine.explaining.explanation import explanation
from services.stage_engine.in_force import find_customer
from services.stage_engine.store.customers import CustomerKey
from shared.auth.tenants import Tenants
from shared.contracts.times import now_ms
from shared.settings import load

Json = dict[str, Any]
_COLOURS = {"holds": "green", "fails": "red", "unknown": "yellow", "error": "bold red", "waits": "cyan"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("explain")(explain)


def explain(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="the id, as your events give it")],
    tenant: Annotated[str, typer.Option(help="whose customer")] = "demo",
    written: Written = Format.TEXT,
) -> None:
    """Explain a customer: where they are and why, and what would move them.

    For each lifecycle: the stage and how they came there, each way out with every part of its condition, and what
    happens if nothing more is heard of them. `--format json` writes what GET /v1/customers/{id}/explanation answers.

    Exit code: 0; 1 for a customer who was never heard of.
    """
    found = asyncio.run(_find(tenant, customer))
    if written is Format.JSON:
        say_json(found)
    else:
        show(console(), found)


async def _find(tenant: str, customer: str) -> Json:
    async with opened(load()) as database:
        key = CustomerKey(tenant, customer)
        known = await find_customer(database, Tenants(database), key, with_changes=True)
    if known is None:
        raise never_heard_of(key)
    return explanation(customer, known, now_ms())


def show(out: Console, found: Json) -> None:
    """The same, for people."""
    out.rule(f"{escape(found['customer_id'])} · {readable(found['at'])}", align="left")
    facts = Table("fact", "value", box=None, padding=(0, 2))
    for name, value in found["facts"].items():
        facts.add_row(name, escape(readable(value)))
    out.print(facts)
    for name, part in found["lifecycles"].items():
        out.print(_lifecycle(name, part))
    out.print(
        "[dim]holds, fails: as things stand · waits: for an event, or for time · unknown: a fact has no value yet[/]"
    )


def _lifecycle(name: str, part: Json) -> Tree:
    again = f" (entered {part['entry']} times)" if part["entry"] > 1 else ""
    tree = Tree(
        f"[bold]{name}[/] version {part['version']}: [bold]{part['stage']}[/] since {readable(part['since'])}{again}"
    )
    if last := part["last_change"]:
        tree.add(_came(last))
    if part["facts"]:
        tree.add(f"[dim]{escape(in_words(part['facts']))}[/]")
    if lower_bounds := part.get("at_least"):
        tree.add(f"[dim]at least, for it counts no further: {escape(', '.join(lower_bounds))}[/]")
    for way in part["ways_out"]:
        _add_way(tree, way)
    if not part["ways_out"]:
        tree.add("nothing leads out of this stage")
    tree.add(_by_time(part["by_time_alone"]))
    return tree


def _came(last: Json) -> str:
    by = f" by {last['transition']}" if last["transition"] else ""
    came = f"came from {last['from']}{by}" if last["from"] else "began here"
    read = f" ({in_words(last['facts'], 'was')})" if last["facts"] else ""
    return escape(f"{came}: {cause_in_words(last['cause'])}{read}")


def _by_time(coming: Json | None) -> str:
    if coming is None:
        return "time alone moves them nowhere"
    onward = f", and on to {coming['settles_in']}" if coming["settles_in"] != coming["to"] else ""
    when = f"at {readable(coming['effective_at'])}, noticed by {readable(coming['noticed_at'])}"
    return f"by time alone → [bold]{coming['to']}[/] by {coming['transition']}{onward} {when}"


def _add_way(tree: Tree, way: Json) -> None:
    on = f", on {' or '.join(way['on'])}" if "on" in way else ""
    branch = tree.add(f"{_mark(way['verdict'])} → {way['to']} by {way['transition']}{on}")
    if "when" in way:
        _add_part(branch, way["when"])
    if "after" in way:
        branch.add(f"{_mark(way['after']['verdict'])} {_wait(way['after'])}")


def _wait(wait: Json) -> str:
    since = "entering the stage" if wait["since"] == "entered" else wait["since"]
    if wait["length"] is None:
        return f"as long as {wait['follows']} says after {since}; {wait['follows']} is unknown"
    length = f"{readable(wait['length'])} after {since}"
    if wait["due_at"] is None:
        return f"{length}, which is unknown"
    return f"{'since' if wait['verdict'] == 'holds' else 'until'} {readable(wait['due_at'])}: {length}"


def _add_part(tree: Tree, part: Json) -> None:
    for joined_by in ("all", "any"):
        if joined_by in part:
            branch = tree.add(f"{_mark(part['verdict'])} {joined_by} of")
            for each in part[joined_by]:
                _add_part(branch, each)
            return
    notes = [in_words(part["reads"])] if part["reads"] else []
    notes += ["the event counts first"] if part.get("event_counts_first") else []
    notes += [part["detail"]] if part["verdict"] == "error" else []
    said = f"  [dim]{escape('; '.join(notes))}[/]" if notes else ""
    tree.add(f"{_mark(part['verdict'])} {escape(' '.join(part['text'].split()))}{said}")


def _mark(verdict: str) -> str:
    return f"[{_COLOURS[verdict]}]{verdict}[/]"
