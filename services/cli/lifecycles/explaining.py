"""`jornada explain CUSTOMER`: where a customer is, why, what each way out waits for, and what time alone would bring."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from services.cli.console import console
from services.cli.database import opened
from services.cli.lifecycles.formats import Format, Written
from services.stage_engine.explaining import explanation
from services.stage_engine.in_force import find_customer
from services.stage_engine.store.customers import CustomerKey
from shared.auth.tenants import Tenants
from shared.contracts.times import now_ms
from shared.errors import Permanent
from shared.settings import load

_COLOURS = {"holds": "green", "fails": "red", "unknown": "yellow", "error": "bold red", "waits": "cyan"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("explain")(explain)


def explain(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="as your events name them")],
    tenant: Annotated[str, typer.Option(help="whose customer")] = "demo",
    written: Written = Format.TEXT,
) -> None:
    """Explain a customer: the stage in each lifecycle and how they came there, what each way out waits for, and what
    would happen if nothing more were heard of them."""
    found = asyncio.run(_find(tenant, customer))
    if written is Format.JSON:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        show(console(), found)


async def _find(tenant: str, customer: str) -> dict[str, Any]:
    async with opened(load()) as database:
        known = await find_customer(database, Tenants(database), CustomerKey(tenant, customer))
    if known is None:
        raise Permanent(f"no event of a customer {customer!r} was ever applied for the tenant {tenant!r}")
    return explanation(customer, known, now_ms())


def show(out: Console, found: dict[str, Any]) -> None:
    """The same, for people."""
    out.rule(f"{found['customer_id']} at {found['at'][:19]}Z", align="left")
    facts = Table("fact", "value", box=None, padding=(0, 2))
    for name, value in found["facts"].items():
        facts.add_row(name, str(value))
    out.print(facts)
    for name, part in found["lifecycles"].items():
        out.print(_lifecycle(name, part))


def _lifecycle(name: str, part: dict[str, Any]) -> Tree:
    tree = Tree(f"[bold]{name}[/] version {part['version']}: [bold]{part['stage']}[/] since {part['since'][:19]}Z")
    if last := part["last_change"]:
        read = ", ".join(f"{fact} = {value}" for fact, value in last["facts"].items())
        tree.add(
            f"came from {last['from'] or 'nowhere'} by {last['transition'] or 'the first event'}: {_cause(last['cause'])}"
            + (f" ({read})" if read else "")
        )
    for fact, value in part["facts"].items():
        tree.add(f"[dim]facts.{fact} = {value}[/]")
    for way in part["ways_out"]:
        _add_way(tree, way)
    coming = part["by_time_alone"]
    tree.add(
        "time alone changes nothing"
        if coming is None
        else f"by time alone: → [bold]{coming['to']}[/] by {coming['transition']} at {coming['effective_at'][:19]}Z"
        f", noticed by {coming['noticed_at'][:19]}Z"
    )
    return tree


def _add_way(tree: Tree, way: dict[str, Any]) -> None:
    on = f" on {', '.join(way['on'])}" if "on" in way else ""
    branch = tree.add(f"{_mark(way['verdict'])} → {way['to']} by {way['transition']}{on}")
    if "when" in way:
        _add_part(branch, way["when"])
    if "after" in way:
        wait = way["after"]
        length, due = wait["length"] or "unknown", (wait["due_at"] or "unknown")[:19]
        branch.add(f"{_mark(wait['verdict'])} {length} after {wait['since']}: {due}")


def _add_part(tree: Tree, part: dict[str, Any]) -> None:
    for joined_by in ("all", "any"):
        if joined_by in part:
            branch = tree.add(f"{_mark(part['verdict'])} {joined_by} of")
            for each in part[joined_by]:
                _add_part(branch, each)
            return
    read = ", ".join(f"{name} is {'unknown' if value is None else value}" for name, value in part["reads"].items())
    tree.add(f"{_mark(part['verdict'])} {_escaped(part['text'])}" + (f"  [dim]{read}[/]" if read else ""))


def _mark(verdict: str) -> str:
    return f"[{_COLOURS[verdict]}]{verdict}[/]"


def _cause(cause: dict[str, Any]) -> str:
    if cause["kind"] == "event":
        return f"{cause['type']} {cause['id']} of {cause['time'][:19]}Z"
    return f"a timer of {cause['due_at'][:19]}Z" if cause["kind"] == "timer" else f"{cause}"


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
