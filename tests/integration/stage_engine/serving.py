"""An engine with its HTTP side, and keys of two tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from services.cli.processes import build_engine
from shared.auth.keys import KeyRequest, Keys, NewKey
from shared.http.app import create_app
from shared.http.server import running
from shared.service import Resources
from tests.integration.stage_engine.observing import until
from tests.integration.stage_engine.stack import Stack


@dataclass(frozen=True)
class Served:
    """What a test asks, and with which keys: `reader` and `admin` are those of one tenant."""

    client: httpx2.AsyncClient
    resources: Resources
    reader: NewKey
    admin: NewKey
    other_admin: NewKey
    writer: NewKey
    publisher: NewKey

    async def ask(
        self, method: str, path: str, key: NewKey | None = None, status: int = 200, **more: Any
    ) -> httpx2.Response:
        """One request; `reader` sends it unless another key is given."""
        headers = {"Authorization": f"Bearer {(key or self.reader).token}", **more.pop("headers", {})}
        answer = await self.client.request(method, path, headers=headers, **more)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status
        return answer

    async def get(self, path: str, key: NewKey | None = None, status: int = 200) -> Any:
        """The answer's JSON."""
        return (await self.ask("GET", path, key, status)).json()


@asynccontextmanager
async def served(stack: Stack, **settings: Any) -> AsyncIterator[Served]:
    """An engine at work and its HTTP side, on a free port."""
    async with stack.process(http_port=0, **settings) as resources:
        engine = build_engine(resources)
        async with (
            running(create_app([engine], resources), [engine], resources.settings) as address,
            httpx2.AsyncClient(base_url=address, timeout=30) as client,
        ):
            await until(lambda: _is_ready(client), "the engine is ready")
            yield Served(client, resources, *await _keys(resources))


async def _is_ready(client: httpx2.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def _keys(resources: Resources) -> list[NewKey]:
    keys = Keys(resources.database, "BRL")
    reader, admin = KeyRequest("acme", ["customers:read"]), KeyRequest("acme", ["admin"])
    other_admin, writer = KeyRequest("other", ["admin"], currency="USD"), KeyRequest("acme", ["events:write"])
    publisher = KeyRequest("acme", ["lifecycles:publish"])
    return [await keys.create(each) for each in (reader, admin, other_admin, writer, publisher)]


@asynccontextmanager
async def unregistered(stack: Stack, **settings: Any) -> AsyncIterator[Served]:
    """The HTTP side of an engine that is not at work, so that nothing is registered and no log is read."""
    async with stack.process(http_port=0, **settings) as resources:
        transport = httpx2.ASGITransport(create_app([build_engine(resources)], resources))
        async with httpx2.AsyncClient(transport=transport, base_url="http://engine") as client:
            yield Served(client, resources, *await _keys(resources))
