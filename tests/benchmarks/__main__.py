"""`python -m tests.benchmarks [ingest] [drain] [latency] [advance]`: all of them without a name."""

from __future__ import annotations

import asyncio
import sys

from tests.benchmarks import advance_cost, drain, ingest_load, latency
from tests.benchmarks.cluster import cluster
from tests.benchmarks.report import Line, show, step

_SECTIONS = ("advance", "ingest", "drain", "latency")


async def _run(chosen: list[str]) -> list[Line]:
    lines: list[Line] = []
    if "advance" in chosen:
        step("advance alone")
        cost = advance_cost.measure()
        lines.append(Line("advance, two lifecycles, one core", f"{cost:.1f} µs an event", "≤ 35", cost <= 35))
    if chosen == ["advance"]:
        return lines
    step("starting Kafka and PostgreSQL")
    if {"latency", "ingest"} & set(chosen):
        async with cluster() as running:
            if "latency" in chosen:
                lines += await latency.measure(running)
            if "ingest" in chosen:
                lines += await asyncio.to_thread(ingest_load.measure, running)
    if "drain" in chosen:
        for engines, goal in drain.RUNS:
            async with cluster() as running:
                lines += await drain.measure(running, engines, goal)
    return lines


def main() -> int:
    """Measure and print. Exits 1 when a goal was missed, 2 when it could not be measured."""
    chosen = sys.argv[1:] or list(_SECTIONS)
    if unknown := set(chosen) - set(_SECTIONS):
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(_SECTIONS)}")
        return 2
    try:
        lines = asyncio.run(_run(chosen))
    except ingest_load.NoClient as error:
        print(error)
        return 2
    show(lines)
    return 0 if all(line.met is not False for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
