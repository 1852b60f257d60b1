"""Takes each guard away, in a copy of the tree, and demands that its test fails: a test that cannot fail proves nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

_ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("services", "shared", "migrations", "deploy", "tests", "pyproject.toml")
_TESTS = "tests/faults/test_guards.py"
_TEST_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Mutation:
    """One guard taken away: `before` stands once in `file` and becomes `after`. `tests` selects what must fail."""

    guard: str
    file: str
    before: str
    after: str
    tests: str


_ENGINE = "services/stage_engine"
_WATERMARK_TESTS = "nobody_is_called_silent"
MUTATIONS = (
    Mutation(
        "epoch check",
        f"{_ENGINE}/store/progress.py",
        ".where(tuple_(progress.c.partition, progress.c.epoch).in_(wanted))\n"
        "        .order_by(progress.c.partition)\n"
        "        .with_for_update()\n"
        "    )\n"
        "    rows = [tuple(row) for row in found]\n",
        ".where(progress.c.partition.in_(dict(wanted)))\n"
        "        .order_by(progress.c.partition)\n"
        "        .with_for_update()\n"
        "    )\n"
        "    rows = [(row[0], dict(wanted)[row[0]], *tuple(row)[2:]) for row in found]\n",
        "zombie_applies or zombie_fires",
    ),
    Mutation(
        "dedupe: duplicates are filtered",
        f"{_ENGINE}/batches/batch.py",
        "part.fresh = [entry for entry in part.entries if (entry.partition, entry.offset) in new]",
        "part.fresh = list(part.entries)",
        "counts_once",
    ),
    Mutation(
        "dedupe: ON CONFLICT DO NOTHING in history",
        f"{_ENGINE}/store/history.py",
        'inserted = await transaction.insert_new(tables.history, _COLUMNS, rows, ("partition", "log_offset"))',
        "await transaction.upsert(tables.history, _COLUMNS, list({row[:3]: row for row in rows}.values()))\n"
        "    inserted = [(entry.partition, entry.offset) for entry in entries]",
        "counts_once",
    ),
    Mutation(
        "fencing in the broker",
        f"{_ENGINE}/ownership.py",
        "if topic is Topic.CUSTOMER_UPDATED:",
        "if False:",
        "late_append",
    ),
    Mutation(
        "watermark: ask the log for its end",
        f"{_ENGINE}/watermark.py",
        "    try:\n        end = await consumer.end_offset(where)\n",
        "    try:\n        end = await consumer.position(where)\n",
        _WATERMARK_TESTS,
    ),
    Mutation(
        "watermark: stand still without an answer",
        f"{_ENGINE}/watermark.py",
        "    except Transient:\n        return None\n",
        "    except Transient:\n        end = position = 0\n",
        _WATERMARK_TESTS,
    ),
    Mutation(
        "watermark: only when caught up",
        f"{_ENGINE}/watermark.py",
        "return t0 - CLOCK_MARGIN_MS if position >= end and all_handled() else None",
        "return t0 - CLOCK_MARGIN_MS",
        _WATERMARK_TESTS,
    ),
    Mutation(
        "next_offset filter",
        f"{_ENGINE}/batches/batch.py",
        "Part(claim, at, [record for record in batches[claim] if record.offset >= at.next_offset])",
        "Part(claim, at, list(batches[claim]))",
        "below_next_offset or delivered_again",
    ),
    Mutation(
        "decision and outbox in one transaction",
        f"{_ENGINE}/batches/batch.py",
        "            await history.remove(transaction, refused)\n            written = await write(transaction, outcomes)\n",
        "            await history.remove(transaction, refused)\n"
        "        async with self.database.transaction() as transaction:\n"
        "            written = await write(transaction, outcomes)\n",
        "whatever_commit",
    ),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tests said with the guard away: which failed (empty: none did), and the message."""

    mutation: Mutation
    failed: str
    message: str


def main(console: Console, only: str = "") -> int:
    """Try all mutations whose guard's name holds `only`; gives the exit code."""
    chosen = [mutation for mutation in MUTATIONS if only in mutation.guard]
    with tempfile.TemporaryDirectory(prefix="jornada-mutations-") as folder:
        tree = _copy(Path(folder))
        console.print("unchanged code: every test must hold")
        if problem := _failure(tree, " or ".join(sorted({mutation.tests for mutation in chosen}))):
            console.print(f"[red]{problem[0]} fails on unchanged code[/red]: {problem[1]}", highlight=False)
            return 1
        outcomes = [_try(tree, mutation, console) for mutation in chosen]
    console.print(_table(outcomes))
    return 1 if any(not outcome.failed for outcome in outcomes) else 0


def mutated(source: str, mutation: Mutation) -> str:
    """The source without the guard. Raises ValueError when the code has changed and the mutation must follow."""
    if source.count(mutation.before) != 1:
        raise ValueError(f"{mutation.file} does not hold once what the mutation '{mutation.guard}' replaces; adapt it")
    return source.replace(mutation.before, mutation.after)


def _copy(folder: Path) -> Path:
    for name in _COPIED:
        if (_ROOT / name).is_dir():
            shutil.copytree(_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(_ROOT / name, folder / name)
    # Downloads are not copied: Kafka's jars are found where the real tree keeps them.
    (folder / ".cache").symlink_to(_ROOT / ".cache")
    return folder


def _try(tree: Path, mutation: Mutation, console: Console) -> Outcome:
    path = tree / mutation.file
    original = path.read_text()
    path.write_text(mutated(original, mutation))
    try:
        failed, message = _failure(tree, mutation.tests) or ("", "no test failed")
    finally:
        path.write_text(original)
    console.print(f"without '{mutation.guard}': {failed or '[red]nothing fails[/red]'}", highlight=False)
    return Outcome(mutation, failed, message)


def _failure(tree: Path, tests: str) -> tuple[str, str] | None:
    """The test that fails (and how many more), with its message; None when all hold. Byte code is not kept: a file changed within
    one second and of the same length would be taken for the old one."""
    command = [sys.executable, "-B", "-m", "pytest", _TESTS, "-q", "-k", tests, "-p", "no:cacheprovider", "-rf"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=_TEST_SECONDS, check=False)
    if done.returncode == 0:
        return None
    lines = done.stdout.splitlines()
    failures = [line.removeprefix("FAILED ") for line in lines if line.startswith("FAILED ")]
    if not failures:
        raise RuntimeError(f"the tests could not run:\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}")
    name, _, message = failures[0].partition(" - ")
    more = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
    return name.partition("::")[2] + more, _first_error(lines) or message


def _first_error(lines: Sequence[str]) -> str:
    return next((line[4:].strip().removeprefix("AssertionError: ") for line in lines if line.startswith("E   ")), "")


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table("guard taken away", "test that fails", "it says", title="Mutations", show_lines=True)
    for outcome in outcomes:
        failed = outcome.failed or "[red]none[/red]"
        table.add_row(outcome.mutation.guard, failed.replace("[", r"\[") if outcome.failed else failed, outcome.message)
    return table
