"""The tables that people read after a run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.faults.run import Result

_SHOWN = 40


def show(result: Result, console: Console) -> None:
    """What was done, what was verified, every violation."""
    console.print(_done(result))
    console.print(_verified(result))
    for violation in result.violations[:_SHOWN]:
        console.print(f"[red]violation:[/red] {violation}", highlight=False, soft_wrap=True)


def _done(result: Result) -> Table:
    load, journal = result.load, result.journal
    table = Table("done", "how often", title=f"What was done, in {result.seconds:.0f} s")
    for deed, count in sorted(journal.deeds.items()):
        table.add_row(deed, str(count))
    table.add_row("process starts, all services", str(result.starts))
    table.add_row("processes that ended by themselves and were started again", str(result.ended_alone))
    table.add_row("claims lost to another engine", str(result.lost_claims))
    table.add_row("take-overs of a dead or stopped engine's partitions", _takeovers(journal.takeovers))
    table.add_row("requests / events answered 202", f"{len(load.postings):,} / {load.accepted:,}")
    troubles = ", ".join(f"{count:,} {trouble}" for trouble, count in sorted(load.troubles.items()))
    table.add_row("requests sent again after", troubles or "none")
    table.add_row("drain after the last request", f"{result.drain_seconds:.1f} s")
    return table


def _takeovers(seconds: list[float]) -> str:
    if not seconds:
        return "0"
    ordered = sorted(seconds)
    return f"{len(ordered)}: median {ordered[len(ordered) // 2]:.1f} s, longest {ordered[-1]:.1f} s"


def _verified(result: Result) -> Table:
    table = Table("verified", "seen", "verdict", title="What was verified")
    for finding in result.findings:
        bad = len(finding.violations)
        table.add_row(finding.what, finding.seen, f"[red]{bad} violations[/red]" if bad else "[green]holds[/green]")
    return table
