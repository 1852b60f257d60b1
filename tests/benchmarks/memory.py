"""Memory of one engine while it applies a million events of 20,000 customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.backlog import Backlog, append
from tests.benchmarks.cluster import ServiceProcess, cluster
from tests.benchmarks.drain import CUSTOMERS, drain
from tests.benchmarks.report import Line, step

_EVENTS = 1_000_000
_STEPS = 10


@dataclass(slots=True)
class _Watched:
    """Resident memory in MiB, once for each tenth of the events."""

    each: int
    sizes: list[float] = field(default_factory=list)

    def __call__(self, done: int, services: Sequence[ServiceProcess]) -> None:
        while len(self.sizes) < min(done // self.each, _STEPS):
            self.sizes.append(services[0].rss() / 2**20)


async def measure(scale: float = 1.0) -> list[Line]:
    """The last half is to be flat. `scale` shortens the backlog."""
    events = int(_EVENTS * scale)
    step(f"memory over {events:,} events")
    watched = _Watched(events // _STEPS)
    async with cluster() as running:
        await append(running, Backlog("memory", events, CUSTOMERS).messages())
        drained = await drain(running, events, watch=watched)
    watched.sizes += [drained.memory_mib] * (_STEPS - len(watched.sizes))
    lines = [
        Line(f"  engine's memory after {number * watched.each:,} events", f"{size:.0f} MiB")
        for number, size in enumerate(watched.sizes, start=1)
    ]
    last = watched.sizes[_STEPS // 2 - 1 :]
    spread = (max(last) - min(last)) / min(last) / 2
    return [
        Line(f"engine drain, {events:,} events in one go", f"{drained.rate:,.0f} events/s", cpu=drained.cpu_text()),
        *lines,
        Line("  flat over the last half", f"±{spread:.1%}", "≤ ±5 %", spread <= 0.05),
        Line("  most of all", f"{max(watched.sizes):.0f} MiB", "≤ 200", max(watched.sizes) <= 200),
    ]
