"""SQLite through aiosqlite: one writer at a time, readers beside it, every commit synced to disk."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import CursorResult, Executable, Table, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.db.port import DatabaseConflict, DatabaseRefused, DatabaseUnavailable, Row, check_open
from shared.db.transaction import CoreTransaction, joined, qualified

_MAX_VARIABLES = 30_000
_MAX_ROWS = 2_000
_BUSY_MS = 10_000
_RETRY_SECONDS = 0.01


class SqliteTransaction(CoreTransaction):
    """The primitives as statements over VALUES, cut where SQLite's number of variables ends."""

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        with _values_that_fit():
            return await super().execute(statement, parameters)

    async def _write(
        self, statement: str, table: Table, columns: Sequence[str], rows: Sequence[Row], *, fetch: bool = False
    ) -> list[Row]:
        with _values_that_fit():
            return await super()._write(statement, table, columns, rows, fetch=fetch)

    def _chunks(
        self, statement: str, table: Table, columns: Sequence[str], rows: Sequence[Row]
    ) -> list[tuple[str, tuple[Any, ...]]]:
        size = min(_MAX_ROWS, _MAX_VARIABLES // len(columns))
        one = f"({', '.join('?' * len(columns))})"
        chunks = []
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            source = "VALUES " + ", ".join([one] * len(part))
            chunks.append((statement.replace("{source}", source), tuple(value for row in part for value in row)))
        return chunks

    def _select_text(self, table: Table, key: Sequence[str], columns: Sequence[str]) -> str:
        # CROSS JOIN keeps this order: look the few keys up in the index, never scan the table.
        on = joined("t", "k", key)
        return f'{_keys(key)} SELECT {qualified("t", columns)} FROM k CROSS JOIN "{table.name}" AS t WHERE {on}'

    def _update_text(self, table: Table, key: Sequence[str], columns: Sequence[str]) -> str:
        changes = ", ".join(f'"{name}" = k."{name}"' for name in columns if name not in key)
        return f'{_keys(columns)} UPDATE "{table.name}" SET {changes} FROM k WHERE {joined(table.name, "k", key)}'

    def _delete_text(self, table: Table, key: Sequence[str]) -> str:
        on = joined("t", "k", key)
        found = f'SELECT t.rowid FROM k CROSS JOIN "{table.name}" AS t WHERE {on}'
        return f'{_keys(key)} DELETE FROM "{table.name}" WHERE rowid IN ({found}) RETURNING 1'


def _keys(key: Sequence[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in key)
    return f"WITH k({listed}) AS ({{source}})"


class SqliteDatabase:
    """One file. Writers queue here rather than in SQLite's busy loop, so that they are served in order."""

    dialect = "sqlite"

    def __init__(self, url: str, readers: int) -> None:
        self._writing = asyncio.Lock()
        self._is_closed = False
        self._writer = _engine(url, 1, "BEGIN IMMEDIATE", read_only=False)
        self._readers = _engine(url, readers, "BEGIN", read_only=True)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteTransaction]:
        check_open(self._is_closed)
        async with kinds_of_error(), self._writing:
            async with self._writer.begin() as connection:
                opened = SqliteTransaction(connection)
                yield opened
            opened.committed()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqliteTransaction]:
        check_open(self._is_closed)
        async with kinds_of_error(), self._readers.connect() as connection:
            yield SqliteTransaction(connection)

    async def ping(self) -> None:
        try:
            async with asyncio.timeout(3), self.reading() as connection:
                await connection.execute(text("SELECT 1"))
        except TimeoutError:
            raise DatabaseUnavailable("the database did not answer within 3 s") from None

    async def close(self) -> None:
        self._is_closed = True
        await self._writer.dispose()
        await self._readers.dispose()


def _engine(url: str, size: int, begin: str, *, read_only: bool) -> AsyncEngine:
    engine = create_async_engine(url, hide_parameters=True, pool_size=size, max_overflow=0, pool_timeout=60)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        # The driver's own BEGIN is deferred and would fail at the first write while somebody else writes.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        else:
            _use_wal(connection, cursor)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_explicitly(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _use_wal(connection: Any, cursor: Any) -> None:
    """Switch the file to a write-ahead log, which it then stays.

    Two processes that open a new file at once are in each other's way here, and SQLite does not wait: try again.
    """
    give_up_at = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
        connection.run_async(lambda _driver: asyncio.sleep(_RETRY_SECONDS))


@asynccontextmanager
async def kinds_of_error() -> AsyncIterator[None]:
    """Inside, the driver's errors become DatabaseConflict, DatabaseUnavailable and DatabaseRefused."""
    try:
        yield
    except DBAPIError as error:
        raise _kind(error) from error
    except (OSError, TimeoutError) as error:
        raise DatabaseUnavailable(f"the database file can't be used: {error or type(error).__name__}") from error
    except SQLAlchemyError as error:
        raise DatabaseRefused(str(error)) from error


@contextmanager
def _values_that_fit() -> Iterator[None]:
    """The driver raises these itself, before SQLite sees the value; PostgreSQL's wraps them in an error of its own."""
    try:
        yield
    except (OverflowError, UnicodeError) as error:
        raise DatabaseRefused(f"the database can't keep a value: {error}") from error


def _kind(error: DBAPIError) -> Exception:
    message = str(error.orig)
    if "locked" in message or "busy" in message:
        return DatabaseConflict(f"another process holds the database file: {message}")
    if isinstance(error, OperationalError) and any(word in message for word in ("disk", "unable to open", "readonly")):
        return DatabaseUnavailable(f"the database file can't be used: {message}")
    if "file is not a database" in message:
        return DatabaseRefused("the file that JORNADA_DATABASE_URL names is no SQLite database; name another")
    return DatabaseRefused(f"the database refused it: {message}")
