"""What both dialects share: a transaction over an async connection, and chunks of rows into statements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import CursorResult, Executable, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.port import Action, Row, Write


class CoreTransaction(ABC):
    """Runs the set-based primitives; a dialect supplies the text of each statement."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._calls: list[Callable[[], None]] = []

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        return await self._connection.execute(statement, parameters)

    def after_commit(self, call: Callable[[], None]) -> None:
        self._calls.append(call)

    def committed(self) -> None:
        """Called by the dialect once the commit has returned."""
        for call in self._calls:
            call()

    async def write_all(self, writes: Sequence[Write]) -> None:
        for write in writes:
            await self._write(self._text(write), write.table, write.columns, write.rows)

    def _text(self, write: Write) -> str:
        """The statement of one write, with `{source}` for its rows."""
        key = [column.name for column in write.table.primary_key.columns]
        head = f"{self._insert_head(write.table, write.columns)} {{source}}"
        if write.action is Action.INSERT:
            return head
        if write.action is Action.INSERT_NEW:
            return f"{head} ON CONFLICT DO NOTHING"
        if write.action is Action.DELETE:
            return self._delete_text(write.table, write.columns)
        if write.action is Action.UPDATE:
            return self._update_text(write.table, key, write.columns)
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in write.columns if name not in key)
        return f"{head} ON CONFLICT ({_names(key)}) " + (f"DO UPDATE SET {changes}" if changes else "DO NOTHING")

    async def insert(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        await self.write_all([Write(Action.INSERT, table, columns, rows)])

    async def insert_new(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], returning: Sequence[str]
    ) -> list[Row]:
        statement = f"{self._text(Write(Action.INSERT_NEW, table, columns, rows))} RETURNING {_names(returning)}"
        return await self._write(statement, table, columns, rows, fetch=True)

    async def upsert(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        await self.write_all([Write(Action.UPSERT, table, columns, rows)])

    async def select_many(
        self, table: Table, key: Sequence[str], keys: Sequence[Row], columns: Sequence[str]
    ) -> list[Row]:
        return await self._write(self._select_text(table, key, columns), table, key, keys, fetch=True)

    async def delete_many(self, table: Table, key: Sequence[str], keys: Sequence[Row]) -> int:
        deleted = await self._write(self._delete_text(table, key), table, key, keys, fetch=True)
        return len(deleted)

    async def _write(
        self, statement: str, table: Table, columns: Sequence[str], rows: Sequence[Row], *, fetch: bool = False
    ) -> list[Row]:
        fetched: list[Row] = []
        for text, parameters in self._chunks(statement, table, columns, rows):
            result = await self._connection.exec_driver_sql(text, parameters)
            if fetch:
                fetched.extend(tuple(row) for row in result)
        return fetched

    @staticmethod
    def _insert_head(table: Table, columns: Sequence[str]) -> str:
        return f'INSERT INTO "{table.name}" ({_names(columns)})'

    @abstractmethod
    def _chunks(
        self, statement: str, table: Table, columns: Sequence[str], rows: Sequence[Row]
    ) -> list[tuple[str, tuple[Any, ...]]]:
        """Fill `{source}` of the statement with the rows: one statement or several, each with its parameters."""

    @abstractmethod
    def _select_text(self, table: Table, key: Sequence[str], columns: Sequence[str]) -> str:
        """SELECT of `columns` joined to the keys in `{source}`."""

    @abstractmethod
    def _update_text(self, table: Table, key: Sequence[str], columns: Sequence[str]) -> str:
        """UPDATE of the rows named by the key columns in `{source}` to its other columns."""

    @abstractmethod
    def _delete_text(self, table: Table, key: Sequence[str]) -> str:
        """DELETE of the rows named by the keys in `{source}`, returning 1 for each."""


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def joined(left: str, right: str, key: Sequence[str]) -> str:
    """`left.a = right.a AND …` over the key columns."""
    return " AND ".join(f'{left}."{name}" = {right}."{name}"' for name in key)


def qualified(alias: str, columns: Sequence[str]) -> str:
    """`alias.a, alias.b, …`"""
    return ", ".join(f'{alias}."{name}"' for name in columns)


def names(columns: Sequence[str]) -> str:
    """`"a", "b", …`"""
    return _names(columns)
