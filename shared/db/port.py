"""The database as services see it; `postgres` and `sqlite` implement it, one contract suite holds both to it.

Only set-based primitives are offered for the hot path: a batch costs a handful of statements whatever its size.
Everything else goes through `execute` with SQLAlchemy Core, which both dialects understand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any, NamedTuple, Protocol

from sqlalchemy import CursorResult, Executable, Table

from shared.errors import Permanent, Transient

Row = tuple[Any, ...]
"""Values in the order of the columns asked for."""


class Action(Enum):
    """What a set of rows is to do to a table."""

    INSERT = "insert"
    """All rows are new; a duplicate key is refused."""
    INSERT_NEW = "insert_new"
    """Rows whose key is there already are passed over."""
    UPSERT = "upsert"
    """By primary key, insert or replace the other columns given."""
    UPDATE = "update"
    """By primary key, replace the other columns given; a key that is not there does nothing."""
    DELETE = "delete"
    """Rows hold keys, in the columns given."""


class Write(NamedTuple):
    """Rows for one table. Each key may occur once among all writes to a table that are made together."""

    action: Action
    table: Table
    columns: Sequence[str]
    rows: Sequence[Row]


class DatabaseUnavailable(Transient):
    """No connection, a lost one (a commit's outcome is then unknown: read before writing again), or no room."""


def check_open(is_closed: bool) -> None:
    """Raises DatabaseUnavailable for who comes after `close`: their connection would be nobody's to close."""
    if is_closed:
        raise DatabaseUnavailable("this process has closed the database")


class DatabaseConflict(Transient):
    """Another transaction was in the way (serialisation failure, deadlock, lock time-out); nothing was written."""


class DatabaseRefused(Permanent):
    """The statement can never work with these values; nothing was written."""


class Transaction(Protocol):
    """An open transaction. All of it is committed when its block ends well, none of it otherwise."""

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        """Run one SQLAlchemy Core statement."""
        ...

    async def insert(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert all rows. Raises DatabaseRefused for a duplicate key."""
        ...

    async def insert_new(
        self, table: Table, columns: Sequence[str], rows: Sequence[Row], returning: Sequence[str]
    ) -> list[Row]:
        """Insert the rows whose keys are new, also among themselves; gives `returning` of those inserted, unordered."""
        ...

    async def upsert(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert or, by primary key, replace the other columns given. A key may occur once in `rows`."""
        ...

    async def write_all(self, writes: Sequence[Write]) -> None:
        """Make several writes at once: a single statement where the database can. Their order is not defined."""
        ...

    async def select_many(
        self, table: Table, key: Sequence[str], keys: Sequence[Row], columns: Sequence[str]
    ) -> list[Row]:
        """The columns of all rows whose `key` columns equal one of `keys` (unordered; absent keys give nothing)."""
        ...

    async def delete_many(self, table: Table, key: Sequence[str], keys: Sequence[Row]) -> int:
        """Delete all rows whose `key` columns equal one of `keys`; gives how many were there."""
        ...

    def after_commit(self, call: Callable[[], None]) -> None:
        """Run `call` once the transaction has committed (to wake a waiting task); never if it fails."""
        ...


class Database(Protocol):
    """One database, made once at start and closed last."""

    @property
    def dialect(self) -> str:
        """`postgresql` or `sqlite`; for messages and migrations, never for a service to branch on."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that may write. On SQLite there is one at a time. Raises DatabaseUnavailable, -Conflict, -Refused."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that only reads, from one consistent snapshot, and holds up no writer."""
        ...

    async def ping(self) -> None:
        """Returns when the database answers. Raises DatabaseUnavailable within 3 s."""
        ...

    async def close(self) -> None:
        """Close all connections. Whoever comes later gets DatabaseUnavailable."""
        ...
