"""Brings a database to a revision. Waits for its locks a little and gives up rather than queue up behind readers."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from shared.db.connect import kinds_of_error

_LOCK_TIMEOUT = "5s"


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision there is."""
    revision = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert revision is not None
    return revision


async def migrate(url: str, revision: str = "head") -> None:
    """Upgrade, or downgrade when `revision` is older. Raises DatabaseConflict, DatabaseUnavailable, DatabaseRefused."""
    path = make_url(url).database
    if url.startswith("sqlite") and path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url)
    try:
        async with kinds_of_error(url), engine.begin() as connection:
            await connection.run_sync(_run, revision)
    finally:
        await engine.dispose()


async def current(url: str) -> str | None:
    """The revision that a database is at; None when it was never migrated. Raises DatabaseUnavailable,
    DatabaseRefused."""
    engine = create_async_engine(url)
    try:
        async with kinds_of_error(url), engine.connect() as connection:
            return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    finally:
        await engine.dispose()


def _run(connection: Connection, revision: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    config = alembic_config(connection)
    if revision in ("base", "-1") or _is_older(connection, revision):
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def _is_older(connection: Connection, revision: str) -> bool:
    if revision == "head":
        return False
    scripts = ScriptDirectory.from_config(alembic_config())
    now = MigrationContext.configure(connection).get_current_revision()
    return now is not None and revision in {each.revision for each in scripts.iterate_revisions(now, "base")} - {now}
