"""`jornada tenants`: whose customers there are, and which lifecycle each tenant means where it names none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from services.cli.console import CommandGroup, as_typed_here, console
from services.cli.database import opened
from services.stage_engine.default_lifecycle import Default, default_of, default_of_all
from services.stage_engine.store import default_lifecycles, lifecycles
from services.stage_engine.store.default_lifecycles import TenantListed
from shared.contracts.field_errors import did_you_mean
from shared.contracts.times import to_text
from shared.db.port import Database, Transaction
from shared.errors import Permanent
from shared.settings import Settings, load

_T = TypeVar("_T")
tenants = typer.Typer(cls=CommandGroup, help="Tenants and their default lifecycles.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(tenants, name="tenants")


@tenants.command("list")
def list_tenants() -> None:
    """Show all tenants with their currency and default lifecycle. A tenant comes into being with its first key."""
    found, of_all = _with_database(_listed)
    table = Table("tenant", "currency", "default lifecycle", "made")
    for each in found:
        default = escape(each.default_lifecycle) if each.default_lifecycle else f"[dim]{escape(of_all)} (settings)[/]"
        table.add_row(escape(each.tenant), each.currency, default, to_text(each.created_ms))
    console().print(table if found else as_typed_here("no tenants yet; `jornada keys create --help`"))


@tenants.command("default-lifecycle")
def default_lifecycle(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="as `jornada tenants list` shows it")],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="of a registered lifecycle")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="take the choice back: the settings count again")] = False,
) -> None:
    """Choose the lifecycle that a tenant means where a request names none; without NAME, show it."""
    if name is not None and clear:
        raise Permanent("give a NAME or --clear, not both")

    async def work(database: Database, settings: Settings) -> Default:
        if name is not None or clear:
            async with database.transaction() as transaction:
                await _choose(transaction, tenant, name)
        async with database.reading() as transaction:
            await _check_tenant(transaction, tenant)
            return await default_of(transaction, tenant, settings)

    found = _with_database(work)
    why = "chosen" if found.chosen else "by the settings"
    console().print(f"{tenant} means {found.lifecycle} ({why})", markup=False)


async def _listed(database: Database, settings: Settings) -> tuple[list[TenantListed], str]:
    async with database.reading() as transaction:
        return await default_lifecycles.all_tenants(transaction), default_of_all(settings)


async def _choose(transaction: Transaction, tenant: str, name: str | None) -> None:
    """Raises Permanent for a lifecycle that nobody has registered, or a tenant that there is not."""
    known = [each.name for each in await lifecycles.newest(transaction)]
    if name is not None and name not in known:
        advice = did_you_mean(name, known) if known else "an engine registers its lifecycles when it starts"
        raise Permanent(f"no lifecycle {name!r} is registered; {advice}")
    if not await default_lifecycles.choose(transaction, tenant, name):
        raise _unknown(tenant)


async def _check_tenant(transaction: Transaction, tenant: str) -> None:
    if not await default_lifecycles.is_known(transaction, tenant):
        raise _unknown(tenant)


def _unknown(tenant: str) -> Permanent:
    return Permanent(
        f"there is no tenant {tenant!r}; `jornada tenants list` shows them, `jornada keys create` makes one"
    )


def _with_database(call: Callable[[Database, Settings], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        settings = load()
        async with opened(settings) as database:
            return await call(database, settings)

    return asyncio.run(run())
