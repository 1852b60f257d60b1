"""The engine drains a backlog from Kafka into PostgreSQL: 200,000 events of 20,000 customers, with one engine and two."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import httpx2
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import func, select

from services.stage_engine.store import tables
from shared.contracts.cloudevent import Posted, encode_posted, headers, record_key
from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.db.connect import connect
from shared.db.port import Database
from shared.log.connect import open_log
from shared.log.port import Message
from tests.benchmarks.cluster import Cluster, ServiceProcess
from tests.benchmarks.report import Line, step

EVENTS = 200_000
CUSTOMERS = 20_000
_TYPES = ("signup", "purchase", "engagement", "cart_updated", "survey_response", "complaint", "complaint_resolved")
_WEIGHTS = (8, 25, 45, 14, 4, 2, 2)


def messages(tenant: str, count: int, customers: int, seed: int) -> list[Message]:
    """A shop's mixture: mostly visits and carts, a quarter purchases, few complaints."""
    source, now = random.Random(seed), now_ms()
    made = []
    for number in range(count):
        customer = f"c-{source.randrange(customers)}"
        kind = source.choices(_TYPES, _WEIGHTS)[0]
        posted = Posted(
            tenant, customer, f"e-{seed}-{number}", kind, now - source.randrange(60_000), _data(kind, number)
        )
        made.append(Message(record_key(tenant, customer), encode_posted(posted), headers(kind, None)))
    return made


def _data(kind: str, number: int) -> bytes:
    texts: Mapping[str, str] = {
        "signup": f'{{"name":"Ana {number}","email":"ana{number}@shop.example","locale":"pt-BR"}}',
        "purchase": f'{{"order_id":"o-{number}","amount":"129.90","currency":"BRL"}}',
        "engagement": '{"channel":"visit"}',
        "cart_updated": f'{{"cart_id":"k-{number}","items":[{{"sku":"A1","quantity":2}}]}}',
        "survey_response": f'{{"kind":"nps","score":{number % 11}}}',
        "complaint": f'{{"complaint_id":"p-{number}","severity":"low"}}',
        "complaint_resolved": f'{{"complaint_id":"p-{number}"}}',
    }
    return texts[kind].encode()


RUNS = ((1, 8_000), (2, 12_000))
"""Numbers of engines, each with the events per second to be reached. Each run has servers of its own: the second one would
otherwise measure a database that is twice as large."""


async def measure(cluster: Cluster, engines: int, goal: int) -> list[Line]:
    """Drain a backlog of one fresh tenant."""
    step(f"engine drain with {engines} engine{'s' if engines > 1 else ''}")
    await _load(cluster, f"drain{engines}", engines)
    before = cluster.server_cpu()
    rate, services = await _drain(cluster, engines)
    after = cluster.server_cpu()
    cpu = [f"engine{'s' if engines > 1 else ''} {sum(each.cpu_seconds() for each in services) / EVENTS * 1e6:.0f}"]
    cpu += [f"{name} {(after[name] - before[name]) / EVENTS * 1e6:.0f}" for name in after]
    memory = max(each.rss() for each in services) / 2**20
    cluster.stop(services)
    what = f"engine drain, {EVENTS:,} events, {CUSTOMERS:,} customers, {engines} engine{'s' if engines > 1 else ''}"
    return [
        Line(what, f"{rate:,.0f} events/s", f"≥ {goal:,}", rate >= goal, ", ".join(cpu)),
        Line("  memory of an engine after that", f"{memory:.0f} MiB", "≤ 200", memory <= 200),
    ]


async def _load(cluster: Cluster, tenant: str, seed: int) -> None:
    database = connect(cluster.settings.database_url, 2)
    log = open_log(cluster.settings, database)
    producer = await log.producer()
    backlog = messages(tenant, EVENTS, CUSTOMERS, seed)
    for start in range(0, EVENTS, 2_000):
        await producer.append(Topic.EVENTS, backlog[start : start + 2_000])
    await producer.close()
    await log.close()
    await database.close()


async def _drain(cluster: Cluster, engines: int) -> tuple[float, list[ServiceProcess]]:
    """From when every engine has its share of the partitions until the last record has come to a topic.

    The end is the log's own time of the last record: outbox rows are deleted a while after they were appended.
    """
    database = connect(cluster.settings.database_url, 2)
    already = await _applied(database)
    services = [await asyncio.to_thread(cluster.start, "engine", 8110 + number) for number in range(engines)]
    share = cluster.settings.partitions // engines
    while not all(await asyncio.gather(*(_owns(each, share) for each in services))):
        await asyncio.sleep(0.02)
    for each in services:
        each.mark()
    first, started_ms = await _applied(database), now_ms()
    while await _applied(database) < already + EVENTS or await _waiting(database):
        await asyncio.sleep(0.1)
    seconds = (await _last_arrival_ms(cluster) - started_ms) / 1000
    await database.close()
    return (already + EVENTS - first) / seconds, services


async def _owns(service: ServiceProcess, partitions: int) -> bool:
    async with httpx2.AsyncClient() as client:
        metrics = (await client.get(f"{service.url}/metrics")).text
    return f'jornada_partitions_owned{{service="engine"}} {partitions:.1f}' in metrics


async def _last_arrival_ms(cluster: Cluster) -> int:
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


async def _applied(database: Database) -> int:
    """Events applied, by the progress rows: every offset of the topic is an event here."""
    async with database.reading() as transaction:
        found = await transaction.execute(select(func.coalesce(func.sum(tables.progress.c.next_offset), 0)))
        return int(found.scalar_one())


async def _waiting(database: Database) -> bool:
    async with database.reading() as transaction:
        found = await transaction.execute(select(tables.outbox.c.position).limit(1))
        return found.first() is not None
