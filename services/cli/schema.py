"""`jornada migrate` and `jornada topics`: what must be there before services start."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from migrations.running import current
from migrations.running import migrate as run_migrations
from services.cli.console import CommandGroup, console
from services.cli.database import opened_with_log
from shared.contracts.topics import TopicSpec, topic_specs
from shared.settings import Settings, load

topics = typer.Typer(cls=CommandGroup, help="The log's topics.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("migrate")(migrate)
    app.add_typer(topics, name="topics")


def migrate(
    to: Annotated[str, typer.Option("--to", metavar="REV", help="revision to go to; an older one goes back")] = "head",
) -> None:
    """Bring the database to the newest revision, or to the one given."""
    settings = load()
    asyncio.run(run_migrations(settings.database_url, to))
    console().print(f"the database is at revision {asyncio.run(current(settings.database_url)) or 'base (no tables)'}")


@topics.callback()
def _topics() -> None:
    """The log's topics."""


@topics.command("create")
def create() -> None:
    """Create the topics that are missing, and check the others: a changed partition count is refused."""
    settings = load()
    specs = topic_specs(settings.partitions)
    asyncio.run(_create(settings, specs))
    for spec in specs:
        kept = "the last record of each key" if spec.compacted else "30 days"
        console().print(f"{spec.topic}  {spec.partitions} partitions, keeps {kept}")


async def _create(settings: Settings, specs: tuple[TopicSpec, ...]) -> None:
    async with opened_with_log(settings) as (_, log):
        await log.ensure_topics(specs)
