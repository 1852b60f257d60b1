"""A version with a fact that is computed from history is published while events come: no partition may stand still."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sqlalchemy import func, select

from services.stage_engine.definitions.definition import Definition, load_definition, parse_definition, shipped_or_path
from services.stage_engine.publications.publishing import Request, publish
from services.stage_engine.store import tables
from shared.contracts.times import DAY_MS, now_ms
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.log.port import Log
from tests.benchmarks.cluster import cluster
from tests.benchmarks.drain import FIRST_PORT, share_partitions
from tests.benchmarks.fresh import FRESH_RATE, arrivals, post_while, told, waits
from tests.benchmarks.preloaded import Crowd, preload
from tests.benchmarks.report import Line, step

CUSTOMERS = 200_000
MOST_WAIT_MS = 2_000
_TENANT = "publish"
_BEFORE_SECONDS = 3.0
_OWN = "lately: {count: purchase, within: 90d}"


@dataclass(slots=True)
class _Publishing:
    """When it was published, and when the last customer had met it (milliseconds)."""

    began_ms: int = 0
    done_ms: int = 0

    async def work(self, database: Database, log: Log) -> None:
        """Publish once the engine is warm, and wait until everybody has met it."""
        await asyncio.sleep(_BEFORE_SECONDS)
        self.began_ms = now_ms()
        await publish(database, log, _next_version(), Request("a benchmark", "bench", self.began_ms))
        while not await _all_met(database):
            await asyncio.sleep(0.2)
        self.done_ms = now_ms()
        await asyncio.sleep(0.5)


async def measure(scale: float = 1.0) -> list[Line]:
    """One engine. `scale` makes the customers fewer."""
    customers = int(CUSTOMERS * scale)
    step(f"publishing over {customers:,} customers, with {FRESH_RATE} fresh events/s")
    async with cluster() as running:
        began = time.monotonic()
        await preload(running, Crowd(_TENANT, customers, now_ms() - DAY_MS))
        step(f"  made in {time.monotonic() - began:.0f} s")
        engine = await asyncio.to_thread(running.start, "engine", FIRST_PORT)
        await share_partitions(running, [engine])
        publishing = _Publishing()
        await post_while(running, _TENANT, publishing.work)
        running.stop([engine])
        events = await arrivals(running, Topic.EVENTS, _TENANT)
        changes = await arrivals(running, Topic.STAGE_CHANGED, _TENANT)
    waited, came = waits(events, changes, (publishing.began_ms, publishing.done_ms))
    seconds = (publishing.done_ms - publishing.began_ms) / 1000
    what = f"published over {customers:,} customers, a new fact from history"
    return [
        Line(what, f"all met it within {seconds:.1f} s, {customers / seconds:,.0f}/s"),
        *told(waited, came),
        Line(
            "    longest, of any partition", f"{waited[-1]:,} ms", f"≤ {MOST_WAIT_MS:,} ms", waited[-1] <= MOST_WAIT_MS
        ),
    ]


def _next_version() -> Definition:
    shipped = load_definition(shipped_or_path("ecommerce"))
    return parse_definition("ecommerce.yaml", shipped.body.replace("\nfacts:\n", f"\nfacts:\n  {_OWN}\n", 1))


async def _all_met(database: Database) -> bool:
    """Whether every partition goes by the publication, and no customer is behind."""
    at, people = tables.progress.c, tables.customers.c
    behind = (
        select(func.count()).select_from(tables.customers.join(tables.progress, people.partition == at.partition))
    ).where(people.activation < at.activation)
    async with database.reading() as transaction:
        least = (await transaction.execute(select(func.min(at.activation)))).scalar_one()
        return bool(least) and (await transaction.execute(behind)).scalar_one() == 0
