"""Which database a URL means, and how its errors are told apart."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from sqlalchemy import make_url

from shared.db import postgres, sqlite
from shared.db.port import Database
from shared.db.postgres import PostgresDatabase
from shared.db.sqlite import SqliteDatabase
from shared.errors import Permanent


def connect(url: str, pool_size: int = 10) -> Database:
    """Open `postgresql+asyncpg://…` or `sqlite+aiosqlite:///file`. Connects lazily. Raises Permanent for another URL."""
    parsed = make_url(url)
    if parsed.drivername == "postgresql+asyncpg":
        return PostgresDatabase(url, pool_size)
    if parsed.drivername == "sqlite+aiosqlite" and parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        return SqliteDatabase(url, pool_size)
    raise Permanent(
        f"the database URL starts with {parsed.drivername!r}; write postgresql+asyncpg://user:password@host/name "
        "or sqlite+aiosqlite:///path/to/file.db"
    )


def kinds_of_error(url: str) -> AbstractAsyncContextManager[None]:
    """Inside, what the driver of a URL's database raises becomes what `Database` raises; for work on the driver itself."""
    dialect = make_url(url).get_backend_name()
    return postgres.kinds_of_error() if dialect == "postgresql" else sqlite.kinds_of_error()
