"""An import that reaches behind what was decided: the customer is decided anew, and nothing published is taken back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.stage_engine import looking_back
from services.stage_engine.definitions.definition import load_definition
from services.stage_engine.domain.publishing import snapshot
from services.stage_engine.domain.state import CustomerState, decode_state
from services.stage_engine.publications.publishing import Request, publish
from services.stage_engine.store import progress, tables
from services.stage_engine.trimming import trim_step
from shared.contracts.cloudevent import BACKFILL, decode
from shared.contracts.customer_updated import read_customer_updated
from shared.contracts.stage_changed import RecomputedCause, TimerCause
from shared.contracts.times import DAY_MS, now_ms
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.service import Resources
from tests.integration.stage_engine.engines import engine_running, lifecycle_file
from tests.integration.stage_engine.events import Given, append, message, purchase, signup, visit
from tests.integration.stage_engine.observing import (
    changes,
    differences,
    path,
    published,
    published_changes,
    rows,
    until,
    until_handled,
)
from tests.integration.stage_engine.stack import Stack

SETTLE_SECONDS = 0.5


def _days_ago(days: float) -> Given:
    return Given(time_ms=now_ms() - int(days * DAY_MS), mode=BACKFILL)


async def _state(database: Database, customer: str = "ana") -> CustomerState:
    stored = await rows(database, tables.customers, customer_id=customer)
    return decode_state(stored[0]["state"])


async def _until_decided_anew(resources: Resources) -> None:
    await until_handled(resources.database, resources.log)

    async def none_behind() -> bool:
        stored = await rows(resources.database, tables.customers)
        return not any(decode_state(row["state"]).behind for row in stored)

    await until(none_behind, "everybody behind was decided anew")
    await until_handled(resources.database, resources.log)


async def test_an_import_behind_the_clock_is_lived_in_its_place(stack: Stack) -> None:
    early, later = _days_ago(20), _days_ago(10)
    async with stack.process(backfill_settle_seconds=SETTLE_SECONDS) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "o1", later)])
        await until_handled(resources.database, resources.log)
        await append(resources.log, [purchase("ana", "early", early)])
        await _until_decided_anew(resources)
        kept = [each for each in await changes(resources.database, "ana") if each.data.lifecycle == "ecommerce"]
        state = await _state(resources.database)
        letters = await rows(resources.database, tables.dead_letters)
        found = await differences(resources)
        published = [change for _, change in await published_changes(resources.log)]
    assert letters == []
    assert [each.data.to for each in kept] == ["prospect", "first_time_customer", "repeat_customer"]
    correction = kept[-1]
    assert isinstance(correction.data.cause, RecomputedCause)
    assert (correction.effective_ms, correction.data.transition, correction.data.mode) == (
        later.time_ms,
        None,
        "backfill",
    )
    assert (state.facts["orders"], state.facts["first_purchase_at"]) == (2, early.time_ms)
    assert sorted(change.sequence for change in published) == list(range(1, state.sequence + 1))
    assert found == []


async def test_who_stays_in_their_stage_is_told_of_nothing_but_has_the_facts(sql_stack: Stack) -> None:
    async with sql_stack.process(backfill_settle_seconds=SETTLE_SECONDS) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "o1", _days_ago(3)), purchase("ana", "o2", _days_ago(2))])
        await until_handled(resources.database, resources.log)
        before = await path(resources.database, "ana")
        await append(resources.log, [visit("ana", "seen", _days_ago(9))])
        await _until_decided_anew(resources)
        assert await path(resources.database, "ana") == before
        state = await _state(resources.database)
        assert (state.facts["engagements"], state.sequence) == (1, len(await changes(resources.database, "ana")))
        assert await differences(resources) == []


async def test_life_goes_on_after_being_decided_anew(stack: Stack) -> None:
    async with stack.process(backfill_settle_seconds=SETTLE_SECONDS) as resources, engine_running(resources):
        await append(resources.log, [signup("ana"), purchase("ana", "o1")])
        await until_handled(resources.database, resources.log)
        imports = [purchase("ana", f"i{number}", _days_ago(40 - number)) for number in range(3)]
        await append(resources.log, imports)
        await _until_decided_anew(resources)
        await append(resources.log, [*imports, purchase("ana", "o2"), visit("ana")])
        await append(resources.log, [purchase("ana", "very-early", _days_ago(80))])
        await _until_decided_anew(resources)
        await append(resources.log, [purchase("ana", "o3")])
        await until_handled(resources.database, resources.log)
        state = await _state(resources.database)
        kept = await changes(resources.database, "ana")
        assert await differences(resources) == []
    assert state.facts["orders"] == 7
    assert [each.data.sequence for each in kept] == list(range(1, len(kept) + 1))


async def test_a_timer_noticed_before_is_not_noticed_again(sql_stack: Stack, tmp_path: Path) -> None:
    lifecycle = lifecycle_file(
        tmp_path,
        "silence",
        "id: went_quiet, from: active, to: quiet, after: 1d, since: facts.last_engagement_at",
        "id: bought, from: active, to: safe, on: referral",
    )
    chosen = {"lifecycles": (lifecycle,), "backfill_settle_seconds": SETTLE_SECONDS}
    async with sql_stack.process(**chosen) as resources, engine_running(resources):
        await append(resources.log, [visit("ana", "v", _days_ago(3)), visit("bia", "v", _days_ago(3))])

        async def quiet() -> bool:
            found = [(await path(resources.database, name, "silence"))[-1:] for name in ("ana", "bia")]
            return found == [["quiet"], ["quiet"]]

        await until(quiet, "both went quiet")
        referred = message("bia", "r", "referral", {"referred_customer_id": "x"}, _days_ago(2.5))
        await append(resources.log, [visit("ana", "earlier", _days_ago(9)), referred])
        await _until_decided_anew(resources)
        assert await path(resources.database, "ana", "silence") == ["active", "quiet"]
        assert (await path(resources.database, "bia", "silence"))[-1] == "safe"
        assert await differences(resources) == []


async def test_rules_published_before_hold_for_all_of_the_new_life(sql_stack: Stack, tmp_path: Path) -> None:
    text = """
lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}, gold: {order: 3}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
"""
    file = tmp_path / "club.yaml"
    file.write_text(text)
    chosen = {"lifecycles": (str(file),), "backfill_settle_seconds": SETTLE_SECONDS}
    async with sql_stack.process(**chosen) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "o1"), purchase("bia", "o1")])
        await until_handled(resources.database, resources.log)
        await append(resources.log, [purchase("ana", "i1", _days_ago(5))])
        file.write_text(text + '  - {id: many, from: member, to: gold, when: "facts.orders >= 3"}\n')
        wish = Request("a test", "tester", now_ms())
        await publish(resources.database, resources.log, load_definition(file), wish)
        await append(resources.log, [purchase("ana", "i2", _days_ago(4)), purchase("bia", "i1", _days_ago(4))])
        await _until_decided_anew(resources)
        assert await path(resources.database, "ana", "club") == ["guest", "member", "gold"]
        assert await path(resources.database, "bia", "club") == ["guest", "member"]
        assert await differences(resources) == []
        await append(resources.log, [purchase("bia", "o2")])
        await until_handled(resources.database, resources.log)
        assert await path(resources.database, "bia", "club") == ["guest", "member", "gold"]
        assert await differences(resources) == []


async def test_who_is_decided_anew_because_of_a_publication_is_published(sql_stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "club.yaml"
    file.write_text("lifecycle: club\nstart: guest\nstages: {guest: {order: 1}}\n")
    chosen = {"lifecycles": (str(file),), "backfill_settle_seconds": 300.0}
    async with sql_stack.process(**chosen) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "o1")])
        await until_handled(resources.database, resources.log)
        await append(resources.log, [message("ana", "p1", "profile_updated", {"name": "Ana Rosa"}, _days_ago(5))])
        await until_handled(resources.database, resources.log)
        assert (await _state(resources.database)).behind
        file.write_text("lifecycle: club\nstart: guest\nstages: {guest: {order: 2}}\n")
        wish = Request("a test", "tester", now_ms())
        await publish(resources.database, resources.log, load_definition(file), wish)
        await _until_decided_anew(resources)
        state = await _state(resources.database)
        newest = decode((await published(resources.log, Topic.CUSTOMER_UPDATED))[-1].value or b"")
    assert state.notes["name"] == "Ana Rosa"
    assert read_customer_updated(newest).customer == snapshot(state)


async def test_what_an_import_tells_of_the_past_is_not_put_down_to_a_publication_that_follows_at_once(
    sql_stack: Stack, tmp_path: Path
) -> None:
    text = """
lifecycle: club
start: fresh
stages: {fresh: {order: 2}, quiet: {order: 1}, gone: {order: 0}}
transitions:
  - {id: dozed, from: fresh, to: quiet, after: 30d, since: facts.last_purchase_at, demotion: true}
  - {id: left, from: quiet, to: gone, after: 60d, since: facts.last_purchase_at, demotion: true}
"""
    file = tmp_path / "club.yaml"
    file.write_text(text)
    chosen = {"lifecycles": (str(file),), "backfill_settle_seconds": 300.0}
    early = _days_ago(40)
    async with sql_stack.process(**chosen) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "o1", early), purchase("bia", "o1", early)])
        await until_handled(resources.database, resources.log)
        file.write_text(text + "# A remark.\n")
        wish = Request("a test", "tester", now_ms(), notify=True)
        await publish(resources.database, resources.log, load_definition(file), wish)
        await append(resources.log, [purchase("bia", "o2", _days_ago(35))])
        await until_handled(resources.database, resources.log)

        async def all_moved() -> bool:
            return await path(resources.database, "ana", "club") == ["fresh", "quiet"]

        await until(all_moved, "the sweep")
        _, moved = await changes(resources.database, "ana")
        assert await differences(resources) == []
    assert isinstance(moved.data.cause, TimerCause)
    assert (moved.data.mode, moved.effective_ms) == ("backfill", (early.time_ms or 0) + 30 * DAY_MS)


async def test_behind_trimmed_history_nothing_can_be_added(sql_stack: Stack) -> None:
    async with sql_stack.process(backfill_settle_seconds=SETTLE_SECONDS) as resources:
        async with engine_running(resources) as engine:
            await append(resources.log, [purchase("ana", "o1", _days_ago(30)), purchase("ana", "o2", _days_ago(10))])
            await until_handled(resources.database, resources.log)
            assert engine._workshop is not None
            batches = engine._workshop.batches
        partition = (await rows(resources.database, tables.customers))[0]["partition"]
        claim, _ = await progress.claim(resources.database, partition, "test", await resources.log.identity())
        await trim_step(batches, claim, now_ms() - 20 * DAY_MS)
        async with engine_running(resources):
            refused, taken = purchase("ana", "i1", _days_ago(40)), purchase("ana", "i2", _days_ago(15))
            await append(resources.log, [refused, taken])
            await _until_decided_anew(resources)
            letters = await rows(resources.database, tables.dead_letters)
            state = await _state(resources.database)
            assert await differences(resources) == []
    assert [(each["reason"], each["value"]) for each in letters] == [("behind_clock", refused.value)]
    assert "trimmed" in letters[0]["detail"]
    assert state.facts["orders"] == 3


async def test_a_life_too_long_to_be_lived_again_is_left_as_it_is(
    sql_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_back, "LONGEST_LIFE", 5)
    async with sql_stack.process(backfill_settle_seconds=SETTLE_SECONDS) as resources, engine_running(resources):
        await append(resources.log, [visit("ana", f"v{number}") for number in range(5)])
        await until_handled(resources.database, resources.log)
        await append(resources.log, [visit("ana", "early", _days_ago(1))])
        await until_handled(resources.database, resources.log)
        letters = await rows(resources.database, tables.dead_letters)
        assert [each["reason"] for each in letters] == ["behind_clock"]
        assert "too long" in letters[0]["detail"]
        assert await differences(resources) == []


async def test_trimming_keeps_what_was_decided_anew(sql_stack: Stack) -> None:
    """Trimmed in small steps, within and behind what was lived again, the rest still gives the same customer."""
    async with sql_stack.process(backfill_settle_seconds=SETTLE_SECONDS) as resources:
        async with engine_running(resources) as engine:
            await append(resources.log, [signup("ana"), purchase("ana", "o1")])
            await until_handled(resources.database, resources.log)
            await append(resources.log, [purchase("ana", f"i{n}", _days_ago(50 - 10 * n)) for n in range(3)])
            await _until_decided_anew(resources)
            await append(resources.log, [purchase("ana", "o2"), visit("ana")])
            await until_handled(resources.database, resources.log)
            assert engine._workshop is not None
            batches = engine._workshop.batches
        partition = (await rows(resources.database, tables.customers))[0]["partition"]
        claim, _ = await progress.claim(resources.database, partition, "test", await resources.log.identity())
        for horizon in (now_ms() - 45 * DAY_MS, now_ms() - 15 * DAY_MS, now_ms() + 1):
            await trim_step(batches, claim, horizon)
            assert await differences(resources) == []
        bases = await rows(resources.database, tables.bases)
        assert msgspec.json.decode(bases[0]["state"])["sequence"] == (await _state(resources.database)).sequence
