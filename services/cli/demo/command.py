"""`jornada demo`: the story on the embedded default, in a fresh folder, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from services.cli.console import console
from services.cli.demo import story
from services.cli.demo.shop import Addresses
from services.cli.demo.telling import Stage, tell
from services.cli.processes import SERVICES, open_resources, start_logging
from services.cli.serving import first_key, prepare
from shared.errors import Permanent
from shared.http.app import create_app
from shared.http.server import running
from shared.settings import Settings

DATABASE_FILE = "jornada.db"
SETTLE_SECONDS = 2.0
"""An import is over sooner than by default, so that its timer need not be waited for as long."""
Folder = Annotated[Path, typer.Option(help="made anew; keeps the database, the e-mails and the log of the run")]
Patience = Annotated[float, typer.Option(min=1, help="seconds after which what has not come about has failed")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("demo")(demo)


def demo(folder: Folder = Path(".run/demo"), patience: Patience = 60.0) -> None:
    """Show the whole service at work: post a story, watch it, and check what came of it. Ends by itself in seconds."""
    out = console()
    make_anew(folder)
    log = folder / "services.log"
    with log.open("w", encoding="utf-8") as file, contextlib.redirect_stderr(file):
        found = asyncio.run(_run(out, _settings(folder), patience))
    out.print(f"[dim]database, e-mails and the services' log are in {folder}/[/]", soft_wrap=True)
    raise typer.Exit(1 if found else 0)


def make_anew(folder: Path) -> None:
    """An empty folder. Raises Permanent rather than remove one that no demo has made."""
    if folder.exists() and any(folder.iterdir()) and not (folder / DATABASE_FILE).exists():
        raise Permanent(f"{folder} holds something that no demo has made; name another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _settings(folder: Path) -> Settings:
    """The embedded default, whatever the environment says: a demo must never reach anybody's servers or customers."""
    port = _free_port()
    return Settings(
        **_defaults()
        | {
            "database_url": f"sqlite+aiosqlite:///{folder / DATABASE_FILE}",
            "http_port": port,
            "public_url": f"http://127.0.0.1:{port}",
            "outbox_dir": folder / "outbox",
            "webhook_allow_private": True,
            "backfill_settle_seconds": SETTLE_SECONDS,
        }
    )


def _defaults() -> dict[str, Any]:
    return {name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()}


def _free_port() -> int:
    """Known before the services are built, because the links in e-mails carry it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _run(out: Console, settings: Settings, patience_seconds: float) -> list[str]:
    start_logging(settings)
    out.print("[bold]Jornada[/]: ingest, stage engine and notifier in one process, on SQLite")
    await prepare(settings)
    async with AsyncExitStack() as stack:
        resources = await open_resources(settings, stack)
        built = [build(resources) for build in SERVICES.values()]
        url = await stack.enter_async_context(running(create_app(built, resources), built, settings))
        out.print(f"serving at {url}")
        token = await first_key(resources.database, settings)
        assert token is not None
        return await tell(
            out, story.STORY, Stage(Addresses(url, url, url), token, settings.outbox_dir, patience_seconds)
        )
