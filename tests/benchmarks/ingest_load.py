"""Ingest under load from a compiled client: single events and batches, with and without the log."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.benchmarks.cluster import Cluster, ServiceProcess
from tests.benchmarks.report import Line, step

_HERE = Path(__file__).parent
_SECONDS = 8
_ROUNDS = 3


class NoClient(Exception):
    """There is no wrk; the message says how to get it."""


def ceiling(seconds: int = 3) -> float:
    """Requests per second that the client itself reaches against a server that does nothing but answer 202."""
    with _answering() as url:
        return _wrk(url, "single.lua", "none", seconds).requests_per_second


@contextmanager
def _answering() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(_HERE / "answering.py")], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


class Ran:
    """What one run of the client saw."""

    def __init__(self, output: str) -> None:
        found = re.search(r"Requests/sec:\s+([\d.]+)", output)
        if found is None:
            raise RuntimeError(f"wrk said nothing of requests per second:\n{output}")
        self.requests_per_second = float(found[1])
        errors = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
        self.errors = int(errors[1]) if errors else 0


def _wrk(url: str, script: str, key: str, seconds: int) -> Ran:
    binary = shutil.which("wrk")
    if binary is None:
        raise NoClient("wrk is not installed; it is in most distributions' packages (apt-get install wrk)")
    command = [binary, "-t1", "-c64", f"-d{seconds}s", "-s", str(_HERE / script), url, "--", key]
    ran = Ran(subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout)
    if ran.errors:
        raise RuntimeError(f"{ran.errors} answers were errors; figures of failing requests mean nothing")
    return ran


def _rate(cluster: Cluster, service: ServiceProcess, script: str, events: int) -> tuple[float, str]:
    """Events per second and a text of CPU µs per event."""
    service.mark()
    before = cluster.server_cpu()
    rate = _wrk(service.url, script, cluster.key, _SECONDS).requests_per_second * events
    handled = rate * _SECONDS
    kafka = (cluster.server_cpu()["Kafka"] - before["Kafka"]) / handled * 1e6
    return rate, f"ingest {service.cpu_seconds() / handled * 1e6:.1f}, Kafka {kafka:.1f}"


def measure(cluster: Cluster) -> list[Line]:
    """Both servers run side by side and are loaded in turn, so that the machine's moods hit both alike."""
    step("ingest under load of wrk with 64 clients")
    with_log = cluster.start("ingest", 8101)
    without = cluster.start("ingest", 8102, module="tests.benchmarks.without_log")
    singles, baselines, ratios, cpu = [], [], [], ""
    for _ in range(_ROUNDS):
        rate, cpu = _rate(cluster, with_log, "single.lua", 1)
        baseline, _ = _rate(cluster, without, "single.lua", 1)
        singles.append(rate)
        baselines.append(baseline)
        ratios.append(rate / baseline)
    batches, batch_cpu = zip(*[_rate(cluster, with_log, "batch.lua", 100) for _ in range(_ROUNDS)], strict=True)
    memory = with_log.rss() / 2**20
    cluster.stop([with_log, without])
    ratio, batch = median(ratios), median(batches)
    return [
        Line("client's own ceiling (server answers 202 to anything)", f"{ceiling():,.0f} requests/s"),
        Line("single events, 64 clients, same server without the log", f"{median(baselines):,.0f} events/s"),
        Line("single events, 64 clients, acknowledged by Kafka", f"{median(singles):,.0f} events/s", cpu=cpu),
        Line("  ratio of the two (median of rounds)", f"{ratio:.2f}", "≥ 0.5", ratio >= 0.5),
        Line(
            "batches of 100, acknowledged by Kafka",
            f"{batch:,.0f} events/s",
            "≥ 30,000",
            batch >= 30_000,
            batch_cpu[-1],
        ),
        Line("ingest memory after that", f"{memory:.0f} MiB", "≤ 200", memory <= 200),
    ]
