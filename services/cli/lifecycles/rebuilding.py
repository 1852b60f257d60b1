"""`jornada rebuild`: live every customer's history again and list what differs from what is stored."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from rich.progress import Progress, TextColumn

from services.cli.console import console
from services.cli.database import opened
from services.cli.lifecycles.formats import Format, Written
from services.stage_engine.rebuilding import Difference, Rebuild
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store.customers import CustomerKey
from shared.auth.tenants import Tenants
from shared.settings import load


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("rebuild")(rebuild)


def rebuild(
    customer: Annotated[str | None, typer.Option(help="only this one")] = None,
    tenant: Annotated[str, typer.Option(help="whose customer, with --customer")] = "demo",
    written: Written = Format.TEXT,
) -> None:
    """Live the history of all customers again, under the rules of the day, and compare with what is stored.

    Reads only, while everything runs. 0 differences is what must come out; exits 1 otherwise.
    """
    only = CustomerKey(tenant, customer) if customer is not None else None
    customers, events, found = asyncio.run(_compare(only, quiet=written is Format.JSON))
    if written is Format.JSON:
        differing = [
            {"tenant": each.customer.tenant, "customer_id": each.customer.customer_id, "fields": each.fields}
            for each in found
        ]
        typer.echo(json.dumps({"customers": customers, "events": events, "differences": differing}, indent=2))
    else:
        for each in found:
            console().print(f"{each.customer.tenant}:{each.customer.customer_id} differs", markup=False)
            for name, (stored, again) in each.fields.items():
                console().print(f"  {name}: stored {stored}, lived again {again}", markup=False)
        console().print(f"{customers:,} customers with {events:,} events lived again: {len(found)} differences")
    raise typer.Exit(1 if found else 0)


async def _compare(only: CustomerKey | None, *, quiet: bool) -> tuple[int, int, list[Difference]]:
    settings = load()
    customers, events = 0, 0
    found: list[Difference] = []
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,} customers"))
    async with opened(settings) as database:
        rulebook = RuleBook({}, Tenants(database), settings.default_currency)
        work = Rebuild(database, rulebook, int(settings.backfill_settle_seconds * 1000))
        with Progress(*columns, console=console(), transient=True, disable=quiet) as shown:
            task = shown.add_task("living again", total=None)
            async for page in work.pages(only):
                customers, events = customers + page.customers, events + page.events
                found += page.differences
                shown.update(task, completed=customers)
    return customers, events, found
