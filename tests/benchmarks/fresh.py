"""Fresh events at a steady rate while an engine has something else to do, and how long they wait for it.

Everything is timed by the log's own arrival times, so that what the benchmark itself costs delays nothing that is measured.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer

from shared.contracts.cloudevent import Posted
from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.db.connect import connect
from shared.db.port import Database
from shared.log.connect import open_log
from shared.log.port import Log, Message
from tests.benchmarks.backlog import data, message
from tests.benchmarks.cluster import Cluster
from tests.benchmarks.drain import waiting
from tests.benchmarks.report import Line

FRESH_RATE = 500
_FRESH = "fresh-"
_EVERY_SECONDS = 0.02

Work = Callable[[Database, Log], Awaitable[None]]
"""What goes on while fresh events come; they come until it returns."""


@dataclass(slots=True)
class Arrivals:
    """Milliseconds since 1970 at which records came to a topic."""

    fresh: dict[bytes, int] = field(default_factory=dict)
    """By key: of the last record about somebody who came meanwhile."""
    others: array[int] = field(default_factory=lambda: array("q"))
    """Of all other records, in the order of time once all are read."""

    @property
    def first_ms(self) -> int:
        return self.others[0]

    @property
    def last_ms(self) -> int:
        return self.others[-1]

    def rate(self, from_share: float, to_share: float) -> float:
        """Records per second between two shares of all of them."""
        first, last = (int(share * (len(self.others) - 1)) for share in (from_share, to_share))
        return (last - first) / max(self.others[last] - self.others[first], 1) * 1000


async def post_while(running: Cluster, tenant: str, work: Work) -> None:
    """Sign up new customers at a steady rate until the work is done and everything is in the topics."""
    database = connect(running.settings.database_url, 2)
    log = open_log(running.settings, database)
    producer = await log.producer()
    working = asyncio.ensure_future(work(database, log))
    started, sent = time.monotonic(), 0
    try:
        while not working.done():
            due = int((time.monotonic() - started) * FRESH_RATE)
            await producer.append(Topic.EVENTS, [_signup(tenant, number) for number in range(sent, due)])
            sent = due
            await asyncio.sleep(_EVERY_SECONDS)
        await working
        while await waiting(database):
            await asyncio.sleep(0.2)
    finally:
        working.cancel()
        await producer.close()
        await log.close()
        await database.close()


def _signup(tenant: str, number: int) -> Message:
    customer = f"{_FRESH}{number}"
    return message(Posted(tenant, customer, f"signup-{number}", "signup", now_ms(), data("signup", number)))


async def arrivals(running: Cluster, topic: Topic, tenant: str) -> Arrivals:
    """When records came to a topic."""
    found, mark = Arrivals(), f"{tenant}:{_FRESH}".encode()
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=running.settings.kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        while batch := await consumer.getmany(timeout_ms=1_500):
            for record in (record for records in batch.values() for record in records):
                if record.key.startswith(mark):
                    found.fresh[record.key] = record.timestamp
                else:
                    found.others.append(record.timestamp)
    finally:
        await consumer.stop()
    found.others = array("q", sorted(found.others))
    return found


def waits(events: Arrivals, changes: Arrivals, between: tuple[int, int]) -> tuple[list[int], int]:
    """How long each fresh event that came between two moments waited to be heard of, in milliseconds, the shortest first;
    and how many came."""
    during = {key: at for key, at in events.fresh.items() if between[0] <= at <= between[1]}
    return sorted(changes.fresh[key] - at for key, at in during.items() if key in changes.fresh), len(during)


def told(waited: list[int], came: int) -> list[Line]:
    """The lines of the report."""
    p50, p99 = (waited[int(len(waited) * share)] for share in (0.5, 0.99))
    heard = f"{len(waited):,} of {came:,}"
    return [
        Line("  fresh events meanwhile, heard of in the topic", heard, "all", len(waited) == came),
        Line("  events topic → stage-changed topic, p50", f"{p50:,} ms"),
        Line("    p99", f"{p99:,} ms", "≤ 2,000 ms", p99 <= 2_000),
    ]
