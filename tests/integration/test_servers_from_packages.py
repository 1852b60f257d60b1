"""The servers that other tests stand on: they keep data, survive being killed, and never outlive us."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.servers import KafkaServer, PostgresServer, ServerError, jars
from tests.conftest import RunningKafka, wait_until

PROJECT_ROOT = Path(__file__).parents[2]

OWNER = """
import sys, threading
from pathlib import Path
from deploy.servers import PostgresServer
server = PostgresServer(Path(sys.argv[1]) if len(sys.argv) > 1 else None, durable=False)
# From a thread that ends: the server must live on after it.
starter = threading.Thread(target=server.start)
starter.start()
starter.join()
print(server.pid, server.data_dir, flush=True)
try:
    sys.stdin.read()
except KeyboardInterrupt:
    pass
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A durable server that these tests stop and kill as they like."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaServer]:
    """A broker that these tests stop and kill as they like."""
    with KafkaServer() as server:
        yield server


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _start_owner(*arguments: str) -> tuple[subprocess.Popen[str], int, Path]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, *arguments],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C at a terminal goes to the whole group; this lets a test send it to the owner's group alone.
        start_new_session=True,
    )
    assert owner.stdout is not None
    pid, data_dir = owner.stdout.readline().split()
    return owner, int(pid), Path(data_dir)


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()


async def _write_row(url: str, number: int) -> None:
    async with _connection(url) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        await connection.execute("INSERT INTO kept VALUES ($1)", number)


async def _read_rows(url: str) -> list[int]:
    async with _connection(url) as connection:
        return [row["number"] for row in await connection.fetch("SELECT number FROM kept ORDER BY number")]


async def _make_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()


async def _send(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=len(value) + 100_000)
    await producer.start()
    await asyncio.wait_for(producer.send_and_wait(topic, value), timeout=20)
    await producer.stop()


async def _first_value(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    record = await asyncio.wait_for(consumer.getone(), timeout=20)
    await consumer.stop()
    assert record.value is not None
    return bytes(record.value)


async def test_postgres_is_version_18_and_asks_for_a_password(postgres: PostgresServer) -> None:
    async with _connection(postgres.url) as connection:
        assert (await connection.fetchval("SHOW server_version")).startswith("18.")
        assert await connection.fetchval("SHOW fsync") == "on"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=postgres.port, user="postgres", password="guess")


async def test_postgres_restart_keeps_address_and_data(postgres: PostgresServer) -> None:
    url = postgres.create_database("restarted")
    await _write_row(url, 1)
    pid = postgres.pid
    postgres.restart()
    assert postgres.pid != pid
    assert await _read_rows(url) == [1]


async def test_killed_postgres_comes_back_with_what_was_committed(postgres: PostgresServer) -> None:
    url = postgres.create_database("killed")
    await _write_row(url, 7)
    idle = await asyncpg.connect(url.replace("+asyncpg", ""))
    pid = postgres.pid
    postgres.kill()
    assert not _alive(pid)
    assert not postgres.running
    postgres.start()
    assert await _read_rows(url) == [7]
    idle.terminate()


async def test_create_database_replaces_one_of_that_name(postgres: PostgresServer) -> None:
    await _write_row(postgres.create_database("fresh"), 1)
    with pytest.raises(asyncpg.UndefinedTableError):
        await _read_rows(postgres.create_database("fresh"))


async def test_every_test_has_an_empty_database(postgres_url: str) -> None:
    async with _connection(postgres_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_a_server_that_cannot_start_says_why(postgres: PostgresServer) -> None:
    with pytest.raises(ServerError, match="could not bind"):
        PostgresServer(port=postgres.port).start()


async def test_kafka_takes_large_records_and_makes_no_topic_unasked(kafka_server: RunningKafka) -> None:
    await _make_topic(kafka_server.bootstrap, "servers.large")
    large = b"x" * 11_000_000
    await _send(kafka_server.bootstrap, "servers.large", large)
    assert await _first_value(kafka_server.bootstrap, "servers.large") == large
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_server.bootstrap)
    await admin.start()
    await admin.describe_topics(["servers.unasked"])
    assert "servers.unasked" not in await admin.list_topics()
    await admin.close()


async def test_kafka_restart_keeps_address_and_data(kafka: KafkaServer) -> None:
    await _make_topic(kafka.bootstrap, "restarted")
    await _send(kafka.bootstrap, "restarted", b"before")
    kafka.restart()
    assert await _first_value(kafka.bootstrap, "restarted") == b"before"


async def test_killed_kafka_comes_back_with_what_was_acknowledged(kafka: KafkaServer) -> None:
    await _make_topic(kafka.bootstrap, "killed")
    await _send(kafka.bootstrap, "killed", b"acknowledged")
    pid = kafka.pid
    kafka.kill()
    assert not _alive(pid)
    kafka.start()
    assert await _first_value(kafka.bootstrap, "killed") == b"acknowledged"


async def test_paused_kafka_answers_again_when_resumed(kafka: KafkaServer) -> None:
    await _make_topic(kafka.bootstrap, "paused")
    kafka.pause()
    wait_until(lambda: psutil.Process(kafka.pid).status() == psutil.STATUS_STOPPED, what="the pause")
    with pytest.raises(ServerError, match="did not answer"):
        kafka.wait_ready(timeout_seconds=0.1)
    kafka.resume()
    kafka.wait_ready(timeout_seconds=20)
    await _send(kafka.bootstrap, "paused", b"after")


def test_server_dies_with_an_owner_that_was_killed_and_its_temporary_data_go() -> None:
    owner, pid, data_dir = _start_owner()
    assert _alive(pid)
    with owner:
        owner.kill()
    wait_until(lambda: not _alive(pid), what="the end of the server")
    wait_until(lambda: not data_dir.exists(), what="the removal of its folder")


def test_server_dies_with_its_guard() -> None:
    owner, pid, _ = _start_owner()
    guard = psutil.Process(pid).parent()
    assert guard is not None
    with owner:
        guard.kill()
        wait_until(lambda: not _alive(pid), what="the end of the server")


@pytest.mark.parametrize("how", ["end of the program", "ctrl-c"])
def test_server_ends_in_order_with_its_owner(how: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    owner, pid, data_dir = _start_owner(str(tmp_path / "kept"))
    with owner:
        if how == "ctrl-c":
            os.killpg(owner.pid, signal.SIGINT)
        else:
            assert owner.stdin is not None
            owner.stdin.close()
        assert owner.wait(20) == 0
    assert not _alive(pid)
    assert data_dir.exists()
    # PostgreSQL takes its own file away only in an orderly shutdown.
    assert not (data_dir / "cluster" / "postmaster.pid").exists()


def test_runs_below_a_folder_that_is_closed_to_others(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with PostgresServer(closed / "data", durable=False) as server:
        assert server.running


def test_jar_that_cannot_be_had_names_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = tmp_path / "jars.txt"
    wrong.write_text("org.slf4j:no-such-artifact:0.0.1 sha256:00\n", encoding="ascii")
    monkeypatch.setattr(jars, "_LIST", wrong)
    monkeypatch.setenv("JORNADA_CACHE", str(tmp_path))
    with pytest.raises(ServerError, match=r"no-such-artifact:0\.0\.1.*JORNADA_TEST_KAFKA"):
        jars.kafka_class_path()


def test_a_mistake_of_ours_is_not_told_as_a_registry_that_is_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def mistaken(**_given: object) -> None:
        raise TypeError("no such argument")

    monkeypatch.setattr("jgo.maven.MavenContext", mistaken)
    with pytest.raises(TypeError, match="no such argument"):
        jars._fetch_one(jars.Jar("org.slf4j", "slf4j-api", "1.0", "00"), tmp_path, tmp_path)
