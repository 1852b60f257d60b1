"""How commands write their answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """How an answer is written."""

    TEXT = "text"
    JSON = "json"


Written = Annotated[Format, typer.Option("--format", help="text for people, json for programs")]
