"""Where commands print to, and how an error reaches a person: one clear message, no traceback, exit code 1."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from shared.errors import Permanent, Poison, Transient
from shared.http.server import ServiceFailed

INTERRUPTED = 130
"""The exit code after Ctrl-C."""
_WIDTH_WITHOUT_TERMINAL = 140
_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_COMMAND_IN_TEXT = re.compile(r"(?<=`)jornada(?= )")


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
    shown.print(as_typed_here(message), markup=False)


def as_typed_here(text: str) -> str:
    """Text for people in which each `jornada …` is what works when it is typed here."""
    return _COMMAND_IN_TEXT.sub(lambda _: program(), text)


def program() -> str:
    """How this command is called from here: `jornada` when that finds us, or else the path of our script."""
    script = _script()
    found = shutil.which("jornada")
    if script is None or (found and os.path.realpath(found) == os.path.realpath(script)):
        return "jornada"
    try:
        return str(Path(os.path.abspath(script)).relative_to(Path.cwd()))
    except ValueError:
        return os.path.abspath(script)


def _script() -> Path | None:
    """Our script: the one that was called, or for `python -m` of a module of ours that beside this Python."""
    called = Path(sys.argv[0])
    if called.name == "jornada":
        return called if called.exists() else None
    ours = any(called.resolve().is_relative_to(_PROJECT_ROOT / folder) for folder in ("services", "deploy"))
    beside = Path(sys.executable).with_name("jornada")
    return beside if ours and beside.exists() else None
