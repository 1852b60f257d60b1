"""Where commands print to, and how an error reaches a person: one clear message, no traceback, exit code 1."""

from __future__ import annotations

import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from shared.errors import Permanent, Poison, Transient
from shared.http.server import ServiceFailed

_WIDTH_WITHOUT_TERMINAL = 140


class CommandGroup(TyperGroup):
    """A group of commands that turns the errors somebody can act on into a message."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises typer.Exit with 1 after an error of a known kind."""
        try:
            return super().invoke(ctx)
        except (Permanent, Poison, ServiceFailed) as error:
            say_error(str(error))
        except Transient as error:
            say_error(f"{error}\nThe same command may work in a moment; `jornada doctor` tells what does not answer.")
        raise typer.Exit(1)


def console() -> Console:
    """Standard output as it is now; wide enough for tables where nobody's terminal says how wide it is."""
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def say_error(message: str) -> None:
    """One message on standard error."""
    shown = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    shown.print("[bold red]error:[/] ", end="")
    shown.print(message, markup=False)
