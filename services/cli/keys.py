"""`jornada keys`: API keys of tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from services.cli.console import CommandGroup, as_typed_here, console
from services.cli.database import opened
from shared.auth.keys import KeyListed, KeyRequest, Keys, NewKey
from shared.auth.scopes import Scope
from shared.contracts.times import to_text
from shared.settings import load

_T = TypeVar("_T")
keys = typer.Typer(cls=CommandGroup, help="API keys: what a caller may do, and for which tenant.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(keys, name="keys")


@keys.command("create")
def create(
    tenant: Annotated[str, typer.Option(help="whose data the key reaches; a new one is made")],
    scope: Annotated[list[Scope], typer.Option(help="what the key may do; give it once for each scope")],
    currency: Annotated[str | None, typer.Option(help="ISO 4217, of a new tenant; it never changes afterwards")] = None,
    label: Annotated[str, typer.Option(help="for people: who uses it")] = "",
) -> None:
    """Make a key. Its text is shown once; only a digest is kept."""
    made: NewKey = _with_keys(lambda all_keys: all_keys.create(KeyRequest(tenant, scope, label, currency)))
    typer.echo(made.token)
    console().print(
        f"[dim]id {made.id}, tenant {made.tenant}, scopes {', '.join(sorted(made.scopes))}; not shown again[/]"
    )


@keys.command("list")
def list_keys(tenant: Annotated[str | None, typer.Option(help="only this tenant's")] = None) -> None:
    """Show all keys, revoked ones too."""
    found: list[KeyListed] = _with_keys(lambda all_keys: all_keys.list(tenant))
    table = Table("id", "tenant", "scopes", "label", "made", "revoked")
    for key in found:
        revoked = to_text(key.revoked_ms) if key.revoked_ms is not None else ""
        table.add_row(key.id, key.tenant, " ".join(sorted(key.scopes)), key.label, to_text(key.created_ms), revoked)
    console().print(table if found else as_typed_here("no keys yet; `jornada keys create --help`"))


@keys.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="as `jornada keys list` shows it")]) -> None:
    """End a key; it stops working everywhere within 2 s."""
    _with_keys(lambda all_keys: all_keys.revoke(key_id))
    console().print(f"{key_id} is revoked")


def _with_keys(call: Callable[[Keys], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        settings = load()
        async with opened(settings) as database:
            return await call(Keys(database, settings.default_currency))

    return asyncio.run(run())
