"""A million timers are due at once when the engine starts, and fresh events come meanwhile: neither may starve the other.

The customers bought sixty days and some minutes ago; all of them have gone quiet. Everything is timed by the log's own
arrival times, so that what the benchmark itself costs delays nothing that is measured.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer
from sqlalchemy import select

from services.stage_engine.store import tables
from shared.contracts.cloudevent import Posted
from shared.contracts.times import DAY_MS, MINUTE_MS, now_ms
from shared.contracts.topics import Topic
from shared.db.connect import connect
from shared.db.port import Database
from shared.log.connect import open_log
from shared.log.port import Message
from tests.benchmarks.backlog import data, message
from tests.benchmarks.cluster import Cluster, cluster
from tests.benchmarks.drain import FIRST_PORT, share_partitions, waiting
from tests.benchmarks.preloaded import Crowd, preload
from tests.benchmarks.report import Line, step

TIMERS = 1_000_000
RATE_GOAL = 4_000
_TENANT, _FRESH = "timers", "fresh-"
_FRESH_RATE = 500
_EVERY_SECONDS = 0.02
_SILENCE_MS = 60 * DAY_MS + 5 * MINUTE_MS
"""After so long the shipped e-commerce lifecycle calls somebody who buys quiet: its wait and its lateness."""


@dataclass(slots=True)
class _Arrivals:
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


async def measure(scale: float = 1.0) -> list[Line]:
    """One engine, no other load. `scale` makes the timers fewer."""
    timers = int(TIMERS * scale)
    step(f"{timers:,} timers due at once, with {_FRESH_RATE} fresh events/s")
    async with cluster() as running:
        ripe_ms = now_ms()
        began = time.monotonic()
        await preload(running, Crowd(_TENANT, timers, ripe_ms - _SILENCE_MS, with_past=False))
        step(f"  made in {time.monotonic() - began:.0f} s")
        engine = await asyncio.to_thread(running.start, "engine", FIRST_PORT)
        await share_partitions(running, [engine])
        engine.mark()
        before = running.server_cpu()
        await _post_until_fired(running, ripe_ms)
        cpu = {"engine": engine.cpu_seconds()}
        cpu |= {name: total - before[name] for name, total in running.server_cpu().items()}
        memory = engine.rss() / 2**20
        running.stop([engine])
        events, changes = await _arrivals(running, Topic.EVENTS), await _arrivals(running, Topic.STAGE_CHANGED)
    used = ", ".join(f"{name} {seconds / timers * 1e6:.0f}" for name, seconds in cpu.items())
    return [*_fired(timers, changes, used), *_fresh(events, changes), _memory(memory)]


async def _post_until_fired(running: Cluster, ripe_ms: int) -> None:
    """Sign up new customers at a steady rate until no timer is ripe and everything is in the topics."""
    database = connect(running.settings.database_url, 2)
    log = open_log(running.settings, database)
    producer = await log.producer()
    fired = asyncio.create_task(_until_fired(database, ripe_ms))
    started, sent = time.monotonic(), 0
    try:
        while not fired.done():
            due = int((time.monotonic() - started) * _FRESH_RATE)
            await producer.append(Topic.EVENTS, [_signup(number) for number in range(sent, due)])
            sent = due
            await asyncio.sleep(_EVERY_SECONDS)
        await fired
        while await waiting(database):
            await asyncio.sleep(0.2)
    finally:
        fired.cancel()
        await producer.close()
        await log.close()
        await database.close()


async def _until_fired(database: Database, ripe_ms: int) -> None:
    ripe = select(tables.timers.c.customer_id).where(tables.timers.c.ripe_ms <= ripe_ms).limit(1)
    while True:
        await asyncio.sleep(0.5)
        async with database.reading() as transaction:
            if (await transaction.execute(ripe)).first() is None:
                return


def _signup(number: int) -> Message:
    customer = f"{_FRESH}{number}"
    return message(Posted(_TENANT, customer, f"signup-{number}", "signup", now_ms(), data("signup", number)))


async def _arrivals(running: Cluster, topic: Topic) -> _Arrivals:
    found, mark = _Arrivals(), f"{_TENANT}:{_FRESH}".encode()
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


def _fired(timers: int, changes: _Arrivals, cpu: str) -> list[Line]:
    count, rate = len(changes.others), changes.rate(0, 1)
    tenths = f"{changes.rate(0, 0.1):,.0f}/s, {changes.rate(0.9, 1):,.0f}/s"
    return [
        Line("stage changes in the topic of timers due", f"{count:,} of {timers:,}", "all", count == timers),
        Line("timers due at once, through to the topic", f"{rate:,.0f}/s", f"≥ {RATE_GOAL:,}", rate >= RATE_GOAL, cpu),
        Line("  the first tenth, the last tenth", tenths),
    ]


def _fresh(events: _Arrivals, changes: _Arrivals) -> list[Line]:
    """Those that came while timers were going off."""
    during: Mapping[bytes, int] = {
        key: at for key, at in events.fresh.items() if changes.first_ms <= at <= changes.last_ms
    }
    waits = sorted(changes.fresh[key] - at for key, at in during.items() if key in changes.fresh)
    p50, p99 = (waits[int(len(waits) * share)] for share in (0.5, 0.99))
    return [
        Line(
            "  fresh events meanwhile, heard of in the topic",
            f"{len(waits):,} of {len(during):,}",
            "all",
            len(waits) == len(during),
        ),
        Line("  events topic → stage-changed topic, p50", f"{p50:,} ms"),
        Line("    p99", f"{p99:,} ms", "≤ 2,000 ms", p99 <= 2_000),
    ]


def _memory(mebibytes: float) -> Line:
    return Line("  memory of the engine after that", f"{mebibytes:.0f} MiB", "≤ 200", mebibytes <= 200)
