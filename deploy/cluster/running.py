"""Starts the cluster from the servers up, and takes it down in the opposite order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from deploy.cluster.plan import ClusterPlan, make_room, plan
from deploy.cluster.service_process import ServicePlan, ServiceProcess
from deploy.servers import KafkaServer, PostgresServer, ServerError
from services.cli.database import opened
from services.cli.serving import first_key, prepare
from shared.settings import Settings

READY_SECONDS = 60.0
_DATABASE = "jornada"
_WATCH_SECONDS = 0.5
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that runs. `token` is None when its data already had a key."""

    plan: ClusterPlan
    postgres: PostgresServer
    kafka: KafkaServer
    services: tuple[ServiceProcess, ...]
    token: str | None

    def watch(self) -> None:
        """Returns only by an exception. Raises ServerError when one of the processes ends by itself."""
        while True:
            for server in (self.postgres, self.kafka):
                if not server.running:
                    raise ServerError(f"{server.name} ended by itself: see {server.log_path}")
            for service in self.services:
                if not service.running:
                    raise ServerError(f"{service.plan.label} ended by itself: see {service.log_path}")
            time.sleep(_WATCH_SECONDS)


@contextlib.contextmanager
def cluster(folder: Path, data: Path | None, say: Say, *, demo: bool) -> Iterator[Cluster]:
    """A cluster for as long as the block lasts. `data` keeps both servers' data; without it they are thrown away.

    Raises ServerError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        postgres, kafka = _start_servers(stack, data, say)
        made = plan(kafka.bootstrap, _database_url(postgres, keep=data is not None), folder.resolve(), demo=demo)
        make_room(made)
        say("creating tables and topics")
        asyncio.run(prepare(made.settings()))
        services = _start_services(stack, made.services, folder, say)
        token = asyncio.run(_first_key(made.settings()))
        yield Cluster(made, postgres, kafka, services, token)
        say("stopping: ingest, engines, notifier, Kafka, PostgreSQL")


def _start_servers(stack: ExitStack, data: Path | None, say: Say) -> tuple[PostgresServer, KafkaServer]:
    postgres = PostgresServer(data / "postgres" if data else None)
    stack.callback(postgres.close)
    kafka = KafkaServer(data / "kafka" if data else None)
    stack.callback(kafka.close)
    say("starting PostgreSQL and Kafka (the first time Kafka is fetched: 79 MB)")
    with ThreadPoolExecutor(max_workers=2) as executor:
        for starting in [executor.submit(server.start) for server in (postgres, kafka)]:
            starting.result()
    say(f"PostgreSQL answers on port {postgres.port}, Kafka at {kafka.bootstrap}")
    return postgres, kafka


async def _first_key(settings: Settings) -> str | None:
    """Made last: a start that fails would lose its text."""
    async with opened(settings) as database:
        return await first_key(database, settings)


def _database_url(postgres: PostgresServer, *, keep: bool) -> str:
    """The server's own database where data are kept over runs; an empty one otherwise."""
    return postgres.url if keep else postgres.create_database(_DATABASE)


def _start_services(
    stack: ExitStack, plans: Sequence[ServicePlan], folder: Path, say: Say
) -> tuple[ServiceProcess, ...]:
    started: list[ServiceProcess] = []
    stack.callback(_stop, started)
    for one in plans:
        started.append(ServiceProcess(one, folder.resolve()))
    for service in started:
        service.wait_ready(READY_SECONDS)
        say(f"{service.plan.label} is ready at {service.plan.url} (process {service.pid})")
    return tuple(started)


def _stop(services: Sequence[ServiceProcess]) -> None:
    """Whoever takes events ends first; what is left has nothing new to do. Engines and notifier end side by side."""
    for service in services[:1]:
        service.ask_to_stop()
        service.wait_stopped()
    for service in services[1:]:
        service.ask_to_stop()
    for service in services[1:]:
        service.wait_stopped()
