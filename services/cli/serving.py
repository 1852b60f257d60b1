"""`jornada up`, and one command for each service."""

from __future__ import annotations

import asyncio
import json

import typer
from rich.console import Console

from migrations.running import migrate
from services.cli import processes
from services.cli.console import as_typed_here, console
from services.cli.database import opened_with_log
from shared.auth.keys import KeyRequest, Keys
from shared.auth.scopes import Scope
from shared.contracts.topics import topic_specs
from shared.db.port import Database
from shared.service import Resources
from shared.settings import Settings, load

FIRST_TENANT = "demo"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("up")(up)
    app.command("ingest")(ingest)
    app.command("engine")(engine)
    app.command("notifier")(notifier)


def up() -> None:
    """Run the whole service in this process, on one port, until Ctrl-C.

    Brings the database up to date, creates the topics, and makes a first API key when there is none. Without any
    settings it needs no other server: SQLite keeps everything under .run/.
    """
    settings = load()
    asyncio.run(prepare(settings))
    raise typer.Exit(processes.run(settings, tuple(processes.SERVICES), for_one_machine, _announce))


def ingest() -> None:
    """Run the ingest service: takes events over HTTP."""
    _one_service("ingest")


def engine() -> None:
    """Run a stage engine: moves customers through their lifecycles. Start several to share the work."""
    _one_service("engine")


def notifier() -> None:
    """Run the notifier: plans campaigns, sends e-mails and webhooks."""
    _one_service("notifier")


def _one_service(name: str) -> None:
    raise typer.Exit(processes.run(load(), [name]))


def for_one_machine(settings: Settings, address: str) -> Settings:
    """The settings of `up`: links lead to its own address and, in development, webhooks may go to this machine.

    Only what nobody has set is changed.
    """
    ours: dict[str, object] = {"public_url": address}
    if settings.environment == "development":
        ours["webhook_allow_private"] = True
    return settings.model_copy(
        update={name: value for name, value in ours.items() if name not in settings.model_fields_set}
    )


async def prepare(settings: Settings) -> None:
    """Tables and topics. Raises Permanent, DatabaseUnavailable, LogUnavailable."""
    await migrate(settings.database_url)
    async with opened_with_log(settings) as (_, log):
        await log.ensure_topics(topic_specs(settings.partitions))


async def first_key(database: Database, settings: Settings) -> str | None:
    """The text of a key with all scopes, just made; None when there is one that works. Raises DatabaseUnavailable.

    For when everything else has come up: its text is shown only once, and a start that fails would lose it.
    """
    keys = Keys(database, settings.default_currency)
    if any(key.revoked_ms is None for key in await keys.list()):
        return None
    return (await keys.create(KeyRequest(FIRST_TENANT, tuple(Scope), "made by jornada up"))).token


async def _announce(url: str, resources: Resources) -> None:
    token = await first_key(resources.database, resources.settings)
    _banner(console(), resources.settings, url, token)


def _banner(out: Console, settings: Settings, url: str, token: str | None) -> None:
    out.print(f"\n[bold green]Jornada is up[/] at [bold]{url}[/]   (documentation: {url}/docs)")
    if token is None:
        known = "there is one already: `jornada keys list`; `jornada keys create --help` makes another"
        out.print(f"API key    {as_typed_here(known)}", markup=False, soft_wrap=True)
    else:
        out.print(f"API key    [bold]{token}[/]   (tenant {FIRST_TENANT}, all scopes; shown only now)", soft_wrap=True)
    out.print(f"E-mails    {_mail(settings)}")
    if settings.webhook_allow_private:
        out.print("Webhooks   may go to this machine, because this is development")
    out.print("A first event, and what became of it:\n")
    out.print(_first_steps(url, token or "jrn_…", settings.default_currency), markup=False, soft_wrap=True)
    out.print("Ctrl-C ends it; what was taken is kept.")
    out.file.flush()


def _first_steps(url: str, key: str, currency: str) -> str:
    """Lines to paste into a shell."""
    data = {"order_id": "1001", "amount": "129.90", "currency": currency}
    event = {"id": "order-1001-paid", "type": "purchase", "customer_id": "c-42", "data": data}
    auth = '-H "Authorization: Bearer $JORNADA_KEY"'
    return (
        f"  export JORNADA_KEY='{key}'\n"
        f"  curl -i {url}/v1/events {auth} \\\n    -d '{json.dumps(event)}'\n"
        f"  curl -s {url}/v1/customers/c-42/stage-changes {auth}\n"
    )


def _mail(settings: Settings) -> str:
    if settings.delivery == "files":
        return f"are written to {settings.outbox_dir}/ and reach nobody (JORNADA_DELIVERY changes that)"
    return f"go out through {settings.delivery} delivery"
