"""`python -m tests.faults`: the whole run, then how fast a dead engine's partitions are taken over by default.

With --mutate: takes each guard away in a copy of the tree and demands that its test fails.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
from pathlib import Path

from rich.console import Console

from tests.faults import mutations
from tests.faults.report import show
from tests.faults.run import run
from tests.faults.scenarios import FULL, SHORT
from tests.faults.takeover import TAKEOVER_LIMIT_SECONDS, measure_takeover

_FOLDER = Path(".run/faults")


def main() -> int:
    """Gives the exit code: 0 when everything held."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        return mutations.main(console, options.only) if options.mutate else asyncio.run(_faults(options, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped; nothing is left running")
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="of all chance")
    parser.add_argument("--short", action="store_true", help="the form that `make test` runs")
    parser.add_argument("--mutate", action="store_true", help="take guards away, one at a time: a test must fail")
    parser.add_argument("--only", default="", help="with --mutate: only mutations whose name holds this")
    return parser.parse_args()


async def _faults(options: argparse.Namespace, console: Console) -> int:
    _end_in_order_when_asked()
    console.print(f"seed {options.seed} (--seed {options.seed} does it again); logs in {_FOLDER}")
    result = await run(SHORT if options.short else FULL, _FOLDER / "run", options.seed)
    show(result, console)
    if options.short:
        return 1 if result.violations else 0
    seconds = await measure_takeover(_FOLDER / "takeover")
    verdict = "holds" if seconds <= TAKEOVER_LIMIT_SECONDS else "[red]too slow[/red]"
    console.print(
        f"default session timeout: a killed engine's partitions were taken over after {seconds:.1f} s "
        f"(promised: {TAKEOVER_LIMIT_SECONDS:g} s): {verdict}"
    )
    return 1 if result.violations or seconds > TAKEOVER_LIMIT_SECONDS else 0


def _end_in_order_when_asked() -> None:
    """Ctrl-C and `kill` cancel the run, so that its servers and processes are ended on the way out."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


if __name__ == "__main__":
    sys.exit(main())
