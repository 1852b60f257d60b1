"""What concerns the past: importing it, living it again, and trying other rules on it."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from services.stage_engine.definitions.definition import SHIPPED, Definition, parse_definition
from services.stage_engine.planning.candidate import load_candidate
from services.stage_engine.planning.forecast import Forecast, concerned
from services.stage_engine.planning.foreseeing import Foreseeing
from services.stage_engine.rebuilding import Rebuild
from services.stage_engine.rulebook import RuleBook
from shared.auth.tenants import Tenants
from shared.contracts.times import DAY_MS, now_ms, to_text
from shared.db.connect import connect
from shared.db.port import Database
from tests.benchmarks.backlog import TYPES, WEIGHTS, data
from tests.benchmarks.cluster import ROOT, Cluster, cluster
from tests.benchmarks.drain import drain
from tests.benchmarks.report import Line, step

_EVENTS, _CUSTOMERS = 200_000, 20_000
_DAYS = 200
_INGEST_PORT = 8131


async def measure(scale: float = 1.0) -> list[Line]:
    """Half a year of new customers: their events are imported, applied, lived again, and looked at under other rules."""
    events, customers = int(_EVENTS * scale), int(_CUSTOMERS * scale)
    async with cluster() as running:
        step(f"import of {events:,} past events of {customers:,} new customers")
        lines = [await asyncio.to_thread(_import, running, events, customers)]
        drained = await drain(running, events)
        lines.append(
            Line("import: applied by the engine", f"{drained.rate:,.0f} events/s", cpu=drained.cpu_text()),
        )
        async with _opened(running) as opened:
            step("rebuild, and plan by states and by history")
            lines.append(await _rebuild(opened))
            for name, definition in (("stored states", _other_threshold()), ("history", _other_fact())):
                lines.append(await _plan(opened, name, definition, events))
    return lines


def _import(running: Cluster, events: int, customers: int) -> Line:
    """The command, as a person runs it: it reads and checks all lines, puts them in order, and posts them."""
    ingest = running.start("ingest", _INGEST_PORT)
    with tempfile.TemporaryDirectory(prefix="jornada-bench-") as folder:
        file = Path(folder) / "past.jsonl"
        with file.open("wb") as lines:
            lines.writelines(_past(events, customers))
        ingest.mark()
        command = [
            sys.executable,
            "-m",
            "services.cli.main",
            "import",
            str(file),
            "--url",
            ingest.url,
            "--format",
            "json",
        ]
        environment = {**os.environ, "JORNADA_KEY": running.key, "PYTHONPATH": str(ROOT)}
        began = time.monotonic()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
    cpu = f"ingest {ingest.cpu_seconds() / events * 1e6:.0f}"
    running.stop([ingest])
    return Line("import: file read, checked and posted", f"{events / seconds:,.0f} events/s", cpu=cpu)


def _past(events: int, customers: int) -> Iterator[bytes]:
    source, until = random.Random(11), now_ms() - DAY_MS
    for number in range(events):
        kind = source.choices(TYPES, WEIGHTS)[0]
        event = {
            "id": f"past-{number}",
            "type": kind,
            "customer_id": f"c-{source.randrange(customers)}",
            "time": to_text(until - (events - number) * _DAYS * DAY_MS // events),
            "data": msgspec.Raw(data(kind, number)),
        }
        yield msgspec.json.encode(event) + b"\n"


@dataclass(frozen=True, slots=True)
class _Opened:
    """The database, and what commands make for themselves to read it by."""

    database: Database
    settle_ms: int
    currency: str

    def rulebook(self) -> RuleBook:
        return RuleBook({}, Tenants(self.database), self.currency)


@asynccontextmanager
async def _opened(running: Cluster) -> AsyncIterator[_Opened]:
    settings = running.settings
    database = connect(settings.database_url, 2)
    try:
        yield _Opened(database, int(settings.backfill_settle_seconds * 1000), settings.default_currency)
    finally:
        await database.close()


@dataclass(slots=True)
class _Stopwatch:
    """Time and CPU of this process since it was made."""

    began: float
    cpu: float

    @classmethod
    def started(cls) -> _Stopwatch:
        return cls(time.monotonic(), time.process_time())

    def line(self, what: str, customers: int, events: int) -> Line:
        """Both rates, and the CPU of the process that did it."""
        seconds, cpu = time.monotonic() - self.began, time.process_time() - self.cpu
        figure = f"{customers / seconds:,.0f} customers/s, {events / seconds:,.0f} events/s"
        return Line(what, figure, cpu=f"process {cpu / events * 1e6:.0f}")


async def _rebuild(opened: _Opened) -> Line:
    watch, customers, events, differences = _Stopwatch.started(), 0, 0, 0
    async for page in Rebuild(opened.database, opened.rulebook(), opened.settle_ms).pages():
        customers, events = customers + page.customers, events + page.events
        differences += len(page.differences)
    line = watch.line("rebuild: lived again and compared", customers, events)
    return replace(line, goal="0 differences", met=differences == 0)


async def _plan(opened: _Opened, name: str, definition: Definition, events: int) -> Line:
    watch = _Stopwatch.started()
    candidate = await load_candidate(opened.database, opened.rulebook(), definition, {})
    forecast = Forecast(concerned(candidate))
    async for page in Foreseeing(opened.database, candidate, opened.settle_ms, now_ms()).pages():
        for each in page:
            forecast.add(each)
    return watch.line(f"plan by {name}: {forecast.moved:,} would move", forecast.customers, events)


def _other_threshold() -> Definition:
    """ecommerce with another number in a condition: what it takes is in the stored states."""
    return _changed("facts.orders >= 4 &&", "facts.orders >= 3 &&")


def _other_fact() -> Definition:
    """ecommerce with a fact that nobody has counted yet."""
    fact = "\nfacts:\n  orders_90d: {count: purchase, within: 90d}\n"
    return _changed("facts.orders >= 4 &&", "facts.orders_90d >= 2 &&", ("\nfacts:\n", fact))


def _changed(before: str, after: str, *more: tuple[str, str]) -> Definition:
    text = (SHIPPED / "ecommerce.yaml").read_text()
    for old, new in ((before, after), *more):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return parse_definition("ecommerce.yaml", text)
