"""The migrated schema is the declared one, on both databases, and every migration can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from migrations.running import current, head, migrate
from services.cli.tables import declared
from shared.db.port import DatabaseRefused, DatabaseUnavailable


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


@pytest.mark.parametrize(
    ("wrong", "kind", "told"),
    [
        ({"password": "wrong"}, DatabaseRefused, "password authentication failed"),
        ({"database": "nonesuch"}, DatabaseRefused, "does not exist"),
        ({"port": 1}, DatabaseUnavailable, "can't be reached"),
    ],
)
async def test_what_waiting_never_mends_is_told_apart_from_a_server_that_is_away(
    postgres_url: str, wrong: dict[str, Any], kind: type[Exception], told: str
) -> None:
    url = make_url(postgres_url).set(**wrong).render_as_string(hide_password=False)
    with pytest.raises(kind, match=told):
        await current(url)
    with pytest.raises(kind, match=told):
        await migrate(url)


async def test_a_migration_that_the_database_does_not_take_is_refused(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE log_records (other INTEGER)"))
    await engine.dispose()
    with pytest.raises(DatabaseRefused, match="already exists"):
        await migrate(url)
