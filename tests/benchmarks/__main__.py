"""`python -m tests.benchmarks [scale=0.1] [section …]`: all sections without a name. See docs/performance.md."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tests.benchmarks import (
    advance_cost,
    customers,
    drain,
    history,
    ingest_load,
    latency,
    memory,
    publish,
    rules,
    timers,
)
from tests.benchmarks.cluster import cluster
from tests.benchmarks.report import Line, show, step

INTERRUPTED = 130
Section = Callable[[float], Awaitable[list[Line]]]
"""Measures one thing; is given the scale: 1 for what the goals speak of, less for a short try."""


async def _advance(_scale: float) -> list[Line]:
    step("advance alone")
    cost = advance_cost.measure()
    return [Line("advance, two lifecycles, one core", f"{cost:.1f} µs an event", "≤ 35", cost <= 35)]


async def _rules(scale: float) -> list[Line]:
    return rules.measure(scale)


async def _ingest(_scale: float) -> list[Line]:
    async with cluster() as running:
        return await asyncio.to_thread(ingest_load.measure, running)


async def _latency(_scale: float) -> list[Line]:
    async with cluster() as running:
        return await latency.measure(running)


async def _drain(scale: float) -> list[Line]:
    lines = []
    for engines, goal in drain.RUNS:
        async with cluster() as running:
            lines += await drain.measure(running, engines, goal, scale)
    return lines


_SECTIONS: Mapping[str, Section] = {
    "advance": _advance,
    "rules": _rules,
    "latency": _latency,
    "ingest": _ingest,
    "drain": _drain,
    "customers": customers.measure,
    "timers": timers.measure,
    "publish": publish.measure,
    "history": history.measure,
    "memory": memory.measure,
}


def main() -> int:
    """Measure and print. Exits 1 when a goal was missed or a section broke, 2 when it could not be measured, 130 after
    Ctrl-C; what was measured until then is printed."""
    try:
        chosen, scale = _asked(sys.argv[1:])
    except ValueError as error:
        print(error)
        return 2
    lines: list[Line] = []
    try:
        asyncio.run(_run(chosen, scale, lines))
    except ingest_load.NoClient as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        show(lines, "" if scale == 1 else f"scale {scale:g}: goals are those of scale 1")
    return 0 if all(line.met is not False for line in lines) else 1


def _asked(arguments: Sequence[str]) -> tuple[list[str], float]:
    """The sections and the scale. Raises ValueError that says what there is."""
    names = [each for each in arguments if "=" not in each]
    options = dict(each.split("=", 1) for each in arguments if "=" in each)
    scale = float(options.pop("scale", "1"))
    if unknown := [*(set(names) - _SECTIONS.keys()), *options]:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(_SECTIONS)} and scale=0.01 … 1")
    if not 0.01 <= scale <= 1:
        raise ValueError("scale is between 0.01 and 1")
    return names or list(_SECTIONS), scale


async def _run(chosen: Sequence[str], scale: float, lines: list[Line]) -> None:
    """One section after the other; one that breaks is told, and the others go on."""
    for name in chosen:
        try:
            lines += await _SECTIONS[name](scale)
        except ingest_load.NoClient:
            raise
        except Exception as error:  # the loop's edge: an hour of measuring is not thrown away for one section
            traceback.print_exc()
            lines.append(Line(name, f"broke: {error}", "measured", met=False))


if __name__ == "__main__":
    sys.exit(main())
