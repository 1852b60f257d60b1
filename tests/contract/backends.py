"""The logs that the contract suite runs on, and what it needs to make trouble for them."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import cast

from sqlalchemy.ext.asyncio import create_async_engine

import shared.log.sql_tables
from shared.contracts.topics import Topic, TopicSpec
from shared.db.connect import connect
from shared.db.metadata import metadata
from shared.db.port import Database
from shared.log.kafka import KafkaLog
from shared.log.port import Log
from shared.log.sql import SqlLog

LOG_TABLES = [table for table in metadata.tables.values() if table.name.startswith("log_")]
assert shared.log.sql_tables.records in LOG_TABLES


def make_topic() -> Topic:
    """A topic that no other test has; the suite's servers are shared."""
    TestTopic = StrEnum("TestTopic", {"ONLY": f"test.{uuid.uuid4().hex}"})
    return cast("Topic", next(iter(TestTopic)))


def make_spec(partitions: int = 3, *, compacted: bool = False) -> TopicSpec:
    return TopicSpec(make_topic(), partitions, retention_ms=None, compacted=compacted)


async def create_tables(url: str) -> None:
    """The log's tables, as a migration would make them."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all, tables=LOG_TABLES)
    await engine.dispose()


@dataclass
class Backend:
    """One place where a log lives; each `open` is like another process that uses it."""

    name: str
    where: str
    opened: list[tuple[Log, Database | None]] = field(default_factory=list)

    def open(self, append_timeout_seconds: float = 5.0) -> Log:
        database = None if self.name == "kafka" else connect(self.where)
        log: Log = (
            KafkaLog(self.where, append_timeout_seconds)
            if database is None
            else SqlLog(database, append_timeout_seconds)
        )
        self.opened.append((log, database))
        return log

    async def close(self) -> None:
        for log, database in self.opened:
            await log.close()
            if database is not None:
                await database.close()


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Keeps every writer out of an SQLite file."""
    connection = sqlite3.connect(path, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextlib.asynccontextmanager
async def opened(name: str, where: str) -> AsyncIterator[Backend]:
    """The backend with its tables, closed at the end."""
    if name != "kafka":
        await create_tables(where)
    backend = Backend(name, where)
    yield backend
    await backend.close()
