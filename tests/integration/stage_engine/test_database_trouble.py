"""A database that refuses one record costs that record only; one that is away costs nothing but time."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store import customers, tables
from services.stage_engine.store.customers import CustomerKey
from shared.contracts.topics import Topic
from shared.db.port import DatabaseRefused, Write
from shared.log.port import Message
from tests.integration.stage_engine.engines import engine_running, silence_file
from tests.integration.stage_engine.events import append, customers_in, purchase, visit
from tests.integration.stage_engine.observing import (
    changes,
    count,
    path,
    published,
    published_changes,
    rows,
    until,
    until_handled,
)
from tests.integration.stage_engine.stack import Stack
from tests.integration.stage_engine.unreliable import with_unreliable_database

BOUGHT = ["prospect", "first_time_customer"]


async def test_a_record_that_the_database_refuses_is_isolated(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    many = customers_in(0, 20)
    refused = many[13]
    real = customers.states_write

    def states_write(partition: int, states: Mapping[CustomerKey, CustomerState]) -> Write:
        if any(key.customer_id == refused for key in states):
            raise DatabaseRefused(f"can't keep {refused}")
        return real(partition, states)

    monkeypatch.setattr(customers, "states_write", states_write)
    async with stack.process() as resources:
        await append(resources.log, [purchase(name) for name in many])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        letters = await rows(resources.database, tables.dead_letters)
        assert [(letter["reason"], letter["log_offset"]) for letter in letters] == [("unapplicable", 13)]
        assert refused in letters[0]["detail"]
        assert await count(resources.database, tables.history) == len(many) - 1
        assert [await path(resources.database, name) for name in many if name != refused] == [BOUGHT] * 19
        assert len(await published_changes(resources.log)) == await count(resources.database, tables.stage_changes)


async def test_an_id_too_long_for_an_index_stops_nobody(stack: Stack) -> None:
    """PostgreSQL refuses index entries beyond a third of a page, and only when they are written."""
    endless = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9_000))
    many = [f"c{number}" for number in range(10)]
    async with stack.process() as resources:
        await append(resources.log, [purchase(name) for name in [*many, endless, "last"]])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        letters = await rows(resources.database, tables.dead_letters)
        assert [await path(resources.database, name) for name in [*many, "last"]] == [BOUGHT] * 11
        shown = f"{endless[:1_000]}…"
        assert all(letter["customer_id"] in (shown, None) for letter in letters)
        assert len(letters) == (1 if stack.on_postgres else len(letters))


async def test_a_database_that_goes_away_is_waited_for(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack.process() as opened:
        resources, database = with_unreliable_database(opened, monkeypatch)
        database.failures_before_commit = 2
        names = customers_in(0, 5)
        await append(resources.log, [purchase(name) for name in names])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        assert database.failures_before_commit == 0
        assert await count(resources.database, tables.dead_letters) == 0
        assert [await path(resources.database, name) for name in names] == [BOUGHT] * 5


async def test_a_commit_of_unknown_outcome_doubles_and_loses_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stack.process(batch_records=3) as opened:
        resources, database = with_unreliable_database(opened, monkeypatch)
        database.failures_after_commit = 2
        names = customers_in(0, 4)
        poison = Message(f"acme:{names[0]}".encode(), b"?")
        await append(resources.log, [poison, *[purchase(name, f"o{n}") for n in range(3) for name in names]])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        assert database.failures_after_commit == 0
        assert len(await published(resources.log, Topic.DEAD_LETTERS)) == 1
        assert await count(resources.database, tables.history) == 12
        for name in names:
            kept = await changes(resources.database, name)
            assert [each.data.to for each in kept if each.data.lifecycle == "ecommerce"] == [
                *BOUGHT,
                "repeat_customer",
            ]
            assert [each.data.sequence for each in kept] == list(range(1, len(kept) + 1))
        sent = [identity for identity, _ in await published_changes(resources.log)]
        assert len(sent) == len(set(sent)) == await count(resources.database, tables.stage_changes)


async def test_what_a_commit_of_unknown_outcome_wrote_is_published_without_waiting_for_more_events(
    sql_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sql_stack.process() as opened:
        resources, database = with_unreliable_database(opened, monkeypatch)
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
            database.failures_after_commit = 1
            await append(resources.log, [purchase("ana")])
            await until_handled(resources.database, resources.log)
        assert await path(resources.database, "ana") == BOUGHT


async def test_a_timer_armed_by_a_commit_of_unknown_outcome_fires(
    sql_stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with sql_stack.process(lifecycles=(silence_file(tmp_path),)) as opened:
        resources, database = with_unreliable_database(opened, monkeypatch)
        database.failures_after_commit = 1
        armed: Message = visit("ana")
        async with engine_running(resources):
            await append(resources.log, [armed])

            async def quiet() -> bool:
                return await path(resources.database, "ana", "silence") == ["active", "quiet"]

            await until(quiet, "the timer fired", 12)
        assert database.failures_after_commit == 0
