"""Real servers for tests. One that cannot be had fails the test with advice: skipping would hide that nothing was tried.

JORNADA_TEST_KAFKA=host:port and JORNADA_TEST_POSTGRES=postgresql+asyncpg://user:password@host:port/database name servers
that run already; otherwise they are started from packages, once a session.
"""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from deploy.servers import KafkaServer, PostgresServer, create_database, drop_database
from deploy.servers.databases import check_connection

KAFKA_VARIABLE = "JORNADA_TEST_KAFKA"
POSTGRES_VARIABLE = "JORNADA_TEST_POSTGRES"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts into the background deaf to Ctrl-C, and whatever that starts is deaf too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class RunningKafka(Protocol):
    """A broker for tests; topics in it are shared by the session, so tests name their own."""

    @property
    def bootstrap(self) -> str:
        """host:port."""


class RunningPostgres(Protocol):
    """A PostgreSQL server for tests."""

    @property
    def url(self) -> str:
        """postgresql+asyncpg://…, a user that may create databases."""


@dataclass(frozen=True)
class ExistingKafka:
    """The broker that JORNADA_TEST_KAFKA names."""

    bootstrap: str


@dataclass(frozen=True)
class ExistingPostgres:
    """The server that JORNADA_TEST_POSTGRES names."""

    url: str


def wait_until(condition: Callable[[], bool], timeout_seconds: float = 10.0, *, what: str = "the condition") -> None:
    """Waits for something outside this process; fails the test when the time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {timeout_seconds:g} s")
        time.sleep(0.02)


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[RunningKafka]:
    """One broker for the session."""
    existing = os.environ.get(KAFKA_VARIABLE)
    if existing:
        _check_kafka(existing)
        yield ExistingKafka(existing)
        return
    with KafkaServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[RunningPostgres]:
    """One PostgreSQL server for the session. Not for tests that kill it: those start a durable one of their own."""
    existing = os.environ.get(POSTGRES_VARIABLE)
    if existing:
        _check_postgres(existing)
        yield ExistingPostgres(existing)
        return
    with PostgresServer(durable=False) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: RunningPostgres) -> Iterator[str]:
    """A fresh, empty database, dropped after the test with whoever is still connected to it."""
    name = f"jornada_test_{uuid.uuid4().hex[:12]}"
    yield create_database(postgres_server.url, name)
    drop_database(postgres_server.url, name)


def _check_kafka(bootstrap: str) -> None:
    try:
        host, port = bootstrap.split(",")[0].rsplit(":", 1)
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        pytest.fail(
            f"{KAFKA_VARIABLE}={bootstrap}: {error or type(error).__name__}. Start that broker, or unset the variable "
            "to have one started from packages."
        )


def _check_postgres(url: str) -> None:
    try:
        check_connection(url)
    except Exception as error:  # whatever the driver raises, the advice is the same
        pytest.fail(
            f"{POSTGRES_VARIABLE}: no connection ({error or type(error).__name__}). Start that server or mend the URL "
            "(postgresql+asyncpg://user:password@host:port/database), or unset the variable to have one started from "
            "packages."
        )
