"""The same drain over 10,000 customers and over 1,000,000: what it costs that most of them were not heard of for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shared.contracts.times import DAY_MS, now_ms
from tests.benchmarks.backlog import Backlog, append
from tests.benchmarks.cluster import cluster
from tests.benchmarks.drain import Drained, drain
from tests.benchmarks.postgres_cost import counts
from tests.benchmarks.preloaded import Crowd, preload
from tests.benchmarks.report import Line, step

FEW, MANY = 10_000, 1_000_000
_EVENTS = 200_000
_TENANT = "crowd"


@dataclass(frozen=True, slots=True)
class _Run:
    customers: int
    drained: Drained
    postgres: str

    def lines(self) -> list[Line]:
        drained = self.drained
        what = f"engine drain over {self.customers:,} customers who were there before"
        return [
            Line(what, f"{drained.rate:,.0f} events/s", cpu=drained.cpu_text()),
            Line("  time in each phase of a batch, µs per event", drained.phases_text()),
            Line("  PostgreSQL per event", self.postgres),
            Line(
                "  memory of the engine after that", f"{drained.memory_mib:.0f} MiB", "≤ 200", drained.memory_mib <= 200
            ),
        ]


async def measure(scale: float = 1.0) -> list[Line]:
    """Both, each on servers of its own. `scale` makes the many fewer, and the events."""
    few, many = [await _run(customers, int(_EVENTS * scale)) for customers in (FEW, int(MANY * scale))]
    ratio = many.drained.rate / few.drained.rate
    goal = Line(f"  ratio of {many.customers:,} to {few.customers:,} customers", f"{ratio:.2f}", "≥ 0.6", ratio >= 0.6)
    return [*few.lines(), *many.lines(), goal]


async def _run(customers: int, events: int) -> _Run:
    step(f"engine drain over {customers:,} customers")
    async with cluster() as running:
        began = time.monotonic()
        await preload(running, Crowd(_TENANT, customers, now_ms() - DAY_MS))
        step(f"  made in {time.monotonic() - began:.0f} s")
        await append(running, Backlog(_TENANT, events, customers).messages())
        before = await counts(running)
        drained = await drain(running, events)
        return _Run(customers, drained, (await counts(running)).since(before, events))
