"""Ingest as a process of its own would be, on a real socket, for the tests beside this file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy.ext.asyncio import create_async_engine

import shared.auth.tables
import shared.log.sql_tables  # noqa: F401
from services.ingest.main import Ingest, build
from shared.auth.keys import KeyRequest, Keys
from shared.db.connect import connect
from shared.db.metadata import metadata
from shared.db.port import Database
from shared.http.app import create_app
from shared.http.server import running
from shared.log.port import Log
from shared.service import Resources
from shared.settings import Settings
from shared.telemetry.logging import configure_logging

PURCHASE: dict[str, Any] = {
    "id": "order-1001-paid",
    "type": "purchase",
    "customer_id": "c-42",
    "time": "2026-01-22T14:03:11Z",
    "data": {"order_id": "1001", "amount": "129.90", "currency": "BRL"},
}


@dataclass(frozen=True)
class Shop:
    """A running ingest with a client that holds a key for `acme`."""

    address: str
    client: httpx2.AsyncClient
    database: Database
    keys: Keys
    ingest: Ingest

    async def key(self, *scopes: str, tenant: str = "acme") -> dict[str, str]:
        """Headers of a new key."""
        made = await self.keys.create(KeyRequest(tenant, scopes))
        return {"Authorization": f"Bearer {made.token}"}

    async def post(self, content: object, **more: Any) -> httpx2.Response:
        """POST /v1/events as JSON."""
        return await self.client.post("/v1/events", json=content, **more)


def sqlite_url(folder: Path) -> str:
    """A database file of the test's own."""
    return f"sqlite+aiosqlite:///{folder / 'jornada.db'}"


async def create_tables(url: str) -> None:
    """All tables, as the migrations would make them."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """A database with tables, closed at the end."""
    await create_tables(url)
    database = connect(url)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_shop(database: Database, log: Log, **settings: Any) -> AsyncIterator[Shop]:
    """Ingest over the database and the log, listening on a free port."""
    chosen = Settings(http_port=0, **settings)
    configure_logging(chosen)
    resources = Resources(chosen, database, log)
    ingest = build(resources)
    keys = Keys(database, "BRL")
    made = await keys.create(KeyRequest("acme", ["events:write"]))
    async with (
        running(create_app([ingest], resources), [ingest], chosen) as address,
        httpx2.AsyncClient(
            base_url=address, headers={"Authorization": f"Bearer {made.token}"}, timeout=15, trust_env=False
        ) as client,
    ):
        yield Shop(address, client, database, keys, ingest)
