"""Where an engine runs in a test: a database and a log, empty, with as many processes' worth of connections as asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy.ext.asyncio import create_async_engine

import shared.auth.tables
import shared.log.sql_tables  # noqa: F401
from shared.contracts.topics import Topic, topic_specs
from shared.db.connect import connect
from shared.db.metadata import metadata
from shared.log.connect import open_log
from shared.service import Resources
from shared.settings import Settings, load

PARTITIONS = 2
"""Enough to show that partitions are independent; each costs a fenced producer on Kafka."""
_PREFIXES = ("engine_", "auth_", "log_")


@dataclass(frozen=True)
class Stack:
    """One database and one log. `bootstrap` is None where the log is in the database."""

    database_url: str
    bootstrap: str | None = None

    @property
    def on_postgres(self) -> bool:
        return self.database_url.startswith("postgresql")

    def settings(self, **changed: Any) -> Settings:
        """Settings for this stack; short waits, so that tests need not be long."""
        log = {"log": "kafka", "kafka_bootstrap": self.bootstrap} if self.bootstrap else {"log": "sql"}
        values: dict[str, Any] = {
            "database_url": self.database_url,
            "partitions": PARTITIONS,
            "backfill_settle_seconds": 1.0,
            "session_timeout_ms": 2_000,
            **log,
        }
        return load(**(values | changed))

    @asynccontextmanager
    async def process(self, **changed: Any) -> AsyncIterator[Resources]:
        """What one process has open."""
        settings = self.settings(**changed)
        database = connect(settings.database_url, settings.database_pool_size)
        log = open_log(settings, database)
        try:
            yield Resources(settings, database, log)
        finally:
            await log.close()
            await database.close()

    async def create(self) -> None:
        """Tables and topics, empty."""
        engine = create_async_engine(self.database_url)
        tables = [table for table in metadata.tables.values() if table.name.startswith(_PREFIXES)]
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all, tables=tables)
        await engine.dispose()
        if self.bootstrap:
            await _delete_topics(self.bootstrap)
        async with self.process() as resources:
            await resources.log.ensure_topics(topic_specs(PARTITIONS))


async def _delete_topics(bootstrap: str) -> None:
    """What the test before has left. The broker is the engine's own, so nobody else loses anything."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if left := await _ours(admin):
            await admin.delete_topics(left)
        async with asyncio.timeout(30):
            while await _ours(admin):  # the broker hears from its controller a little later than we do
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def _ours(admin: AIOKafkaAdminClient) -> list[str]:
    return sorted(set(await admin.list_topics()) & set(Topic))
