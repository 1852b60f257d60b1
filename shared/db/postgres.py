"""PostgreSQL through asyncpg: a batch's rows travel as one array per column, unnested by the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import BigInteger, Boolean, Float, Integer, LargeBinary, Table, Text, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import QueuePool

from shared.db.port import DatabaseConflict, DatabaseRefused, DatabaseUnavailable, Row, Write, check_open
from shared.db.transaction import CoreTransaction, joined, names, qualified

_ARRAY_TYPES: tuple[tuple[type[Any], str], ...] = (
    (BigInteger, "bigint"),
    (Integer, "integer"),
    (Text, "text"),
    (LargeBinary, "bytea"),
    (Boolean, "boolean"),
    (Float, "double precision"),
)
_CONFLICT_STATES = {"40001", "40P01", "55P03"}
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58", "25006", "25P03", "25P04", "XX")
_CONNECT_SECONDS = 5
# A process that is stopped inside a transaction holds its locks. This is shorter than the log's session time-out, so
# that they are free by the time somebody else is given its partitions.
_IDLE_IN_TRANSACTION_MS = 5_000
_COMMAND_SECONDS = 60
_RETURN_SECONDS = 10
# Whatever else a stopped process was in the midst of, such as between preparing a statement and running it, which counts
# as neither idle nor busy. Known from PostgreSQL 17 on; no transaction of ours takes a tenth of it.
_LIMIT_TRANSACTIONS = (
    "SELECT set_config('transaction_timeout', '15000', false) "
    "WHERE current_setting('server_version_num')::int >= 170000"
)


def _array_type(table: Table, column: str) -> str:
    declared = table.columns[column].type
    return next(name for kind, name in _ARRAY_TYPES if isinstance(declared, kind))


class PostgresTransaction(CoreTransaction):
    """The primitives as single statements over arrays."""

    async def write_all(self, writes: Sequence[Write]) -> None:
        """One statement: every write but the last is a WITH query of it, so that all cost a single round trip."""
        filled: list[str] = []
        parameters: list[Any] = []
        for write in writes:
            statement = self._text(write)
            for part, arrays in self._chunks(statement, write.table, write.columns, write.rows, len(parameters)):
                filled.append(part)
                parameters.extend(arrays)
        if not filled:
            return
        *before, last = filled
        named = ", ".join(f"w{number} AS ({part})" for number, part in enumerate(before))
        await self._connection.exec_driver_sql(f"WITH {named} {last}" if named else last, tuple(parameters))

    def _chunks(
        self, statement: str, table: Table, columns: Sequence[str], rows: Sequence[Row], taken: int = 0
    ) -> list[tuple[str, tuple[Any, ...]]]:
        if not rows:
            return []
        types = enumerate((_array_type(table, name) for name in columns), start=taken + 1)
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in types)
        source = f"SELECT * FROM unnest({arrays}) AS given({names(columns)})"
        return [(statement.replace("{source}", source), tuple(map(list, zip(*rows, strict=True))))]

    def _select_text(self, table: Table, key: Sequence[str], columns: Sequence[str]) -> str:
        return f'SELECT {qualified("t", columns)} FROM ({{source}}) AS k JOIN "{table.name}" AS t ON {joined("t", "k", key)}'

    def _update_text(self, table: Table, key: Sequence[str], columns: Sequence[str]) -> str:
        changes = ", ".join(f'"{name}" = k."{name}"' for name in columns if name not in key)
        return f'UPDATE "{table.name}" AS t SET {changes} FROM ({{source}}) AS k WHERE {joined("t", "k", key)}'

    def _delete_text(self, table: Table, key: Sequence[str]) -> str:
        return f'DELETE FROM "{table.name}" AS t USING ({{source}}) AS k WHERE {joined("t", "k", key)} RETURNING 1'


class PostgresDatabase:
    """A pool of connections. Plans are made for the values at hand: a generic plan made while a table was empty would
    scan it for ever after."""

    dialect = "postgresql"

    def __init__(self, url: str, pool_size: int) -> None:
        self._engine = create_async_engine(
            url,
            hide_parameters=True,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=_CONNECT_SECONDS,
            connect_args={
                "timeout": _CONNECT_SECONDS,
                "command_timeout": _COMMAND_SECONDS,
                "server_settings": {
                    "application_name": "jornada",
                    "plan_cache_mode": "force_custom_plan",
                    "jit": "off",
                    "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_MS),
                    # One that is stopped while a large answer is on its way to it is not idle; its network side is.
                    "tcp_user_timeout": str(_IDLE_IN_TRANSACTION_MS),
                    "tcp_keepalives_idle": "5",
                    "tcp_keepalives_interval": "2",
                    "tcp_keepalives_count": "3",
                },
            },
        )

        event.listen(self._engine.sync_engine, "connect", _limit_transactions)
        self._is_closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        check_open(self._is_closed)
        async with kinds_of_error():
            async with self._engine.begin() as connection:
                opened = PostgresTransaction(connection)
                yield opened
            opened.committed()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[PostgresTransaction]:
        check_open(self._is_closed)
        async with kinds_of_error(), self._engine.connect() as connection:
            snapshot: AsyncConnection = await connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            yield PostgresTransaction(snapshot)

    async def ping(self) -> None:
        try:
            async with asyncio.timeout(3), self.reading() as connection:
                await connection.execute(text("SELECT 1"))
        except TimeoutError:
            raise DatabaseUnavailable("the database did not answer within 3 s") from None

    async def close(self) -> None:
        self._is_closed = True
        # Whoever is cancelled gives a connection back a little later, behind a shield.
        pool = self._engine.pool
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RETURN_SECONDS):
                while isinstance(pool, QueuePool) and pool.checkedout():
                    await asyncio.sleep(0.01)
        await self._engine.dispose()


def _limit_transactions(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(_LIMIT_TRANSACTIONS)
    cursor.close()
    connection.commit()  # a setting goes with the transaction that made it, if that is rolled back


@asynccontextmanager
async def kinds_of_error() -> AsyncIterator[None]:
    """Inside, the driver's errors become DatabaseConflict, DatabaseUnavailable and DatabaseRefused."""
    try:
        yield
    except DBAPIError as error:
        raise _kind(error) from error
    except (PoolTimeout, OSError, TimeoutError) as error:
        raise DatabaseUnavailable(f"the database can't be reached: {error or type(error).__name__}") from error
    except SQLAlchemyError as error:
        raise DatabaseRefused(str(error)) from error


def _kind(error: DBAPIError) -> Exception:
    state = str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or "")
    if state in _CONFLICT_STATES:
        return DatabaseConflict(f"another transaction was in the way ({state})")
    lost = error.connection_invalidated or (not state and isinstance(error, InterfaceError | OperationalError))
    if lost or state.startswith(_UNAVAILABLE_CLASSES):
        return DatabaseUnavailable(f"the database connection failed: {error.orig}")
    return DatabaseRefused(f"the database refused it ({state}): {error.orig}")
