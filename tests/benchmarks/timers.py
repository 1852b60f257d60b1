"""A million timers are due at once when the engine starts, and fresh events come meanwhile: neither may starve the other.

The customers bought sixty days and some minutes ago; all of them have gone quiet.
"""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import select

from services.stage_engine.store import tables
from shared.contracts.times import DAY_MS, MINUTE_MS, now_ms
from shared.contracts.topics import Topic
from shared.db.port import Database
from tests.benchmarks.cluster import cluster
from tests.benchmarks.drain import FIRST_PORT, share_partitions
from tests.benchmarks.fresh import FRESH_RATE, Arrivals, arrivals, post_while, told, waits
from tests.benchmarks.preloaded import Crowd, preload
from tests.benchmarks.report import Line, step

TIMERS = 1_000_000
RATE_GOAL = 4_000
_TENANT = "timers"
_SILENCE_MS = 60 * DAY_MS + 5 * MINUTE_MS
"""After so long the shipped e-commerce lifecycle calls somebody who buys quiet: its wait and its lateness."""


async def measure(scale: float = 1.0) -> list[Line]:
    """One engine, no other load. `scale` makes the timers fewer."""
    timers = int(TIMERS * scale)
    step(f"{timers:,} timers due at once, with {FRESH_RATE} fresh events/s")
    async with cluster() as running:
        ripe_ms = now_ms()
        began = time.monotonic()
        await preload(running, Crowd(_TENANT, timers, ripe_ms - _SILENCE_MS, with_past=False))
        step(f"  made in {time.monotonic() - began:.0f} s")
        engine = await asyncio.to_thread(running.start, "engine", FIRST_PORT)
        await share_partitions(running, [engine])
        engine.mark()
        before = running.server_cpu()
        await post_while(running, _TENANT, lambda database, _: _until_fired(database, ripe_ms))
        cpu = {"engine": engine.cpu_seconds()}
        cpu |= {name: total - before[name] for name, total in running.server_cpu().items()}
        memory = engine.rss() / 2**20
        running.stop([engine])
        events = await arrivals(running, Topic.EVENTS, _TENANT)
        changes = await arrivals(running, Topic.STAGE_CHANGED, _TENANT)
    used = ", ".join(f"{name} {seconds / timers * 1e6:.0f}" for name, seconds in cpu.items())
    return [
        *_fired(timers, changes, used),
        *told(*waits(events, changes, (changes.first_ms, changes.last_ms))),
        _memory(memory),
    ]


async def _until_fired(database: Database, ripe_ms: int) -> None:
    ripe = select(tables.timers.c.customer_id).where(tables.timers.c.ripe_ms <= ripe_ms).limit(1)
    while True:
        await asyncio.sleep(0.5)
        async with database.reading() as transaction:
            if (await transaction.execute(ripe)).first() is None:
                return


def _fired(timers: int, changes: Arrivals, cpu: str) -> list[Line]:
    count, rate = len(changes.others), changes.rate(0, 1)
    tenths = f"{changes.rate(0, 0.1):,.0f}/s, {changes.rate(0.9, 1):,.0f}/s"
    return [
        Line("stage changes in the topic of timers due", f"{count:,} of {timers:,}", "all", count == timers),
        Line("timers due at once, through to the topic", f"{rate:,.0f}/s", f"≥ {RATE_GOAL:,}", rate >= RATE_GOAL, cpu),
        Line("  the first tenth, the last tenth", tenths),
    ]


def _memory(mebibytes: float) -> Line:
    return Line("  memory of the engine after that", f"{mebibytes:.0f} MiB", "≤ 200", mebibytes <= 200)
