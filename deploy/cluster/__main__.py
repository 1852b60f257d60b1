"""`python -m deploy.cluster`: the cluster until Ctrl-C; with --demo, the demo's story on it, to an end by itself."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from deploy.cluster.running import Cluster, cluster
from deploy.cluster.topics_shown import show_topics
from deploy.servers import ServerError
from services.cli.console import console, say_error
from services.cli.demo import story
from services.cli.demo.telling import Stage, tell
from shared.contracts.topics import Topic
from shared.errors import Permanent, Transient

_FOLDER = Path(".run/cluster")
_PATIENCE_SECONDS = 90.0


def main() -> int:
    """Runs the cluster; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.cluster", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="tell the demo's story, show the topics, check, and end")
    parser.add_argument(
        "--data", type=Path, help="folder that keeps the servers' data; without it they are thrown away"
    )
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="for the services' logs and e-mails")
    given = parser.parse_args()
    # So that `kill` ends everything in order, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    out = console()
    try:
        return _demo(out, given.folder) if given.demo else _serve(out, given.folder, given.data)
    except KeyboardInterrupt:
        out.print("stopped")
        return 0
    except (ServerError, Permanent, Transient) as error:
        say_error(str(error))
        return 1


def _demo(out: Console, folder: Path) -> int:
    outbox = folder / "outbox"
    shutil.rmtree(outbox, ignore_errors=True)
    with _cluster(out, folder, None, demo=True) as running:
        assert running.token is not None
        stage = Stage(running.plan.addresses, running.token, running.plan.outbox, _PATIENCE_SECONDS)
        found = asyncio.run(tell(out, story.STORY, stage))
        counts = asyncio.run(show_topics(out, running.kafka.bootstrap, [topic.value for topic in Topic]))
        empty = [topic for topic in Topic if not counts[topic] and topic is not Topic.DEAD_LETTERS]
        for topic in empty:
            out.print(f"[bold red]differs[/] {topic} is empty")
    out.print(f"[dim]e-mails and the services' logs are in {folder}/[/]", soft_wrap=True)
    return 1 if found or empty else 0


def _serve(out: Console, folder: Path, data: Path | None) -> int:
    with _cluster(out, folder, data, demo=False) as running:
        _banner(out, running)
        running.watch()
    return 0


def _cluster(
    out: Console, folder: Path, data: Path | None, *, demo: bool
) -> contextlib.AbstractContextManager[Cluster]:
    def say(line: str) -> None:
        out.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {line}", soft_wrap=True)
        out.file.flush()

    return cluster(folder, data, say, demo=demo)


def _banner(out: Console, running: Cluster) -> None:
    where = running.plan.addresses
    kafka = running.kafka.bootstrap
    lines = [
        "\n[bold green]the cluster is up[/]",
        f"post events    {where.ingest}/v1/events   ({where.ingest}/docs)",
        f"customers      {where.engine}/v1/customers",
        f"subscriptions  {where.notifier}/v1/subscriptions",
        f"API key        [bold]{running.token or 'as before (the data were kept)'}[/]",
        f"Kafka          {kafka}   PostgreSQL on port {running.postgres.port}",
        f"look at a topic: kcat -b {kafka} -t {Topic.STAGE_CHANGED} -C -f '%p %o %k %s\\n'",
        f"e-mails in {running.plan.outbox}, logs beside it; Ctrl-C ends everything",
    ]
    for line in lines:
        out.print(line, soft_wrap=True)
    out.file.flush()


if __name__ == "__main__":
    sys.exit(main())
