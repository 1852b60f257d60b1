"""The migrated schema is the declared one, on both databases, and every migration can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from migrations.running import current, head, migrate
from services.cli.tables import declared


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/jornada.db"
    else:
        yield request.getfixturevalue("postgres_url")


async def _ask(url: str, question: str) -> list[object]:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_differences if question == "differences" else _tables)
    finally:
        await engine.dispose()


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, declared()))


def _tables(connection: Connection) -> list[object]:
    return [name for name in inspect(connection).get_table_names() if name != "alembic_version"]


async def test_migrated_schema_is_the_declared_one(url: str) -> None:
    await migrate(url)
    assert await current(url) == head()
    assert await _ask(url, "differences") == []
    assert set(await _ask(url, "tables")) == set(declared().tables)


async def test_migrations_run_down_and_up_again(url: str) -> None:
    await migrate(url)
    await migrate(url, "base")
    assert await _ask(url, "tables") == []
    await migrate(url)
    assert await _ask(url, "differences") == []


async def test_migrating_twice_changes_nothing(url: str) -> None:
    await migrate(url)
    await migrate(url)
    assert await _ask(url, "differences") == []
