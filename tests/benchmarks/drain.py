"""The engine drains a backlog from Kafka into PostgreSQL: 200,000 events of 20,000 customers, with one engine and two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx2
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from services.stage_engine.store import tables
from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.db.connect import connect
from shared.db.port import Database
from tests.benchmarks.backlog import Backlog, append
from tests.benchmarks.cluster import Cluster, ServiceProcess
from tests.benchmarks.report import Line, step

EVENTS = 200_000
CUSTOMERS = 20_000
RUNS = ((1, 8_000), (2, 12_000))
"""Numbers of engines, each with the events per second to be reached. Each run has servers of its own: the second one would
otherwise measure a database that is twice as large."""
FIRST_PORT = 8110

Watch = Callable[[int, Sequence[ServiceProcess]], None]
"""Is told now and then how many events are applied."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain came to. CPU and phases are microseconds per event; phases are time gone by, and two batches overlap."""

    rate: float
    cpu: Mapping[str, float]
    phases: Mapping[str, float]
    memory_mib: float

    def cpu_text(self) -> str:
        """For the table."""
        return ", ".join(f"{name} {cost:.0f}" for name, cost in self.cpu.items())

    def phases_text(self) -> str:
        """For the table."""
        return ", ".join(f"{name} {cost:.0f}" for name, cost in self.phases.items())


async def measure(cluster: Cluster, engines: int, goal: int, scale: float = 1.0) -> list[Line]:
    """Drain a backlog of one fresh tenant."""
    many = f"{engines} engine{'s' if engines > 1 else ''}"
    step(f"engine drain with {many}")
    backlog = Backlog(f"drain{engines}", int(EVENTS * scale), int(CUSTOMERS * scale), engines)
    await append(cluster, backlog.messages())
    found = await drain(cluster, backlog.events, engines)
    what = f"engine drain, {backlog.events:,} events, {backlog.customers:,} customers, {many}"
    return [
        Line(what, f"{found.rate:,.0f} events/s", f"≥ {goal:,}", found.rate >= goal, found.cpu_text()),
        Line("  time in each phase of a batch, µs per event", found.phases_text()),
        Line("  memory of an engine after that", f"{found.memory_mib:.0f} MiB", "≤ 200", found.memory_mib <= 200),
    ]


async def drain(cluster: Cluster, events: int, engines: int = 1, watch: Watch | None = None) -> Drained:
    """Apply so many events that wait in the log. From when every engine has its share of the partitions until the last
    record has come to a topic.

    The end is the log's own time of the last record: outbox rows are deleted a while after they were appended.
    """
    database = connect(cluster.settings.database_url, 2)
    already = await applied(database)
    services = [await asyncio.to_thread(cluster.start, "engine", FIRST_PORT + number) for number in range(engines)]
    await share_partitions(cluster, services)
    for each in services:
        each.mark()
    servers = cluster.server_cpu()
    first, started_ms = await applied(database), now_ms()
    while (done := await applied(database)) < already + events or await waiting(database):
        if watch is not None:
            watch(done - already, services)
        await asyncio.sleep(0.1)
    used = {name: total - servers[name] for name, total in cluster.server_cpu().items()}
    seconds = (await last_arrival_ms(cluster) - started_ms) / 1000
    await database.close()
    counted = already + events - first
    cpu = {"engines" if engines > 1 else "engine": sum(each.cpu_seconds() for each in services), **used}
    phases = await _phases(services)
    memory = max(each.rss() for each in services) / 2**20
    cluster.stop(services)
    return Drained(
        counted / seconds,
        {name: spent / counted * 1e6 for name, spent in cpu.items()},
        {name: spent / events * 1e6 for name, spent in phases.items()},
        memory,
    )


async def share_partitions(cluster: Cluster, services: Sequence[ServiceProcess]) -> None:
    """Wait until every engine has as many partitions as the others."""
    share = cluster.settings.partitions // len(services)
    while not all(await asyncio.gather(*(_owns(each, share) for each in services))):
        await asyncio.sleep(0.02)


async def _owns(service: ServiceProcess, partitions: int) -> bool:
    return f'jornada_partitions_owned{{service="engine"}} {partitions:.1f}' in await _metrics(service)


async def _metrics(service: ServiceProcess) -> str:
    async with httpx2.AsyncClient() as client:
        return (await client.get(f"{service.url}/metrics")).text


async def _phases(services: Sequence[ServiceProcess]) -> dict[str, float]:
    """Seconds that batches have spent in each phase."""
    found: dict[str, float] = {}
    for service in services:
        for family in text_string_to_metric_families(await _metrics(service)):
            for sample in family.samples:
                if sample.name == "jornada_batch_phase_seconds_sum" and sample.labels["service"] == "engine":
                    phase = sample.labels["phase"]
                    found[phase] = found.get(phase, 0.0) + sample.value
    return found


async def last_arrival_ms(cluster: Cluster) -> int:
    """When the last record came to the topics that engines write."""
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster.settings.kafka_bootstrap)
    await consumer.start()
    try:
        partitions = range(cluster.settings.partitions)
        places = [
            TopicPartition(topic, n) for topic in (Topic.STAGE_CHANGED, Topic.CUSTOMER_UPDATED) for n in partitions
        ]
        consumer.assign(places)
        # Transactions end with a marker, which has an offset and is no record.
        for place, end in (await consumer.end_offsets(places)).items():
            consumer.seek(place, max(0, end - 3))
        last = 0
        while batch := await consumer.getmany(timeout_ms=1_000):
            last = max([last, *(record.timestamp for records in batch.values() for record in records)])
        return last
    finally:
        await consumer.stop()


async def applied(database: Database) -> int:
    """Events applied, by the progress rows: every offset of the topic is an event here."""
    async with database.reading() as transaction:
        found = await transaction.execute(select(func.coalesce(func.sum(tables.progress.c.next_offset), 0)))
        return int(found.scalar_one())


async def waiting(database: Database) -> bool:
    """Whether the outbox holds anything."""
    async with database.reading() as transaction:
        found = await transaction.execute(select(tables.outbox.c.position).limit(1))
        return found.first() is not None
