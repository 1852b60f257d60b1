"""Backtests of a real database, while its engine runs: the active side is what the engine has made of it."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from pathlib import Path
from zoneinfo import ZoneInfo

from services.stage_engine.backtesting.backtest import Backtest
from services.stage_engine.backtesting.findings import Findings, begin
from services.stage_engine.backtesting.periods import Asked, span
from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.planning.candidate import load_candidate
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import listings, progress, tables
from services.stage_engine.trimming import trim_step
from shared.auth.tenants import Tenants
from shared.contracts.cloudevent import BACKFILL
from shared.contracts.times import DAY_MS, now_ms
from shared.db.metadata import metadata
from shared.db.port import Database
from shared.service import Resources
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.events import TENANT, Given, append, purchase, visit
from tests.integration.stage_engine.observing import rows, until, until_handled
from tests.integration.stage_engine.stack import Stack

CLUB = """
lifecycle: club
start: guest
lateness: 1s
stages: {guest: {order: 1}, member: {order: 2}, gold: {order: 3}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
  - {id: many, from: member, to: gold, when: "facts.orders >= 3"}
  - {id: quiet, from: [member, gold], to: guest, after: 20d, since: facts.last_purchase_at, demotion: true}
"""
EASIER = CLUB.replace("facts.orders >= 3", "facts.recent >= 2").replace(
    "stages:", "facts: {recent: {count: purchase, within: 30d}}\nstages:"
)
UTC = ZoneInfo("UTC")


def _ago(days: float, tenant: str = TENANT) -> Given:
    return Given(time_ms=now_ms() - int(days * DAY_MS), mode=BACKFILL, tenant=tenant)


def _file(folder: Path) -> str:
    path = folder / "club.yaml"
    path.write_text(CLUB)
    return str(path)


async def _live(resources: Resources) -> None:
    """Ten customers of two tenants, most of whose lives are imported."""
    for number in range(1, 9):
        bought = [(40 + number, "a"), (30 - number, "b"), (25 - 2 * number, "c")][: 1 + number % 3]
        named = [(f"c{number}", f"{event}{number}", _ago(days)) for days, event in bought]
        await append(resources.log, [purchase(*each) for each in named])
    await append(resources.log, [purchase("c9", f"d{days}", _ago(days)) for days in (3, 2)])
    await append(resources.log, [purchase("elsewhere", "e1", _ago(5, tenant="other"))])
    await until_handled(resources.database, resources.log)
    await append(resources.log, [purchase("c1", "now"), visit("c9")])
    await until_handled(resources.database, resources.log)


async def _find(database: Database, text: str, tenant: str | None = None) -> Findings:
    rulebook = RuleBook({}, Tenants(database), "BRL")
    candidate = await load_candidate(database, rulebook, parse_definition("tried.yaml", text), {})
    findings = begin(candidate, span(Asked(), UTC, now_ms()))
    work = Backtest(database, candidate, tenant, page=2)
    async with aclosing(work.run(findings)) as pages:
        looked_at = [each async for each in pages]
    assert max(looked_at, default=0) == await work.size()
    return findings


async def _stored(database: Database) -> dict[str, int]:
    async with database.reading() as transaction:
        found = [await listings.counts(transaction, tenant, "club") for tenant in (TENANT, "other")]
    return dict(sum(map(Counter, found), Counter()))


async def _settled(resources: Resources) -> None:
    """Every silence that is over has been noticed."""

    async def noticed() -> bool:
        ripe = [row["ripe_ms"] for row in await rows(resources.database, tables.timers)]
        return all(each > now_ms() + DAY_MS // 2 for each in ripe)

    await until(noticed, "no timer is left that is over")


async def test_the_active_side_ends_where_the_engine_has_put_everybody(sql_stack: Stack, tmp_path: Path) -> None:
    async with sql_stack.process(lifecycles=(_file(tmp_path),)) as resources, engine_running(resources):
        await _live(resources)
        await _settled(resources)
        found = await _find(resources.database, EASIER)
        stored = await _stored(resources.database)
        assert len(stored) == 3
        assert found.active is not None
        assert found.active.population(-1) == stored
        assert (found.complete, found.customers, found.passed_over) == (True, 10, 0)
        assert found.events == len(await rows(resources.database, tables.history))
        assert found.differences.elsewhere == 1
        assert found.candidate.population(-1) != stored


async def test_history_that_was_trimmed_is_gone_on_from(sql_stack: Stack, tmp_path: Path) -> None:
    async with sql_stack.process(lifecycles=(_file(tmp_path),)) as resources:
        async with engine_running(resources) as engine:
            await _live(resources)
            await _settled(resources)
            assert engine._workshop is not None
            batches = engine._workshop.batches
        for row in await rows(resources.database, tables.progress):
            identity = await resources.log.identity()
            claim, _ = await progress.claim(resources.database, row["partition"], "test", identity)
            await trim_step(batches, claim, now_ms() - 25 * DAY_MS)
        trimmed = await rows(resources.database, tables.bases)
        found = await _find(resources.database, CLUB + "# as it is\n")
        assert found.trimmed.customers == len(trimmed) > 0
        assert found.active is not None
        assert found.active.population(-1) == found.candidate.population(-1) == await _stored(resources.database)
        assert found.differences.ever == 0


async def test_a_tenant_is_looked_at_alone(sql_stack: Stack, tmp_path: Path) -> None:
    async with sql_stack.process(lifecycles=(_file(tmp_path),)) as resources, engine_running(resources):
        await _live(resources)
        assert (await _find(resources.database, EASIER, "other")).customers == 1
        assert (await _find(resources.database, EASIER, TENANT)).customers == 9
        assert (await _find(resources.database, EASIER, "aa")).customers == 0


async def test_a_lifecycle_that_no_engine_runs_has_only_its_own_side(sql_stack: Stack, tmp_path: Path) -> None:
    async with sql_stack.process(lifecycles=(_file(tmp_path),)) as resources, engine_running(resources):
        await _live(resources)
        found = await _find(resources.database, EASIER.replace("lifecycle: club", "lifecycle: another"))
        assert (found.active, found.versions, found.customers) == (None, (None, 1), 10)


async def test_nothing_is_written(sql_stack: Stack, tmp_path: Path) -> None:
    async with sql_stack.process(lifecycles=(_file(tmp_path),)) as resources:
        async with engine_running(resources):
            await _live(resources)
            await _settled(resources)
        ours = [table for table in metadata.sorted_tables if table.name.startswith("engine_")]
        before = [await rows(resources.database, table) for table in ours]
        await _find(resources.database, EASIER)
        assert before == [await rows(resources.database, table) for table in ours]
