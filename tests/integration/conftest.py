"""Stacks for integration tests: each database with each log that goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.servers import KafkaServer
from tests.integration.stage_engine.stack import Stack

STACKS = ["sqlite-sql", "postgres-sql", "postgres-kafka"]


@pytest.fixture(scope="session")
def own_kafka() -> Iterator[KafkaServer]:
    """A broker whose topics may be deleted and which may be stopped; never one that somebody else uses too."""
    with KafkaServer() as server:
        yield server


@pytest.fixture
def sqlite_stack(tmp_path: Path) -> Stack:
    return Stack(f"sqlite+aiosqlite:///{tmp_path / 'jornada.db'}")


def _stack(name: str, request: pytest.FixtureRequest) -> Stack:
    if name == "sqlite-sql":
        sqlite: Stack = request.getfixturevalue("sqlite_stack")
        return sqlite
    url = request.getfixturevalue("postgres_url")
    return Stack(url, request.getfixturevalue("own_kafka").bootstrap if name == "postgres-kafka" else None)


@pytest.fixture(params=STACKS)
async def stack(request: pytest.FixtureRequest) -> Stack:
    """Every stack in turn, with empty tables and topics."""
    chosen = _stack(request.param, request)
    await chosen.create()
    return chosen


@pytest.fixture(params=STACKS[:2])
async def sql_stack(request: pytest.FixtureRequest) -> Stack:
    """Every database, with the log that needs no other server: for what no log has a part in."""
    chosen = _stack(request.param, request)
    await chosen.create()
    return chosen


@pytest.fixture
async def kafka_stack(request: pytest.FixtureRequest) -> Stack:
    """PostgreSQL with Kafka, for what only a real broker shows."""
    chosen = _stack("postgres-kafka", request)
    await chosen.create()
    return chosen
