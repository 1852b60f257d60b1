"""Servers and service processes of one run, and what a person would set up by hand: tables, topics, keys, endpoints."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from deploy.servers import KafkaServer, PostgresServer
from deploy.servers.ports import free_port
from migrations.running import migrate
from shared.auth.keys import KeyRequest, Keys
from shared.contracts.topics import topic_specs
from shared.db.connect import connect
from shared.db.port import Database
from shared.log.kafka import KafkaLog
from tests.faults.processes import ServiceProcess
from tests.faults.receiver import Receiver
from tests.faults.story import TENANT

PARTITIONS = 6
_PULSE = Path(__file__).with_name("pulse.yaml")
_SUPERVISE_SECONDS = 0.25
_READY_SECONDS = 90.0


@dataclass(frozen=True)
class Team:
    """How many processes of each service run, and after which silence a member of a group counts as dead."""

    engines: int = 2
    notifiers: int = 1
    session_timeout_ms: int = 2_000


@dataclass
class Cluster:
    """What runs. `folder` gets the logs and the e-mails."""

    folder: Path
    postgres: PostgresServer
    kafka: KafkaServer
    team: Team
    database_url: str = ""
    token: str = ""
    processes: list[ServiceProcess] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    """Names of processes that are down on purpose: the supervisor leaves them alone."""

    @property
    def letters(self) -> Path:
        """Where e-mails go."""
        return self.folder / "outbox"

    def of(self, service: str) -> list[ServiceProcess]:
        """The processes of a service."""
        return [process for process in self.processes if process.service == service]

    def address(self, service: str) -> str:
        """The HTTP address of the first process of a service."""
        return f"http://127.0.0.1:{self.of(service)[0].environment['JORNADA_HTTP_PORT']}"

    def database(self) -> Database:
        """A connection of our own, to look at tables; the caller closes it."""
        return connect(self.database_url, 4)

    def employ(self) -> None:
        """Make the processes, not yet started."""
        counts = {"ingest": 1, "engine": self.team.engines, "notifier": self.team.notifiers}
        for service, count in counts.items():
            for number in range(1, count + 1):
                name = f"{service}-{number}"
                environment = self._environment()
                self.processes.append(ServiceProcess(service, name, self.folder / f"{name}.log", environment))

    def _environment(self) -> dict[str, str]:
        settings = {
            "environment": "production",
            "log": "kafka",
            "database_url": self.database_url,
            "kafka_bootstrap": self.kafka.bootstrap,
            "partitions": str(PARTITIONS),
            "http_port": str(free_port()),
            "lifecycles": f"ecommerce,customer_care,{_PULSE}",
            "session_timeout_ms": str(self.team.session_timeout_ms),
            "outbox_dir": str(self.letters),
            "delivery": "files",
            "webhook_allow_private": "true",
            "webhook_timeout_seconds": "3",
            "delivery_lease_seconds": "5",
        }
        return {f"JORNADA_{name.upper()}": value for name, value in settings.items()}

    async def command(self, *words: str) -> tuple[int, list[str]]:
        """Run `jornada …` with the engines' settings; its exit code, and the lines that it wrote."""
        running = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "services.cli.main", *words],
            env={"PATH": os.environ.get("PATH", ""), **self.of("engine")[0].environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await running.communicate()
        return running.returncode or 0, said.decode(errors="replace").strip().splitlines()

    async def supervise(self) -> None:
        """Start again what ended by itself, as whoever runs the service would. Runs until cancelled."""
        while True:
            for process in self.processes:
                if process.starts and not process.running and process.name not in self.held:
                    process.ended_alone += 1
                    process.start()
            await asyncio.sleep(_SUPERVISE_SECONDS)

    async def ready(self) -> None:
        """Returns once every process says that it is ready."""
        async with httpx2.AsyncClient(timeout=5, trust_env=False) as client, asyncio.timeout(_READY_SECONDS):
            for process in self.processes:
                url = f"http://127.0.0.1:{process.environment['JORNADA_HTTP_PORT']}/readyz"
                while not await _answers_well(client, url):
                    await asyncio.sleep(0.1)

    async def subscribe(self, receiver: Receiver) -> None:
        """Two endpoints: one for what campaigns are about, one for the fast lifecycle's timers."""
        wanted = {
            "/slow": {"lifecycles": ["ecommerce", "customer_care"]},
            "/fast": {"lifecycles": ["pulse"], "transitions": ["left"]},
        }
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=10, trust_env=False) as client:
            for path, filters in wanted.items():
                body = {"url": receiver.url(path), "filters": filters}
                answer = await client.post(f"{self.address('notifier')}/v1/subscriptions", json=body)
                answer.raise_for_status()
                receiver.secrets[path] = answer.json()["secret"]


async def _answers_well(client: httpx2.AsyncClient, url: str) -> bool:
    with suppress(httpx2.TransportError):
        return (await client.get(url)).status_code == 200
    return False


@asynccontextmanager
async def running_cluster(folder: Path, team: Team) -> AsyncIterator[Cluster]:
    """Servers up, tables and topics made, processes started and ready; nothing of it is left at the end."""
    cluster = Cluster(_emptied(folder), PostgresServer(durable=True), KafkaServer(), team)
    try:
        await asyncio.gather(asyncio.to_thread(cluster.postgres.start), asyncio.to_thread(cluster.kafka.start))
        await _prepare(cluster)
        cluster.employ()
        for process in cluster.processes:
            process.start()
        supervising = asyncio.create_task(cluster.supervise())
        try:
            await cluster.ready()
            yield cluster
        finally:
            supervising.cancel()
            await asyncio.gather(supervising, return_exceptions=True)
    finally:
        _end(cluster)


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


async def _prepare(cluster: Cluster) -> None:
    cluster.database_url = cluster.postgres.create_database("jornada_faults")
    await migrate(cluster.database_url)
    log, database = KafkaLog(cluster.kafka.bootstrap, 20), cluster.database()
    await log.ensure_topics(topic_specs(PARTITIONS))
    cluster.token = (await Keys(database, "BRL").create(KeyRequest(TENANT, ["admin"]))).token
    await log.close()
    await database.close()


def _end(cluster: Cluster) -> None:
    for process in cluster.processes:
        process.kill()
    for server in _servers(cluster):
        # Its folder goes with it; what it had to say stays.
        with suppress(OSError):
            shutil.copy(server.log_path, cluster.folder / f"{server.name.lower()}.log")
        # What it has written is thrown away, so there is no order to keep.
        server.kill()
        server.close()


def _servers(cluster: Cluster) -> Iterator[PostgresServer | KafkaServer]:
    yield cluster.kafka
    yield cluster.postgres
