"""An id in a path comes back as it was posted, whatever it is made of, and never becomes a longer or another path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from shared.db.connect import connect
from shared.http.app import create_app
from shared.http.paths import PathSegments, Segment
from shared.service import Check, Resources
from shared.settings import Settings
from tests.fakes_log import FakeLog

ODD = [
    "a/b",
    "a/stage-changes",
    "a/stage-changes/deliveries",
    "/",
    "/a/",
    "a//b",
    "50%",
    "%2F",
    "a%2Fb",
    "%252F",
    "a b",
    "a?b=c",
    "a#b",
    "a+b",
    "a;b",
    "ana@loja.example",
    "São João",
    "客户🙂",
]


class Things:
    """A service that says which of its routes was asked, and for what."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self._path = path

    def routers(self) -> Sequence[APIRouter]:
        router = APIRouter()

        @router.get(self._path)
        async def asked(thing: Segment) -> list[str]:
            return [self._path, thing]

        return [router]

    async def run(self, stopping: asyncio.Event) -> None:
        await stopping.wait()

    async def checks(self) -> Sequence[Check]:
        return []

    def alive(self) -> bool:
        return True


ONE, PARTS, SENT = "/v1/things/{thing}", "/v1/things/{thing}/stage-changes", "/v1/things/{thing}/deliveries"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    database = connect(f"sqlite+aiosqlite:///{tmp_path / 'unused.db'}")
    services = [Things("engine", ONE), Things("engine too", PARTS), Things("notifier", SENT)]
    yield create_app(services, Resources(Settings(), database, FakeLog()))
    await database.close()


@pytest.mark.parametrize("thing", ODD)
async def test_every_route_gets_the_id_that_was_meant(app: FastAPI, thing: str) -> None:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://jornada") as client:
        for path in (ONE, PARTS, SENT):
            answer = await client.get(path.format(thing=quote(thing, safe="")))
            assert answer.json() == [path, thing]


def test_another_asgi_client_gets_the_same(app: FastAPI) -> None:
    client = TestClient(app)
    assert client.get("/v1/things/a%2Fdeliveries").json() == [ONE, "a/deliveries"]
    assert client.get("/v1/things/a%2fb/deliveries?limit=1").json() == [SENT, "a/b"]


async def test_a_slash_that_was_not_encoded_is_a_longer_path(app: FastAPI) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://jornada") as client:
        assert (await client.get("/v1/things/a/b")).status_code == 404
        assert (await client.get("/v1/things/a/deliveries")).json() == [SENT, "a"]


async def test_letters_that_need_no_encoding_may_have_it(app: FastAPI) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://jornada") as client:
        assert (await client.get("/v1/%74hings/%61")).json() == [ONE, "a"]


@pytest.mark.parametrize("path", [ONE, PARTS, SENT])
async def test_an_id_with_a_nul_is_not_found(app: FastAPI, path: str) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://jornada") as client:
        answer = await client.get(path.format(thing="a%00b"))
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:jornada:problem:not-found")


async def routed(**scope: Any) -> str:
    """The path that the routes would see."""
    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    async def unused(*_message: Any) -> Any:
        raise AssertionError

    await PathSegments(inner)({"type": "http", **scope}, unused, unused)
    return seen[0]


async def test_a_server_that_gives_no_raw_path_still_tells_a_percent_sign() -> None:
    assert await routed(path="/v1/things/50%") == "/v1/things/50%25"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4))
def test_different_names_are_different_paths(names: list[str]) -> None:
    raw = "/" + "/".join(quote(name, safe="") for name in names)
    path = asyncio.run(routed(path="/" + "/".join(names), raw_path=raw.encode()))
    kept = path[1:].split("/")
    assert [one.replace("%2F", "/").replace("%25", "%") for one in kept] == names
