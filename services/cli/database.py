"""What commands need of the database and the log: opened for the length of one command, and checked before use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy import make_url

from migrations.running import current, head
from shared.db.connect import connect
from shared.db.port import Database
from shared.errors import Permanent
from shared.log.connect import open_log
from shared.log.port import Log
from shared.settings import Settings


class SchemaDiffers(Permanent):
    """The database's tables are not those that this version works with."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The database, for one command. Raises SchemaDiffers, DatabaseUnavailable, DatabaseRefused."""
    await check_revision(settings.database_url)
    database = connect(settings.database_url, settings.database_pool_size)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def opened_with_log(settings: Settings) -> AsyncIterator[tuple[Database, Log]]:
    """The database and the log, for one command. Raises SchemaDiffers, DatabaseUnavailable, DatabaseRefused."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened(settings))
        log = open_log(settings, database)
        stack.push_async_callback(log.close)
        yield database, log


async def revision(url: str) -> str | None:
    """The revision that a database is at; None when it has no tables yet. Makes no file. Raises DatabaseUnavailable,
    DatabaseRefused."""
    return None if _is_missing_file(url) else await current(url)


async def check_revision(url: str) -> None:
    """Raises SchemaDiffers unless the database is at the newest revision; DatabaseUnavailable, DatabaseRefused."""
    found, wanted = await revision(url), head()
    if found is None and _is_missing_file(url):
        raise SchemaDiffers(_nowhere(url))
    if found is None:
        raise SchemaDiffers("the database has no tables yet; run `jornada migrate` (`jornada up` does it by itself)")
    if found != wanted:
        raise SchemaDiffers(f"the database is at revision {found}, this version works with {wanted}: `jornada migrate`")


def _nowhere(url: str) -> str:
    return (
        f"there is no database at {Path(str(make_url(url).database)).absolute()}: start in the folder where `jornada up` runs, "
        "or set JORNADA_DATABASE_URL; `jornada migrate` makes a new one"
    )


def _is_missing_file(url: str) -> bool:
    path = make_url(url).database
    return url.startswith("sqlite") and bool(path) and not Path(str(path)).exists()
