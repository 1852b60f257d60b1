"""`jornada lifecycle …`: lint, try and draw a lifecycle file, before anybody moves by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import CommandGroup, console
from services.cli.lifecycles import linting, publishing, simulation
from services.cli.lifecycles.files import read_story, read_together, rules_of
from services.cli.lifecycles.formats import Format, Written
from services.stage_engine.definitions.schema import json_schema
from shared.settings import load

lifecycle = typer.Typer(
    cls=CommandGroup, help="Lifecycle files: check them, try them on a story, draw them.", no_args_is_help=True
)


File = Annotated[str, typer.Argument(metavar="FILE", help="a YAML file, or the name of a shipped lifecycle")]
With = Annotated[
    list[str] | None, typer.Option("--with", help="another lifecycle whose stages are read; may be given again")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    publishing.add_to(lifecycle)
    app.add_typer(lifecycle, name="lifecycle")


@lifecycle.command("lint")
def lint(
    file: File,
    beside: With = None,
    strict: Annotated[bool, typer.Option("--strict", help="exit 1 for warnings too")] = False,
    written: Written = Format.TEXT,
) -> None:
    """Tell what is wrong with a lifecycle file, and what is hardly meant.

    Errors: whatever would keep an engine from starting with it, and campaigns that wait for stages which it does not
    have. Warnings: unreachable stages, dead ends, transitions that never win, circles, facts that nothing reads. Exits 1
    for an error.
    """
    report = linting.check(file, beside or [], load())
    if written is Format.JSON:
        typer.echo(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        linting.show(console(), report)
    raise typer.Exit(1 if report.errors or (strict and report.warnings) else 0)


@lifecycle.command("simulate")
def simulate(
    file: File,
    events: Annotated[Path, typer.Option(help="a story: one event a line, as POST /v1/events takes it")],
    until: Annotated[
        str | None, typer.Option(help="let time go by until then: RFC 3339, or 90d after the last event")
    ] = None,
    beside: With = None,
    currency: Annotated[str, typer.Option(help="ISO 4217: the one that money is counted in")] = "BRL",
    written: Written = Format.TEXT,
) -> None:
    """Let the customers of a story live through it, and show every decision. Needs no server and changes nothing."""
    rules = rules_of(read_together([file, *(beside or [])]), currency)
    story = read_story(events)
    paths = simulation.paths(rules, story, simulation.end_of(story, until))
    if written is Format.JSON:
        typer.echo(json.dumps([path.as_json() for path in paths], ensure_ascii=False, indent=2))
    else:
        simulation.show(console(), paths)


@lifecycle.command("schema")
def schema() -> None:
    """The JSON Schema of lifecycle files, for editors that complete and check YAML."""
    typer.echo(json.dumps(json_schema(), ensure_ascii=False, indent=2))
