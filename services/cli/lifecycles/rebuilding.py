"""`jornada rebuild`: live every customer's history again and list what differs from what is stored."""

from __future__ import annotations

import asyncio
import textwrap
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Console

from services.cli.bars import bar
from services.cli.console import INTERRUPTED, console
from services.cli.database import opened
from services.cli.lifecycles.customers import never_heard_of
from services.cli.lifecycles.formats import Format, Written, say_json
from services.stage_engine.rebuilding import Difference, Rebuild
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store.customers import CustomerKey
from shared.auth.tenants import Tenants
from shared.errors import Permanent
from shared.settings import Settings, load

_MOST_SHOWN = 10
_MOST_CHARACTERS = 200


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("rebuild")(rebuild)


def rebuild(
    customer: Annotated[str | None, typer.Option(help="only this one")] = None,
    tenant: Annotated[str | None, typer.Option(help="whose customer, with --customer (default: demo)")] = None,
    written: Written = Format.TEXT,
) -> None:
    """Live the history of all customers again, under the rules of the day, and compare with what is stored.

    Reads only, while everything runs. 0 differences is what must come out. Ctrl-C ends it with what was found until then.

    Exit code: 0; 1 when anything differs, or for a customer who was never heard of; 130 after Ctrl-C.
    """
    if tenant is not None and customer is None:
        raise Permanent("--tenant says whose --customer is meant; without one everybody is looked at")
    work = Comparing(CustomerKey(tenant or "demo", customer) if customer is not None else None)
    try:
        asyncio.run(work.run(load()))
    except KeyboardInterrupt:
        if work.total is None:
            raise typer.Exit(INTERRUPTED) from None
    if written is Format.JSON:
        say_json(work.as_json())
    else:
        _show(console(), work)
    raise typer.Exit((1 if work.differences else 0) if work.complete else INTERRUPTED)


@dataclass(slots=True)
class Comparing:
    """One rebuild being made. What was found so far is here, also when it is cut off; `total` is None before it begins."""

    only: CustomerKey | None
    total: int | None = None
    customers: int = 0
    events: int = 0
    differences: list[Difference] = field(default_factory=list)
    complete: bool = False

    async def run(self, settings: Settings) -> None:
        """Compare every customer. Raises Permanent for one who was never heard of, DatabaseUnavailable."""
        async with opened(settings) as database:
            rulebook = RuleBook({}, Tenants(database), settings.default_currency)
            rebuild = Rebuild(database, rulebook, int(settings.backfill_settle_seconds * 1000))
            self.total = await rebuild.size(self.only)
            if self.only is not None and not self.total:
                raise never_heard_of(self.only)
            with bar("customers", self.total) as shown:
                async with aclosing(rebuild.pages(self.only)) as pages:
                    async for page in pages:
                        self.customers, self.events = self.customers + page.customers, self.events + page.events
                        self.differences += page.differences
                        shown.to(self.customers)
            self.complete = True

    def as_json(self) -> dict[str, Any]:
        """The form of `--format json`."""
        return {
            "complete": self.complete,
            "customers": self.customers,
            "events": self.events,
            "differences": [
                {"tenant": each.customer.tenant, "customer_id": each.customer.customer_id, "fields": each.fields}
                for each in self.differences
            ],
        }


def _short(value: Any) -> str:
    return textwrap.shorten(str(value), _MOST_CHARACTERS, placeholder=" …")


def _show(out: Console, work: Comparing) -> None:
    for each in work.differences[:_MOST_SHOWN]:
        out.print(f"{each.customer.tenant}:{each.customer.customer_id} differs", markup=False)
        for name, (stored, again) in each.fields.items():
            out.print(f"  {name}: stored {_short(stored)}, lived again {_short(again)}", markup=False)
    if (more := len(work.differences) - _MOST_SHOWN) > 0:
        out.print(f"… and {more:,} more; --format json lists all")
    if not work.complete:
        out.print(f"[bold yellow]partial[/]: ended after {work.customers:,} of {work.total:,} customers")
    out.print(
        f"{work.customers:,} customers with {work.events:,} events lived again: {len(work.differences)} differences"
    )
