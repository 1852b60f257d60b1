"""`jornada lifecycle plan FILE`: what publishing a file would do to the customers that there are. Reads only.

Composed here: the stage engine knows who would move, the notifier what campaigns would make of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from services.cli.bars import bar
from services.cli.console import INTERRUPTED, console
from services.cli.database import opened
from services.cli.lifecycles import planned
from services.cli.lifecycles.customers import check_tenant
from services.cli.lifecycles.formats import Format, Written, say_json
from services.cli.lifecycles.planned import Plan
from services.cli.lifecycles.publishing import Migrate, check_campaigns, pairs
from services.notifier.definitions.load import read
from services.notifier.rehearsing import Rehearsal
from services.stage_engine.definitions.definition import Definition, load_definition, shipped_or_path
from services.stage_engine.planning.candidate import Candidate, load_candidate
from services.stage_engine.planning.forecast import Forecast, Foreseen, concerned
from services.stage_engine.planning.foreseeing import Foreseeing
from services.stage_engine.rulebook import RuleBook
from shared.auth.tenants import Tenants
from shared.contracts.cloudevent import record_key
from shared.contracts.times import HOUR_MS, now_ms
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.log.port import Record
from shared.settings import Settings, load


def add_to(lifecycle: typer.Typer) -> None:
    """Register the command in `jornada lifecycle`."""
    lifecycle.command("plan")(plan)


def plan(
    file: Annotated[str, typer.Argument(metavar="FILE", help="the YAML file that may be published")],
    tenant: Annotated[str | None, typer.Option(help="only this tenant's customers; all otherwise")] = None,
    migrate: Migrate = None,
    written: Written = Format.TEXT,
) -> None:
    """Tell what publishing a file would do, before anybody publishes it.

    Every customer of the database meets the new version on paper, as a publication would let them: how many would move from
    which stage to which, which campaigns that would fire under --notify, and the ten who would be moved most, with why.
    Reads only, while everything runs. Ctrl-C ends it with what was found until then.

    Exit code: 0; 1 when the file could not be published as it is; 130 after Ctrl-C.
    """
    definition, settings = load_definition(shipped_or_path(file)), load()
    check_campaigns(definition, settings)
    work = Planning(settings, definition, tenant, pairs(migrate))
    try:
        asyncio.run(work.run())
    except KeyboardInterrupt:
        if work.plan is None:
            raise typer.Exit(INTERRUPTED) from None
    assert work.plan is not None
    if written is Format.JSON:
        say_json(planned.as_json(work.plan))
    else:
        planned.show(console(), work.plan)
    raise typer.Exit(0 if work.plan.complete else INTERRUPTED)


@dataclass(slots=True)
class Planning:
    """One plan being made. What was found so far is in `plan`, also when it is cut off."""

    settings: Settings
    definition: Definition
    tenant: str | None
    migrate: Mapping[str, str] = field(default_factory=dict)
    plan: Plan | None = None

    async def run(self) -> None:
        """Look at every customer. Raises as `load_candidate` does, and Permanent for a tenant without customers."""
        async with opened(self.settings) as database:
            rulebook = RuleBook({}, Tenants(database), self.settings.default_currency)
            candidate = await load_candidate(database, rulebook, self.definition, self.migrate)
            settle_ms = int(self.settings.backfill_settle_seconds * 1000)
            foreseeing = Foreseeing(database, candidate, settle_ms, now_ms())
            self.plan = await self._begun(candidate, foreseeing)
            if not candidate.in_force:
                await self._look(self.plan, foreseeing, self._rehearsal(database, candidate))
                self.plan.outdated = await foreseeing.outdated()
            self.plan.complete = True

    async def _begun(self, candidate: Candidate, foreseeing: Foreseeing) -> Plan:
        total = await foreseeing.size(self.tenant)
        check_tenant(self.tenant, total)
        return Plan(candidate, self.tenant, foreseeing.at_ms, total, Forecast(concerned(candidate)))

    def _rehearsal(self, database: Database, candidate: Candidate) -> Rehearsal | None:
        """What campaigns would make of it. A lifecycle that begins does so silently: there is no publication to notify of."""
        if candidate.new:
            return None
        campaigns = {each.campaign.key: each.campaign for each in read(self.settings.campaigns_dir)}
        return Rehearsal(database, campaigns, round(self.settings.stale_after_hours * HOUR_MS))

    async def _look(self, plan: Plan, foreseeing: Foreseeing, rehearsal: Rehearsal | None) -> None:
        with bar("customers", plan.total) as shown:
            async for page in foreseeing.pages(self.tenant):
                for each in page:
                    plan.forecast.add(each)
                moved = [each for each in page if each.changes]
                if rehearsal and moved:
                    plan.campaigns.add(await rehearsal.results(_records(moved, plan.at_ms), plan.at_ms))
                shown.to(plan.forecast.customers)


def _records(moved: Sequence[Foreseen], at_ms: int) -> list[Record]:
    """The stage changes as a notifier would read them from their topic."""
    return [
        Record(Topic.STAGE_CHANGED, 0, place, at_ms, record_key(*each.customer), published.record, ())
        for each in moved
        for place, published in enumerate(each.published())
    ]
