"""The `jornada` command: one file for each group of commands, put together here."""

from __future__ import annotations

import typer

from services.cli import dead_letters, keys, schema, serving, tenants
from services.cli.console import CommandGroup, as_typed_here, program
from services.cli.demo import command as demo
from services.cli.doctor import command as doctor
from services.cli.importing import command as importing
from services.cli.lifecycles import command as lifecycles
from services.cli.lifecycles import explaining, rebuilding

app = typer.Typer(
    cls=CommandGroup,
    help="Jornada keeps every customer's lifecycle stage, says why it changed, and fires the campaign that fits, once.\n\n"
    "Settings come from the environment (JORNADA_…) or from the file that JORNADA_SETTINGS names; "
    + as_typed_here("`jornada doctor` shows those in force."),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (
    serving,
    schema,
    keys,
    tenants,
    dead_letters,
    lifecycles,
    explaining,
    rebuilding,
    demo,
    doctor,
    importing,
):
    group.add_to(app)


def main() -> None:
    """Entry point of `jornada`."""
    app(prog_name=program())


if __name__ == "__main__":
    main()
