"""`jornada lifecycle publish|rollback|history|diff`: from one version to the next while everything runs."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.console import console
from services.cli.database import opened, opened_with_log
from services.cli.lifecycles import linting
from services.cli.lifecycles.formats import Format, Written, say_json
from services.stage_engine.api.lifecycle_forms import PublishedOut, told_publication
from services.stage_engine.definitions.definition import Definition, load_definition, parse_definition, shipped_or_path
from services.stage_engine.definitions.differences import Difference, difference
from services.stage_engine.publications.publishing import Published, Request, earlier_version
from services.stage_engine.publications.publishing import publish as publish_version
from services.stage_engine.publications.publishing import roll_back as publish_earlier
from services.stage_engine.store import lifecycles, publications
from services.stage_engine.store.publications import Publication
from shared.contracts.times import now_ms, to_text
from shared.errors import Permanent
from shared.settings import Settings, load

Message = Annotated[str, typer.Option("--message", "-m", help="why, for those who read the history")]
Notify = Annotated[
    bool, typer.Option("--notify", help="let campaigns act on what changes; otherwise it changes silently")
]
Author = Annotated[str | None, typer.Option(help="who publishes; the user of this machine otherwise")]
Migrate = Annotated[
    list[str] | None, typer.Option(help="old=new, where customers of a stage go that is no more; may be given again")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="of a registered lifecycle")]
Side = Annotated[str, typer.Argument(help="a file, a lifecycle's name (the active version), or name@version")]


def add_to(lifecycle: typer.Typer) -> None:
    """Register the commands in `jornada lifecycle`."""
    lifecycle.command("publish")(publish)
    lifecycle.command("rollback")(rollback)
    lifecycle.command("history")(history)
    lifecycle.command("diff")(diff)


def publish(
    file: Annotated[str, typer.Argument(metavar="FILE", help="the YAML file with the new version")],
    message: Message,
    notify: Notify = False,
    migrate: Migrate = None,
    author: Author = None,
    written: Written = Format.TEXT,
) -> None:
    """Make a file the active version of its lifecycle, while everything runs.

    Each partition changes over at one place among its events. Customers meet the new rules when they are next touched, or
    by a sweep in small steps; own facts that are new or changed are computed from their history. What moves then is
    published as backfill, which no campaign acts on, unless --notify is given. `--format json` writes what
    POST /v1/lifecycles/{name}/publications answers.
    """
    definition = load_definition(shipped_or_path(file))
    settings = load()
    check_campaigns(definition, settings)
    request = Request(message, author or getpass.getuser(), now_ms(), notify, pairs(migrate))

    async def run() -> Published:
        async with opened_with_log(settings) as (database, log):
            return await publish_version(database, log, definition, request)

    _say(asyncio.run(run()), written)


def rollback(
    name: Name,
    message: Message,
    to: Annotated[int | None, typer.Option(help="a version; the one active before otherwise")] = None,
    notify: Notify = False,
    migrate: Migrate = None,
    author: Author = None,
    written: Written = Format.TEXT,
) -> None:
    """Publish an earlier version again. It is checked and told as `publish` does."""
    settings = load()
    request = Request(message, author or getpass.getuser(), now_ms(), notify, pairs(migrate))

    async def run() -> Published:
        async with opened_with_log(settings) as (database, log):
            target, version = await earlier_version(database, name, to)
            check_campaigns(target, settings)
            return await publish_earlier(database, log, name, version, request)

    _say(asyncio.run(run()), written)


def history(name: Name, written: Written = Format.TEXT) -> None:
    """What was published of a lifecycle, when, by whom and why; the last one is active."""

    async def run() -> list[Publication]:
        async with opened(load()) as database, database.reading() as transaction:
            return await publications.of_lifecycle(transaction, name)

    found = asyncio.run(run())
    if not found:
        raise Permanent(f"no lifecycle {name!r} was ever registered; an engine does so when it starts")
    if written is Format.JSON:
        say_json([_told(each) for each in found])
        return
    table = Table("published", "version", "by", "why", "migrate", "notify")
    for each in found:
        moved = ", ".join(f"{old} → {new}" for old, new in each.migrate.items())
        version = f"{each.version}" + (" (active)" if each is found[-1] else "")
        written_by_people = Text(each.author), Text(each.message)
        when, notify = to_text(each.created_ms)[:19] + "Z", "yes" if each.notify else ""
        table.add_row(when, version, *written_by_people, moved, notify)
    console().print(table)


def diff(before: Side, after: Side, written: Written = Format.TEXT) -> None:
    """What differs between two versions: stages, transitions and facts, and the lines of the text. Exits 1 when anything does."""
    old, new = asyncio.run(_side(before)), asyncio.run(_side(after))
    found = difference(old, new)
    if written is Format.JSON:
        say_json(found.as_json())
    else:
        _show_difference(console(), found)
    raise typer.Exit(1 if found.lines else 0)


async def _side(side: str) -> Definition:
    """A file, or a stored version. Raises Permanent."""
    name, _, version = side.partition("@")
    if side.endswith((".yaml", ".yml")) or "/" in side:
        return load_definition(shipped_or_path(side))
    async with opened(load()) as database, database.reading() as transaction:
        stored = {str(each.version): each for each in await lifecycles.of_name(transaction, name)}
        active = await publications.active(transaction)
    wanted = version or str(active.get(name, ""))
    if wanted not in stored:
        there = ", ".join(f"{name}@{each}" for each in stored) or "none"
        raise Permanent(f"there is no {side!r}; stored are: {there}. A path to a YAML file works too")
    return parse_definition(f"{name}@{wanted}", stored[wanted].body)


def pairs(migrate: list[str] | None) -> dict[str, str]:
    """What --migrate says, old stage to new one. Raises Permanent for what is not written old=new."""
    given = [each.partition("=") for each in migrate or []]
    if wrong := [old for old, equals, new in given if not (equals and old and new)]:
        raise Permanent(f"--migrate {wrong[0]}: write old=new")
    return {old: new for old, _, new in given}


def check_campaigns(definition: Definition, settings: Settings) -> None:
    """Raises Permanent when a campaign waits for a stage that it lacks."""
    if wrong := linting.campaign_problems(definition, settings):
        raise Permanent("\n".join(wrong))


def _say(published: Published, written: Format) -> None:
    told, out = published.publication, console()
    if written is Format.JSON:
        answer = PublishedOut(**told_publication(told), new=published.new)
        say_json(answer.model_dump())
        return
    if not published.new:
        out.print(f"{told.lifecycle} version {told.version} is active already; it was announced again")
        return
    out.print(
        f"[bold]{told.lifecycle} version {told.version}[/] is published ({told.publish_id}). Customers meet it when they are "
        "next touched, and the others within moments by a sweep."
    )


def _told(each: Publication) -> dict[str, Any]:
    return {**each._asdict(), "migrate": dict(each.migrate), "created_at": to_text(each.created_ms)}


def _show_difference(out: Console, found: Difference) -> None:
    for what, kinds in found.parts.items():
        for kind, names in kinds.items():
            if names:
                out.print(f"{what} {kind}: {', '.join(names)}")
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in found.lines:
        out.print(line, style=colours.get(line[:1]), markup=False)
    if not found.lines:
        out.print("they are the same")
