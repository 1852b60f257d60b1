"""Whatever stands in a path or a query of the customers' routes: an answer that says what was wrong, never a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

import pytest
from fastapi import APIRouter
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from starlette.testclient import TestClient

from services.stage_engine.api.customers import customers_router
from shared.auth.keys import KeyRequest, Keys
from shared.db.connect import connect
from shared.db.metadata import metadata
from shared.http.app import create_app
from shared.service import Resources
from shared.settings import Settings
from tests.fakes_log import FakeLog
from tests.unit.test_http_paths import Things

ROUTES = ("/v1/customers/{}", "/v1/customers/{}/explanation", "/v1/customers/{}/stage-changes")
IDS = (
    "%00",
    "%2F",
    "%2f..%2f",
    "%ED%A0%80",
    "%FF%FE",
    "%C0%AF",
    "%",
    "%zz",
    "%E2%80%AE",
    "x" * 9_000,
    "'--",
    "%0a",
)
NUMBERS = ("0", "-1", "9" * 18, "9" * 19, "-" + "9" * 30, "1e3", "NaN", "%00", "%D9%A1", " 1", "1_0", "true")
"""The one written `%D9%A1` is an Arabic one."""

ANY_ID = (st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.binary(min_size=1)).filter(
    lambda each: each not in (".", "..", b".", b"..")
)
"""Dots alone are a way through the path to every HTTP client, this one too."""


class Customers(Things):
    """The engine's routes about customers."""

    def __init__(self, resources: Resources) -> None:
        super().__init__("engine", "/unused/{thing}")
        self._router = customers_router(resources)

    def routers(self) -> Sequence[APIRouter]:
        return [self._router]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Of an engine that knows nobody yet."""
    file = tmp_path_factory.mktemp("hostile") / "jornada.db"
    engine = create_engine(f"sqlite:///{file}")
    metadata.create_all(engine)
    engine.dispose()
    database = connect(f"sqlite+aiosqlite:///{file}")
    resources = Resources(Settings(), database, FakeLog())
    app = create_app([Customers(resources)], resources)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.portal is not None
        key = client.portal.call(Keys(database, "BRL").create, KeyRequest("acme", ["customers:read"]))
        client.headers["Authorization"] = f"Bearer {key.token}"
        yield client
        client.portal.call(database.close)


def refused(client: TestClient, path: str) -> bool:
    """Whether the answer is a problem that says what was wrong with the request."""
    answer = client.get(path)
    problem = answer.json()
    return answer.status_code in (404, 422) and problem["status"] == answer.status_code and bool(problem["detail"])


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("customer", IDS)
def test_an_odd_id_is_nobody(client: TestClient, route: str, customer: str) -> None:
    assert refused(client, route.format(customer))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ROUTES), ANY_ID)
def test_any_id_is_nobody(client: TestClient, route: str, customer: str | bytes) -> None:
    assert refused(client, route.format(quote(customer, safe="")))


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("query", ["{route}?after={number}", "{route}?limit={number}", "/v1/customers?limit={number}"])
def test_an_odd_number_is_refused_or_finds_nobody(client: TestClient, query: str, number: str) -> None:
    path = query.format(route="/v1/customers/c/stage-changes", number=number)
    assert client.get(path).status_code in (404, 422, 503)


@pytest.mark.parametrize("name", ["lifecycle", "stage", "after"])
@pytest.mark.parametrize("value", IDS)
def test_an_odd_name_in_a_list_is_refused(client: TestClient, name: str, value: str) -> None:
    # 503: no engine has registered its lifecycles yet.
    assert client.get(f"/v1/customers?{name}={value}").status_code in (422, 503)
