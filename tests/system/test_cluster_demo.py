"""The cluster: the demo's story on real servers, and nothing left behind however it ends."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import psutil

from services.cli.demo.story import STORY
from tests.conftest import wait_until
from tests.system.commands import ended_by, finished, read_until, running

CLUSTER = ("-m", "deploy.cluster")


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_the_demo_tells_its_story_on_kafka_and_postgresql(tmp_path: Path) -> None:
    result = finished([*CLUSTER, "--demo"], tmp_path, timeout_seconds=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "expectations hold" in result.stdout
    assert f"{STORY.webhooks()} webhooks, each verified by its receiver" in result.stdout
    moves = sum(len(one.moves) for one in STORY.customers)
    said = re.search(r"jornada.stage-changed.v1: (\d+) records(?:, (\d+) of them sent again)?", result.stdout)
    assert said is not None
    assert int(said[1]) - int(said[2] or 0) == moves
    assert re.search(r"demo:helena │ customer.stage_changed", result.stdout)
    assert "jornada.dead-letters.v1: 0 records" in result.stdout


def test_the_cluster_ends_in_order_when_told_to(tmp_path: Path) -> None:
    with running(CLUSTER, tmp_path) as process:
        banner = read_until(process, "Ctrl-C")
        assert "the cluster is up" in banner, banner
        started = descendants(process.pid)
        assert r"%s\n'" in banner
        assert r"\\n" not in banner
        # A guard with its server or service, for two servers and four services at least.
        assert len(started) >= 12
        assert ended_by(process, signal.SIGINT, 90) == 0, (tmp_path / "stderr.txt").read_text()
    assert are_gone(started)
    for log in (tmp_path / ".run" / "cluster").glob("*.log"):
        assert "cut off while stopping" not in log.read_text(), log


def test_the_cluster_leaves_nothing_behind_when_it_is_killed(tmp_path: Path) -> None:
    with running(CLUSTER, tmp_path) as process:
        assert "the cluster is up" in read_until(process, "Ctrl-C")
        started = descendants(process.pid)
        process.kill()
        process.wait()
    wait_until(lambda: are_gone(started), 30, what="the end of every process of the cluster")
