"""`jornada lifecycle backtest FILE`: real history under the rules of a file, beside the active ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from services.cli.bars import bar
from services.cli.console import INTERRUPTED, console
from services.cli.database import opened
from services.cli.lifecycles.backtest_tables import show
from services.cli.lifecycles.customers import check_tenant
from services.cli.lifecycles.formats import Format, Written, say_json
from services.cli.lifecycles.publishing import Migrate, pairs
from services.stage_engine.backtesting.backtest import Backtest
from services.stage_engine.backtesting.findings import Findings, begin
from services.stage_engine.backtesting.periods import Asked, Every, Span, span
from services.stage_engine.definitions.definition import Definition, load_definition, shipped_or_path
from services.stage_engine.planning.candidate import load_candidate
from services.stage_engine.rulebook import RuleBook
from shared.auth.tenants import Tenants
from shared.contracts.times import now_ms
from shared.settings import Settings, load

_DATE_OR_TIME = "a local day such as 2026-09-01, or a time such as 2026-09-01T12:00:00-03:00"


def add_to(lifecycle: typer.Typer) -> None:
    """Register the command in `jornada lifecycle`."""
    lifecycle.command("backtest")(backtest)


def backtest(
    file: Annotated[str, typer.Argument(metavar="FILE", help="a YAML file, or the name of a shipped lifecycle")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help=f"{_DATE_OR_TIME}; 90 days before the end otherwise")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="the same; a day is included whole. Until now otherwise")
    ] = None,
    every: Annotated[
        Every | None, typer.Option(help="how often to count; what gives about thirty rows otherwise")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="only this one's customers")] = None,
    migrate: Migrate = None,
    written: Written = Format.TEXT,
) -> None:
    """Let all customers live their history again, under the active rules and under those of a file, and compare.

    Shows how many customers are in which stage over time, who moves on and how fast, and who ends elsewhere and why. Both
    lives begin with the first event that is kept and go by one set of rules all along; time goes on to the end. Days are
    those of the file's time zone. Reads only, while everything runs; Ctrl-C shows what was found so far.

    Exit code: 0; 1 when the file can't be published as it is; 130 when it was stopped, and what is shown is partial.
    """
    definition = load_definition(shipped_or_path(file))
    over = span(Asked(from_, to, every), ZoneInfo(definition.shape.time_zone), now_ms())
    work = Looking(definition, pairs(migrate), over, tenant)
    try:
        asyncio.run(work.run(load()))
    except KeyboardInterrupt:
        if work.findings is None:
            raise typer.Exit(INTERRUPTED) from None
    assert work.findings is not None
    if written is Format.JSON:
        say_json(work.findings.as_json())
    else:
        show(console(), work.findings)
    raise typer.Exit(0 if work.findings.complete else INTERRUPTED)


@dataclass(slots=True)
class Looking:
    """One backtest being made. What was found so far is in `findings`, also when it is cut off."""

    definition: Definition
    migrate: Mapping[str, str]
    over: Span
    tenant: str | None
    findings: Findings | None = None

    async def run(self, settings: Settings) -> None:
        """Look at every customer. Raises as `load_candidate` does, and Permanent for a tenant without customers."""
        async with opened(settings) as database:
            rulebook = RuleBook({}, Tenants(database), settings.default_currency)
            candidate = await load_candidate(database, rulebook, self.definition, self.migrate)
            work = Backtest(database, candidate, self.tenant)
            total = await work.size()
            check_tenant(self.tenant, total)
            self.findings = begin(candidate, self.over)
            with bar("customers", total) as shown:
                async with aclosing(work.run(self.findings)) as pages:
                    async for looked_at in pages:
                        shown.to(looked_at)
