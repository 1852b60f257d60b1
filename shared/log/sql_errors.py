"""How the database's errors become the log's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import Permanent, Transient
from shared.log.port import LogError, LogRefused, LogUnavailable


@asynccontextmanager
async def log_errors(doing: str) -> AsyncIterator[None]:
    """Inside, errors of the database turn into LogUnavailable and LogRefused that say what was being done."""
    try:
        yield
    except LogError:
        raise
    except Transient as error:
        raise LogUnavailable(f"{doing} failed, try again: {error}") from error
    except Permanent as error:
        raise LogRefused(f"{doing} was refused: {error}") from error
