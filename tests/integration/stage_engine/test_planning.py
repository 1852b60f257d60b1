"""A plan says beforehand exactly what publishing then does, and changes nothing itself."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.planning.candidate import Candidate, load_candidate
from services.stage_engine.planning.forecast import Forecast, Foreseen, Move, Source, concerned, new_facts
from services.stage_engine.planning.foreseeing import Foreseeing
from services.stage_engine.publications.publishing import Request, publish
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import tables
from shared.auth.tenants import Tenants
from shared.contracts.times import now_ms
from shared.db.metadata import metadata
from shared.errors import Permanent
from shared.log.port import Message
from shared.service import Resources
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.events import Given, append, purchase, visit
from tests.integration.stage_engine.observing import rows, until, until_handled
from tests.integration.stage_engine.stack import Stack

CLUB = """
lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}, gold: {order: 3}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
"""
BY_ORDERS = CLUB + '  - {id: many, from: member, to: gold, when: "facts.orders >= 3"}\n'
BY_WINDOW = CLUB.replace("stages:", "facts: {lately: {count: purchase, within: 30d}}\nstages:") + (
    '  - {id: many, from: member, to: gold, when: "facts.lately >= 2"}\n'
)
RENAMED = CLUB.replace("member", "friend") + (
    '  - {id: valued, from: friend, to: gold, when: "facts.revenue >= 30.0"}\n'
)
CARE = """
lifecycle: care
start: plain
stages: {plain: {order: 1}, first: {order: 2}}
transitions:
  - {id: promoted, from: plain, to: first, when: "stages.club == 'gold'"}
"""


def bought(name: str, times: int, given: Given | None = None) -> list[Message]:
    return [purchase(name, f"{name}-{number}", given or Given()) for number in range(times)]


def story() -> list[Message]:
    """Customers who have bought nothing, once, and more often; some of it long ago."""
    long_ago = Given(time_ms=now_ms() - 90 * 86_400_000)
    found = [visit("v1"), visit("v2"), *bought("old", 5, long_ago)]
    return found + [each for number in range(12) for each in bought(f"c{number}", number % 4)] + bought("ana", 6)


@dataclass(frozen=True)
class Seen:
    """A plan's numbers, and all that it found of each customer."""

    candidate: Candidate
    forecast: Forecast
    foreseen: list[Foreseen]
    foreseeing: Foreseeing


async def plan(
    resources: Resources, text: str, migrate: dict[str, str] | None = None, tenant: str | None = None, page: int = 7
) -> Seen:
    rulebook = RuleBook({}, Tenants(resources.database), "BRL")
    definition = parse_definition("new.yaml", text)
    candidate = await load_candidate(resources.database, rulebook, definition, migrate or {})
    foreseeing = Foreseeing(resources.database, candidate, 1_000, now_ms(), page)
    forecast, foreseen = Forecast(concerned(candidate)), []
    async for found in foreseeing.pages(tenant):
        assert 0 < len(found) <= page
        foreseen += found
        for each in found:
            forecast.add(each)
    return Seen(candidate, forecast, foreseen, foreseeing)


async def contents(resources: Resources) -> dict[str, list[dict[str, Any]]]:
    """Everything that the database holds."""
    names = [table for table in metadata.tables.values() if table.name.startswith(("engine_", "auth_", "log_"))]
    return {table.name: await rows(resources.database, table) for table in names}


async def stages(resources: Resources) -> dict[tuple[str, str], str]:
    stored = await rows(resources.database, tables.stages)
    return {(row["customer_id"], row["lifecycle"]): row["stage"] for row in stored}


async def publish_for_real(
    resources: Resources, text: str, migrate: dict[str, str]
) -> tuple[dict[str, Counter[Move]], dict[str, list[tuple[Any, ...]]]]:
    """What publishing does: the matrix of each lifecycle, and the stage changes of each customer."""
    before = await stages(resources)
    sequences = {each["customer_id"]: each["sequence"] for each in await rows(resources.database, tables.stage_changes)}
    async with engine_running(resources):
        request = Request("a test", "tester", now_ms(), notify=True, migrate=migrate)
        await publish(resources.database, resources.log, parse_definition("new.yaml", text), request)
        await until_handled(resources.database, resources.log)

        async def swept() -> bool:
            reached = {row["partition"]: row["activation"] for row in await rows(resources.database, tables.progress)}
            stored = await rows(resources.database, tables.customers)
            return all(row["activation"] == reached[row["partition"]] for row in stored)

        await until(swept, "customers have met what was published")
    return matrices(before, await stages(resources)), await new_changes(resources, sequences)


def matrices(before: dict[tuple[str, str], str], after: dict[tuple[str, str], str]) -> dict[str, Counter[Move]]:
    found: dict[str, Counter[Move]] = {}
    for (customer, lifecycle), stage in after.items():
        found.setdefault(lifecycle, Counter())[Move(before.get((customer, lifecycle)), stage)] += 1
    return found


async def new_changes(resources: Resources, sequences: dict[str, int]) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in await rows(resources.database, tables.stage_changes):
        if row["sequence"] > sequences.get(row["customer_id"], 0):
            found.setdefault(row["customer_id"], []).append(told(msgspec.json.decode(row["data"])))
    return found


def told(data: dict[str, Any]) -> tuple[Any, ...]:
    """What a stage change says but for when, and by which publication, it came about."""
    names = ("lifecycle", "lifecycle_version", "from", "to", "direction", "entry", "sequence", "revision", "settled")
    return (*(data[name] for name in names), data["transition"], data["facts"], data["mode"])


def planned_changes(seen: Seen) -> dict[str, list[tuple[Any, ...]]]:
    return {
        each.customer.customer_id: [told(msgspec.json.decode(published.kept)) for published in each.published()]
        for each in seen.foreseen
        if each.changes
    }


async def lived(resources: Resources) -> None:
    async with engine_running(resources):
        await append(resources.log, story())
        await until_handled(resources.database, resources.log)


CASES = {
    "facts that are unchanged": (BY_ORDERS, {}, Source.STATE, 1 + 3 + 1),
    "a window that is new": (BY_WINDOW, {}, Source.HISTORY, 6 + 1),
    "facts and a stage at once": (
        RENAMED.replace("stages:", "facts: {spent: {sum: amount, of: purchase}}\nstages:").replace("revenue", "spent"),
        {"member": "friend"},
        Source.HISTORY,
        9 + 2,
    ),
    "a stage that is no more": (RENAMED, {"member": "friend"}, Source.STATE, 9 + 2),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_is_planned_is_what_publishing_does(sql_stack: Stack, tmp_path: Path, case: str) -> None:
    text, migrate, source, moved = CASES[case]
    file, care = tmp_path / "club.yaml", tmp_path / "care.yaml"
    file.write_text(CLUB)
    care.write_text(CARE)
    async with sql_stack.process(lifecycles=(str(file), str(care))) as resources:
        await lived(resources)
        before = await contents(resources)
        seen = await plan(resources, text, migrate)
        assert await contents(resources) == before
        assert seen.forecast.sources == {source: 13}
        assert seen.forecast.moved == moved
        happened, changes = await publish_for_real(resources, text, migrate)
        assert seen.forecast.moves == happened
        assert planned_changes(seen) == changes
        assert any(move.from_ != move.to for move in happened["care"])


async def test_a_lifecycle_that_no_engine_runs_yet_is_entered_as_an_engine_lets_everybody_enter(
    sql_stack: Stack, tmp_path: Path
) -> None:
    file, later = tmp_path / "club.yaml", tmp_path / "later.yaml"
    file.write_text(CLUB)
    text = BY_WINDOW.replace("lifecycle: club", "lifecycle: later").replace("on: purchase", 'when: "facts.orders >= 1"')
    later.write_text(text)
    async with sql_stack.process(lifecycles=(str(file),)) as resources:
        await lived(resources)
        seen = await plan(resources, text)
        assert (seen.candidate.new, seen.candidate.version, seen.forecast.moved) == (True, 1, 13)
    async with sql_stack.process(lifecycles=(str(file), str(later))) as resources, engine_running(resources):

        async def all_entered() -> bool:
            return sum(lifecycle == "later" for _, lifecycle in await stages(resources)) == 13

        await until(all_entered, "everybody has entered")
        assert seen.forecast.moves == {"later": matrices({}, await stages(resources))["later"]}
        assert Move(None, "gold") in seen.forecast.moves["later"]


async def test_who_has_not_met_an_earlier_publication_meets_that_first(sql_stack: Stack, tmp_path: Path) -> None:
    async with sql_stack.process(lifecycles=(written(tmp_path, CLUB),)) as resources:
        await lived(resources)
        behind = await customer_row(resources, "ana")
        await publish_for_real(resources, BY_WINDOW, {})
        await put_back(resources, behind)
        seen = await plan(resources, BY_WINDOW.replace("facts.lately >= 2", "facts.lately >= 1"))
        assert seen.candidate.version == 3
        assert seen.forecast.sources == {Source.STATE: 12, Source.HISTORY: 1}
        assert seen.forecast.moved_before == 1
        ana = next(each for each in seen.foreseen if each.customer.customer_id == "ana")
        assert (ana.before.lifecycles["club"].stage, ana.changes) == ("gold", ())
        assert seen.forecast.moves["club"][Move("member", "gold")] == 3


def written(folder: Path, text: str) -> str:
    path = folder / "club.yaml"
    path.write_text(text)
    return str(path)


async def customer_row(resources: Resources, name: str) -> dict[str, Any]:
    return (await rows(resources.database, tables.customers, customer_id=name))[0]


async def put_back(resources: Resources, row: dict[str, Any]) -> None:
    """As if nobody had touched the customer since."""
    async with resources.database.transaction() as transaction:
        await transaction.upsert(tables.customers, list(row), [tuple(row.values())])


async def test_where_history_was_trimmed_new_facts_count_from_the_horizon_on(
    sqlite_stack: Stack, tmp_path: Path
) -> None:
    await sqlite_stack.create()
    async with sqlite_stack.process(lifecycles=(written(tmp_path, CLUB),)) as resources:
        await lived(resources)
        ana = await customer_row(resources, "ana")
        async with resources.database.transaction() as transaction:
            base = ("acme", "ana", now_ms(), ana["state"])
            await transaction.insert(tables.bases, ("tenant", "customer_id", "horizon_ms", "state"), [base])
            gone = [("acme", "ana", f"ana-{number}") for number in range(6)]
            await transaction.delete_many(tables.history, ("tenant", "customer_id", "event_id"), gone)
        seen = await plan(resources, BY_WINDOW)
        assert seen.forecast.sources == {Source.HISTORY: 12, Source.TRIMMED_HISTORY: 1}
        assert "ana" not in planned_changes(seen)


async def test_only_the_tenant_that_is_asked_for_is_looked_at(sql_stack: Stack, tmp_path: Path) -> None:
    async with sql_stack.process(lifecycles=(written(tmp_path, CLUB),)) as resources:
        others = [bought(f"c{number}", 3, Given(tenant=tenant)) for tenant in ("aaa", "zzz") for number in range(4)]
        async with engine_running(resources):
            await append(resources.log, [*story(), *(each for some in others for each in some)])
            await until_handled(resources.database, resources.log)
        seen = await plan(resources, BY_ORDERS, tenant="acme", page=5)
        assert {each.customer.tenant for each in seen.foreseen} == {"acme"}
        assert (seen.forecast.customers, await seen.foreseeing.size("acme")) == (13, 13)
        assert (await plan(resources, BY_ORDERS)).forecast.customers == await seen.foreseeing.size() == 21


async def test_no_more_customers_are_held_than_two_pages(sqlite_stack: Stack, tmp_path: Path) -> None:
    await sqlite_stack.create()
    async with sqlite_stack.process(lifecycles=(written(tmp_path, CLUB),)) as resources:
        async with engine_running(resources):
            await append(resources.log, [each for number in range(60) for each in bought(f"c{number}", 3)])
            await until_handled(resources.database, resources.log)
        rulebook = RuleBook({}, Tenants(resources.database), "BRL")
        candidate = await load_candidate(resources.database, rulebook, parse_definition("new.yaml", BY_ORDERS), {})
        forecast, held = Forecast(concerned(candidate)), []
        async for page in Foreseeing(resources.database, candidate, 1_000, now_ms(), 4).pages():
            held.append(sum(isinstance(each, Foreseen) for each in gc.get_objects()))
            for each in page:
                forecast.add(each)
        assert (forecast.moved, len(held), len(forecast.most_affected())) == (60, 15, 10)
        assert max(held) <= 2 * 4


async def test_a_candidate_is_checked_as_publishing_checks_it(sqlite_stack: Stack, tmp_path: Path) -> None:
    await sqlite_stack.create()
    async with sqlite_stack.process(lifecycles=(written(tmp_path, CLUB),)) as resources:
        await lived(resources)
        with pytest.raises(Permanent, match="no stage member any more"):
            await plan(resources, RENAMED)
        with pytest.raises(Permanent, match="migrate leads to freund"):
            await plan(resources, RENAMED, {"member": "freund"})
        with pytest.raises(Permanent, match="there is no active lifecycle `klub`"):
            await plan(resources, CARE.replace("stages.club", "stages.klub"))
        seen = await plan(resources, CLUB)
        assert (seen.candidate.in_force, seen.candidate.version) == (True, 1)


async def test_a_text_keeps_its_number_and_what_is_published_meanwhile_is_noticed(
    sqlite_stack: Stack, tmp_path: Path
) -> None:
    await sqlite_stack.create()
    async with sqlite_stack.process(lifecycles=(written(tmp_path, CLUB),)) as resources:
        await lived(resources)
        seen = await plan(resources, BY_WINDOW)
        assert (seen.candidate.version, new_facts(seen.candidate)) == (2, ["lately"])
        assert not await seen.foreseeing.outdated()
        await publish_for_real(resources, BY_WINDOW, {})
        assert await seen.foreseeing.outdated()
        assert (await plan(resources, CLUB)).candidate.version == 1
        zone = BY_WINDOW.replace("start: guest", "start: guest\ntime_zone: America/Sao_Paulo")
        assert new_facts((await plan(resources, zone)).candidate) == ["lately"]
        assert new_facts((await plan(resources, BY_WINDOW + "# the same\n")).candidate) == []
