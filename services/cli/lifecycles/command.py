"""`jornada lifecycle …`: lint, try and draw a lifecycle file, before anybody moves by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import CommandGroup, console
from services.cli.lifecycles import backtest, linting, planning, publishing, simulation
from services.cli.lifecycles.files import checked, gather, rules_of
from services.cli.lifecycles.formats import Format, Written, say_json, say_note
from services.cli.lifecycles.stories import read_story
from services.stage_engine.definitions.definition import load_definition, shipped_or_path
from services.stage_engine.definitions.diagram import mermaid, terminal
from services.stage_engine.definitions.schema import json_schema
from services.stage_engine.simulating.story import end_of, passed_over, paths, unread_types
from shared.contracts.money import MINOR_UNIT_EXPONENT
from shared.errors import Permanent
from shared.settings import load

lifecycle = typer.Typer(
    cls=CommandGroup, help="Lifecycle files: check them, try them on a story, draw them.", no_args_is_help=True
)


File = Annotated[str, typer.Argument(metavar="FILE", help="a YAML file, or the name of a shipped lifecycle")]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="FILE",
        help="another lifecycle whose stages are read; may be given again. Shipped ones are found by themselves",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    publishing.add_to(lifecycle)
    planning.add_to(lifecycle)
    backtest.add_to(lifecycle)
    app.add_typer(lifecycle, name="lifecycle")


@lifecycle.command("lint")
def lint(
    file: File,
    beside: With = None,
    strict: Annotated[bool, typer.Option("--strict", help="exit with 1 for warnings too")] = False,
    written: Written = Format.TEXT,
) -> None:
    """Tell what is wrong with a lifecycle file, and what is hardly meant.

    Errors: whatever would keep an engine from starting with it, and campaigns that wait for stages which it does not
    have. Warnings: stages that nobody can reach, dead ends, transitions that are never taken, circles, facts that nothing
    reads.

    Exit code: 0 without errors; 1 with errors, or with warnings under --strict, or when there is no such file.
    """
    report = linting.check(file, beside or [], load())
    if written is Format.JSON:
        say_json(report.as_json())
    else:
        linting.show(console(), report)
    raise typer.Exit(1 if report.errors or (strict and report.warnings) else 0)


@lifecycle.command("diagram")
def diagram(
    file: File,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Mermaid text, for a page or a repository")] = False,
    written: Written = Format.TEXT,
) -> None:
    """Draw a lifecycle: its stages in order and what leads from one to another. Programs get the Mermaid text."""
    definition = load_definition(shipped_or_path(file))
    if written is Format.JSON:
        drawn = {"lifecycle": definition.name, "mermaid": mermaid(definition)}
        say_json(drawn)
    elif as_mermaid:
        typer.echo(mermaid(definition))
    else:
        console().print(terminal(definition), markup=False, soft_wrap=True)


@lifecycle.command("simulate")
def simulate(
    file: File,
    events: Annotated[
        Path, typer.Option(metavar="STORY", help="a file with one event a line, as POST /v1/events takes it")
    ],
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="how long to watch: 2026-12-31T00:00:00Z, or 90d after the last event"),
    ] = None,
    beside: With = None,
    currency: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="ISO 4217: the one that money is counted in [JORNADA_DEFAULT_CURRENCY]"),
    ] = None,
    written: Written = Format.TEXT,
) -> None:
    """Let the customers of a story live through it, and show every decision. Needs no server and changes nothing.

    Each line needs a time. A customer's lines count in the order of the file: one from before an earlier line comes late.

    Exit code: 0; 1 when the file or a line of the story is wrong: every one is told.
    """
    gathered = checked(gather([file, *(beside or [])]))
    rules, story = rules_of(gathered.definitions, _currency(currency)), read_story(events)
    for note in [*gathered.notes(), *unread_types(rules, story), *passed_over(rules, story)]:
        say_note(note)
    try:
        end_ms = end_of(story, until)
    except ValueError as error:
        raise Permanent(f"--until: {error}") from None
    found = paths(rules, story, end_ms)
    if written is Format.JSON:
        say_json([path.as_json() for path in found])
    else:
        simulation.show(console(), found)


@lifecycle.command("schema")
def schema() -> None:
    """The JSON Schema of lifecycle files, for editors that complete and check YAML."""
    say_json(json_schema())


def _currency(code: str | None) -> str:
    if code is None:
        return load().default_currency
    if code not in MINOR_UNIT_EXPONENT:
        raise Permanent(f"--currency: {code!r} is no ISO 4217 code; write one such as BRL, USD or EUR")
    return code
