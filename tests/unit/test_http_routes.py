"""The paths of the three services never collide, so that one gateway can serve them; and the API describes itself rightly."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from services.cli.processes import SERVICES
from shared.db.connect import connect
from shared.http.app import create_app
from shared.service import Resources
from shared.settings import Settings
from tests.fakes_log import FakeLog

COMMON = {"/livez", "/readyz", "/metrics"}
"""What every process adds."""
UNDESCRIBED = {("get", "/docs"), ("get", "/openapi.json")}
"""What describes the others and not itself."""
PAGE = Path(__file__).parents[2] / "docs" / "http-api.md"
_ROW = re.compile(r"^\| (`(?:GET|POST|PUT|DELETE) .*) \| .* \| (\w+) \|$", re.MULTILINE)


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """What services are built with; nothing is asked of them here."""
    database = connect(f"sqlite+aiosqlite:///{tmp_path / 'unused.db'}")
    yield Resources(Settings(), database, FakeLog())
    await database.close()


def described(resources: Resources, *names: str) -> Any:
    """What a process with these services says of itself."""
    return create_app([SERVICES[name](resources) for name in names], resources).openapi()


def places(resources: Resources, name: str) -> list[tuple[str, str]]:
    """Methods and paths of a service, in order; parameters without their names, for no router tells paths apart by them."""
    paths = described(resources, name)["paths"].items()
    return [(method, re.sub(r"{[^}]*}", "{}", path)) for path, what in paths if path not in COMMON for method in what]


def in_the_page() -> set[tuple[str, str, str]]:
    """Service, method and path of everything in the table of docs/http-api.md; parameters without their names."""
    found = set()
    for cell, service in _ROW.findall(PAGE.read_text(encoding="utf-8")):
        methods: list[str] = []
        for words in map(str.split, re.findall("`([^`]+)`", cell)):
            *given, path = words
            methods = given or methods
            found |= {(service, method.lower(), re.sub(r"{[^}]*}", "{}", path)) for method in methods}
    return found


async def test_every_route_stands_in_the_page_about_http_and_no_other_does(resources: Resources) -> None:
    routes = {(name, *place) for name in SERVICES for place in places(resources, name)}
    common = {("get", path) for path in COMMON} | UNDESCRIBED
    assert in_the_page() == routes | {("each", *place) for place in common}


async def test_no_path_of_one_service_is_a_path_of_another(resources: Resources) -> None:
    counted = Counter(place for name in SERVICES for place in places(resources, name))
    assert [place for place, times in counted.items() if times > 1] == []
    whole = described(resources, *SERVICES)["paths"]
    assert sum(map(len, whole.values())) == len(counted) + len(COMMON)


async def test_no_path_is_hidden_by_one_before_it(resources: Resources) -> None:
    every = [place for name in SERVICES for place in places(resources, name)]
    for index, (method, path) in enumerate(every):
        for earlier_method, earlier in every[:index]:
            pattern = re.escape(earlier).replace(re.escape("{}"), "[^/]+")
            assert method != earlier_method or not re.fullmatch(pattern, path), (earlier, path)


async def test_the_description_is_whole(resources: Resources) -> None:
    api = described(resources, *SERVICES)
    operations = [each for what in api["paths"].values() for each in what.values()]
    ids = [each["operationId"] for each in operations]
    assert len(set(ids)) == len(ids)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(api)):
        found: Any = api
        for part in reference.split("/"):
            found = found[part]
    schemas = [body["schema"] for each in operations for body in _contents(each)]
    assert len(schemas) > 20
    for schema in schemas:
        Draft202012Validator.check_schema(schema)


def _contents(operation: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [operation.get("requestBody", {}), *operation["responses"].values()]
    return [body for part in parts for body in part.get("content", {}).values() if "schema" in body]
