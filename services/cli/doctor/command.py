"""Puts the report together and shows it."""

from __future__ import annotations

import asyncio

import typer
from rich.console import Console
from rich.text import Text

from services.cli.console import as_typed_here, console
from services.cli.doctor.answers import answers
from services.cli.doctor.configured import Configured, configured, here, sending
from services.cli.doctor.finding import Finding
from shared.settings import load


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("doctor")(doctor)


def doctor() -> None:
    """Show what is configured, what answers, and what to do about what does not. Changes nothing."""
    settings = load()
    findings = [*asyncio.run(answers(settings)), *sending(settings)]
    out = console()
    _show_settings(out, configured(settings, here()))
    for finding in findings:
        _show(out, finding)
    failed = sum(not finding.ok for finding in findings)
    out.print(f"\n{failed} of {len(findings)} failed" if failed else "\nall is well")
    raise typer.Exit(1 if failed else 0)


def _show_settings(out: Console, found: list[Configured]) -> None:
    out.print("settings that are not the default:" if found else "all settings are the default")
    for one in found:
        out.print(Text(f"  {one.variable} = {one.value}   (from {one.source})"), soft_wrap=True)
    out.print()


def _show(out: Console, finding: Finding) -> None:
    mark = Text("ok      ", "green") if finding.ok else Text("failed  ", "bold red")
    out.print(mark + Text(f"{finding.name:<18} {as_typed_here(finding.detail)}"), soft_wrap=True)
    if not finding.ok:
        out.print(Text(f"{'':<8}{'':<18} → {as_typed_here(finding.advice)}", "yellow"), soft_wrap=True)
