"""From posting an event over HTTP to its signed webhook, at a steady 200 events/s, with memory watched meanwhile."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from statistics import median

import httpx2
import msgspec
from aiokafka import AIOKafkaConsumer
from standardwebhooks import Webhook

from shared.contracts.topics import Topic
from tests.benchmarks.cluster import Cluster
from tests.benchmarks.poster import Poster, posting
from tests.benchmarks.report import Line, step

_RATE = 200
_WARM_SECONDS = 5
_SECONDS = 30


@dataclass
class Receiver:
    """A webhook endpoint that verifies each signature and notes when each customer's change came."""

    secret: str = ""
    came: dict[str, float] = field(default_factory=dict)
    refused: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._one(head, reader)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, head: bytes, reader: asyncio.StreamReader) -> None:
        lines = head.decode().split("\r\n")[1:]
        given = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await reader.readexactly(int(given["content-length"]))
        now = time.time()
        try:
            Webhook(self.secret).verify(body, given)
        except Exception:  # whatever is wrong with it, it is no verified webhook
            self.refused += 1
            return
        data = msgspec.json.decode(body)["data"]
        if data["lifecycle"] == "ecommerce" and data["to"] == "lead":
            self.came.setdefault(data["customer_id"], now)


async def measure(cluster: Cluster) -> list[Line]:
    """All services as processes; every event signs up a new customer, so that each one makes a stage change."""
    step(f"post → signed webhook at {_RATE} events/s for {_SECONDS} s")
    ingest = await asyncio.to_thread(cluster.start, "ingest", 8121)
    engine = await asyncio.to_thread(cluster.start, "engine", 8122)
    notifier = await asyncio.to_thread(cluster.start, "notifier", 8123)
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    authorised = {"authorization": f"Bearer {cluster.key}"}
    async with httpx2.AsyncClient(headers=authorised, timeout=10) as client:
        host, port = server.sockets[0].getsockname()
        wanted = {"url": f"http://{host}:{port}/", "filters": {"lifecycles": ["ecommerce"], "to_stages": ["lead"]}}
        answer = await client.post(f"{notifier.url}/v1/subscriptions", json=wanted)
        answer.raise_for_status()
        receiver.secret = answer.json()["secret"]
    async with posting(ingest.url, cluster.key) as poster:
        await _post_steadily(poster, "warm", _WARM_SECONDS)
        memory = [each.rss() for each in (ingest, engine, notifier)]
        for each in (ingest, engine, notifier):
            each.mark()
        before = cluster.server_cpu()
        own = time.process_time()
        posted = await _post_steadily(poster, "timed", _SECONDS)
        own = time.process_time() - own
    deadline = time.time() + 20
    while not posted.keys() <= receiver.came.keys() and time.time() < deadline:
        await asyncio.sleep(0.05)
    server.close()
    after = cluster.server_cpu()
    used = {each.name: each.cpu_seconds() for each in (ingest, engine, notifier)}
    used |= {name: after[name] - before[name] for name in after} | {"client and receiver": own}
    cpu = ", ".join(f"{name} {seconds / len(posted) * 1e6:.0f}" for name, seconds in used.items())
    growth = [(each.rss() - before) / 2**20 for each, before in zip((ingest, engine, notifier), memory, strict=True)]
    largest = max(each.peak_rss for each in (ingest, engine, notifier)) / 2**20
    legs = await _legs(cluster, posted, receiver)
    cluster.stop([ingest, engine, notifier])
    waits = sorted(receiver.came[customer] - at for customer, at in posted.items() if customer in receiver.came)
    return [*_waits(len(posted), waits, receiver.refused, cpu), *legs, *_memory(growth, largest)]


async def _legs(cluster: Cluster, posted: dict[str, float], receiver: Receiver) -> list[Line]:
    """Where the time goes, by the arrival times of the two topics in between."""
    events = await _arrivals(cluster, Topic.EVENTS)
    changes = await _arrivals(cluster, Topic.STAGE_CHANGED)
    whole = [each for each in posted if each in events and each in changes and each in receiver.came]
    legs = {
        "post → events topic": [events[each] - posted[each] for each in whole],
        "events topic → stage-changed topic": [changes[each] - events[each] for each in whole],
        "stage-changed topic → webhook": [receiver.came[each] - changes[each] for each in whole],
    }
    return [Line(f"  {name}, p50", f"{median(values) * 1000:.0f} ms") for name, values in legs.items() if values]


async def _arrivals(cluster: Cluster, topic: Topic) -> dict[str, float]:
    """When the last record about each customer came to a topic, in seconds since 1970."""
    found: dict[str, float] = {}
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=cluster.settings.kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        while batch := await consumer.getmany(timeout_ms=1_500):
            for record in (record for records in batch.values() for record in records):
                found[record.key.decode().partition(":")[2]] = record.timestamp / 1000
    finally:
        await consumer.stop()
    return found


def _waits(posted: int, waits: list[float], refused: int, cpu: str) -> list[Line]:
    p50, p99 = waits[len(waits) // 2] * 1000, waits[int(len(waits) * 0.99)] * 1000
    complete = len(waits) == posted and not refused
    return [
        Line("webhooks verified of events posted", f"{len(waits):,} of {posted:,}", "all", complete, cpu),
        Line(f"post → signed webhook at {_RATE} events/s, p50", f"{p50:.0f} ms", "≤ 80 ms", p50 <= 80),
        Line("  p99", f"{p99:.0f} ms", "≤ 400 ms", p99 <= 400),
    ]


def _memory(growth: list[float], largest: float) -> list[Line]:
    grown = ", ".join(f"{each:+.0f}" for each in growth)
    return [
        Line("memory of ingest, engine, notifier over the run", f"{grown} MiB", "flat", max(growth) < 15),
        Line("  largest process", f"{largest:.0f} MiB", "≤ 200", largest <= 200),
    ]


async def _post_steadily(poster: Poster, name: str, seconds: int) -> dict[str, float]:
    """Open loop: events leave on schedule whether or not earlier ones were answered. Gives when each was sent."""
    sent: dict[str, float] = {}
    started = time.time()
    async with asyncio.TaskGroup() as group:
        for number in range(_RATE * seconds):
            await asyncio.sleep(max(0.0, started + number / _RATE - time.time()))
            customer = f"{name}-{number}"
            sent[customer] = time.time()
            group.create_task(poster.post(_signup(customer)))
    return sent


def _signup(customer: str) -> bytes:
    event = {"id": f"signup-{customer}", "type": "signup", "customer_id": customer, "data": {"name": "Ana"}}
    return msgspec.json.encode(event)
