"""Fixtures of the contract suites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.log.port import Log
from tests.contract.backends import Backend, opened

SQL = ["sql-sqlite", "sql-postgresql"]


def where_is(name: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of a backend; starts its server when it is first needed."""
    if name == "kafka":
        return str(request.getfixturevalue("kafka_server").bootstrap)
    if name == "sql-postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite+aiosqlite:///{folder / 'log.db'}"


@pytest.fixture(params=[*SQL, "kafka"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Each log in turn."""
    async with opened(request.param, where_is(request.param, request, tmp_path)) as backend:
        yield backend


@pytest.fixture(params=SQL)
async def sql_backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """The logs that need trimming."""
    async with opened(request.param, where_is(request.param, request, tmp_path)) as backend:
        yield backend


@pytest.fixture
async def log(backend: Backend) -> Log:
    return backend.open()
