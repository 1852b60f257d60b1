"""Real servers and service processes for the benchmarks, with the CPU and memory that each of them used."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

from deploy.servers import KafkaServer, PostgresServer
from migrations.running import migrate
from shared.auth.keys import KeyRequest, Keys
from shared.auth.scopes import Scope
from shared.contracts.topics import topic_specs
from shared.db.connect import connect
from shared.log.connect import open_log
from shared.settings import Settings, load

ROOT = Path(__file__).parents[2]
_FOR_A_MILLION_CUSTOMERS = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
"""As docs/operations.md advises."""


@dataclass(slots=True)
class ServiceProcess:
    """One service as an operating-system process."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    peak_rss: int = 0
    _cpu_from: float = 0.0

    def mark(self) -> None:
        """Count CPU from here."""
        self._cpu_from = self._cpu()

    def cpu_seconds(self) -> float:
        """CPU used since `mark`."""
        return self._cpu() - self._cpu_from

    def rss(self) -> int:
        """Resident memory now, in bytes."""
        now = int(psutil.Process(self.process.pid).memory_info().rss)
        self.peak_rss = max(self.peak_rss, now)
        return now

    def stop(self) -> None:
        """SIGTERM, then wait; whoever does not end is killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _cpu(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


@dataclass(slots=True)
class Cluster:
    """Kafka and PostgreSQL with topics and tables, and the services started on them."""

    settings: Settings
    kafka: KafkaServer
    postgres: PostgresServer
    key: str
    services: list[ServiceProcess] = field(default_factory=list)

    def start(self, name: str, port: int, module: str = "services.cli.main", **environment: str) -> ServiceProcess:
        """Start a service and wait until it is ready."""
        command = [sys.executable, "-m", module, *([name] if module == "services.cli.main" else [])]
        log = open(ROOT / ".run" / f"bench-{name}-{port}.log", "wb")  # noqa: SIM115
        process = subprocess.Popen(command, cwd=ROOT, env=self._environment(port, environment), stdout=log, stderr=log)
        started = ServiceProcess(name, process, f"http://127.0.0.1:{port}")
        self.services.append(started)
        _wait_ready(started)
        return started

    def server_cpu(self) -> Mapping[str, float]:
        """CPU seconds used so far by Kafka, and by PostgreSQL with its sessions."""
        return {"Kafka": _tree_cpu(self.kafka.pid), "PostgreSQL": _tree_cpu(self.postgres.pid)}

    def stop(self, services: Sequence[ServiceProcess] | None = None) -> None:
        """Stop these services, or all."""
        for each in list(services or self.services):
            each.stop()
            self.services.remove(each)

    def _environment(self, port: int, more: Mapping[str, str]) -> dict[str, str]:
        mine = {
            "JORNADA_LOG": "kafka",
            "JORNADA_KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "JORNADA_DATABASE_URL": self.settings.database_url,
            "JORNADA_HTTP_PORT": str(port),
            "JORNADA_ENVIRONMENT": "production",
            "JORNADA_LOG_LEVEL": "WARNING",
            "JORNADA_WEBHOOK_ALLOW_PRIVATE": "true",
            "JORNADA_OUTBOX_DIR": str(ROOT / ".run" / "bench-outbox"),
        }
        return {**os.environ, "PYTHONPATH": str(ROOT), **mine, **more}


def _tree_cpu(pid: int | None) -> float:
    if pid is None:
        return 0.0
    parent = psutil.Process(pid)
    total = 0.0
    for each in (parent, *parent.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += float(times.user + times.system)
    return total


def _wait_ready(service: ServiceProcess, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if service.process.poll() is not None:
            raise RuntimeError(f"{service.name} ended with code {service.process.returncode}; see .run/bench-*.log")
        try:
            if httpx2.get(f"{service.url}/readyz", timeout=2).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{service.name} was not ready within {seconds:.0f} s; see .run/bench-*.log")


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """Servers from packages, ended with the block."""
    (ROOT / ".run").mkdir(exist_ok=True)
    with PostgresServer(settings=_FOR_A_MILLION_CUSTOMERS) as postgres, KafkaServer() as kafka:
        settings = load(
            log="kafka",
            kafka_bootstrap=kafka.bootstrap,
            database_url=await asyncio.to_thread(postgres.create_database, "bench"),
        )
        await migrate(settings.database_url)
        running = Cluster(settings, kafka, postgres, await prepare(settings))
        try:
            yield running
        finally:
            running.stop()


async def prepare(settings: Settings) -> str:
    """Topics and an API key with all scopes; gives the key."""
    database = connect(settings.database_url, 2)
    log = open_log(settings, database)
    try:
        await log.ensure_topics(topic_specs(settings.partitions))
        made = await Keys(database, "BRL").create(KeyRequest("bench", [Scope.ADMIN], "benchmarks", "BRL"))
        return made.token
    finally:
        await log.close()
        await database.close()
