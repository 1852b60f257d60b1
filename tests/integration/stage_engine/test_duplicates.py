"""An event counts once, however often and wherever its id comes again; the same id with another payload is told apart."""

from __future__ import annotations

from typing import Any

import pytest

from services.stage_engine.domain.advance import advance
from services.stage_engine.domain.decision import Decision, Unapplicable
from services.stage_engine.domain.event import Event
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store import tables
from shared.contracts.times import now_ms
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.events import Given, append, message, purchase
from tests.integration.stage_engine.observing import changes, count, path, published_changes, rows, until_handled
from tests.integration.stage_engine.stack import Stack


async def test_the_same_id_twice_in_one_batch_counts_once(stack: Stack) -> None:
    event = purchase("ana", "o1")
    async with stack.process() as resources:
        await append(resources.log, [event, event, purchase("bia", "o1"), event])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        assert await path(resources.database, "ana") == ["prospect", "first_time_customer"]
        assert await path(resources.database, "bia") == ["prospect", "first_time_customer"]
        assert await count(resources.database, tables.history) == 2
        assert await count(resources.database, tables.dead_letters) == 0


async def test_the_same_id_in_a_later_batch_and_after_a_restart_counts_once(stack: Stack) -> None:
    event = purchase("ana", "o1")
    async with stack.process(batch_records=1) as resources, engine_running(resources):
        await append(resources.log, [event])
        await until_handled(resources.database, resources.log)
        await append(resources.log, [event, event])
        await until_handled(resources.database, resources.log)
    async with stack.process() as resources:
        await append(resources.log, [event])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        assert await path(resources.database, "ana") == ["prospect", "first_time_customer"]
        assert len(await published_changes(resources.log)) == len(await changes(resources.database, "ana"))
        assert await count(resources.database, tables.dead_letters) == 0


async def test_the_same_id_with_another_payload_is_listed_and_not_applied(stack: Stack) -> None:
    at = Given(time_ms=now_ms() - 1_000)
    other_amount = purchase("ana", "o1", at, amount="99.00")
    other_time = purchase("ana", "o1", Given(time_ms=now_ms() - 500))
    async with stack.process() as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "o1", at), other_amount])
        await until_handled(resources.database, resources.log)
        await append(resources.log, [other_time])
        await until_handled(resources.database, resources.log)
        letters = await rows(resources.database, tables.dead_letters)
        stored = await rows(resources.database, tables.customers)
        assert [letter["reason"] for letter in letters] == ["id_conflict", "id_conflict"]
        assert {letter["value"] for letter in letters} == {other_amount.value, other_time.value}
        assert b'"revenue":1250' in stored[0]["state"]
        assert await path(resources.database, "ana") == ["prospect", "first_time_customer"]


async def test_times_that_the_server_made_up_are_no_conflict(stack: Stack) -> None:
    tries = [
        message("ana", "v1", "engagement", {"channel": "visit"}, Given(time_ms=now_ms() - ago, servertime=True))
        for ago in (3_000, 2_000)
    ]
    async with stack.process() as resources, engine_running(resources):
        await append(resources.log, tries)
        await until_handled(resources.database, resources.log)
        assert await count(resources.database, tables.history) == 1
        assert await count(resources.database, tables.dead_letters) == 0


async def test_what_repairs_an_event_of_the_same_batch_is_no_duplicate_of_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_advance(rules: Rules, state: CustomerState, occurrence: Any) -> Decision:
        broken = isinstance(occurrence, Event) and occurrence.data.get("amount") == "66.60"
        return Unapplicable("broken") if broken else advance(rules, state, occurrence)

    monkeypatch.setattr("services.stage_engine.batches.deciding.advance", broken_advance)
    broken, repaired = purchase("ana", "o1", amount="66.60"), purchase("ana", "o1", amount="12.50")
    async with stack.process() as resources:
        await append(resources.log, [purchase("bia"), broken, purchase("ana", "o0"), repaired, repaired])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        letters = await rows(resources.database, tables.dead_letters)
        assert [(letter["reason"], letter["value"]) for letter in letters] == [("unapplicable", broken.value)]
        assert await path(resources.database, "ana") == ["prospect", "first_time_customer", "repeat_customer"]
        assert await count(resources.database, tables.history) == 3
