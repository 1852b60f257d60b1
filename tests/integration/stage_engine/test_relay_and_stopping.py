"""What was decided reaches the topics at least once and in order, whatever is cut off; stopping is quick and loses nothing."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from services.stage_engine.main import build
from services.stage_engine.relay import Relay
from services.stage_engine.store import outbox, tables
from services.stage_engine.store.progress import Claim
from shared.contracts.topics import Topic
from shared.db.port import DatabaseUnavailable, Transaction
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.events import append, purchase
from tests.integration.stage_engine.observing import changes, count, path, published_changes, until, until_handled
from tests.integration.stage_engine.stack import Stack


async def test_a_crash_between_publishing_and_forgetting_repeats_the_same_ids(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(_transaction: Transaction, _claim: Claim, _topic: Topic, _last: int) -> None:
        raise DatabaseUnavailable("cut off after publishing")

    async with stack.process() as resources:
        with monkeypatch.context() as patched:
            patched.setattr(outbox, "relayed", cut_off)
            async with engine_running(resources):
                await append(resources.log, [purchase("ana", f"o{n}") for n in range(3)])

                async def published() -> bool:
                    kept = await changes(resources.database, "ana")
                    return bool(kept) and len(await published_changes(resources.log)) >= len(kept)

                await until(published, "the stage changes are published")
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        kept = [each.change_id for each in await changes(resources.database, "ana")]
        sent = [identity for identity, _ in await published_changes(resources.log)]
    assert len(sent) > len(kept)
    assert list(dict.fromkeys(sent)) == kept


async def test_what_a_killed_engine_left_in_the_outbox_is_relayed_by_the_next(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_transaction: Transaction, _place: outbox.Place, _limit: int) -> list[outbox.Waiting]:
        return []

    async with stack.process() as resources:
        with monkeypatch.context() as patched:
            patched.setattr(outbox, "waiting", nothing)
            patched.setattr(Relay, "offer", lambda _relay, _rows: None)
            async with engine_running(resources):
                await append(resources.log, [purchase("ana")])

                async def decided() -> bool:
                    return await count(resources.database, tables.outbox) > 0

                await until(decided, "the outbox has something")
        assert await published_changes(resources.log) == []
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        kept = [each.change_id for each in await changes(resources.database, "ana")]
        assert [identity for identity, _ in await published_changes(resources.log)] == kept


async def test_stopping_under_load_is_quick_and_the_next_engine_goes_on(stack: Stack) -> None:
    names = [f"c{number}" for number in range(100)]
    async with stack.process(batch_records=50) as resources:
        for n in range(30):
            await append(resources.log, [purchase(name, f"o{n}") for name in names])
        engine, stopping = build(resources), asyncio.Event()
        task = asyncio.create_task(engine.run(stopping))

        async def under_way() -> bool:
            return await count(resources.database, tables.history) >= 200

        await until(under_way, "the engine is at work")
        begun = monotonic()
        stopping.set()
        await task
        assert monotonic() - begun < 10
        assert await count(resources.database, tables.history) < 3_000
        assert await count(resources.database, tables.outbox) == 0
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        assert await count(resources.database, tables.history) == 3_000
        expected = ["prospect", "first_time_customer", "repeat_customer", "loyal"]
        assert [await path(resources.database, name) for name in names] == [expected] * len(names)
        sent = [identity for identity, _ in await published_changes(resources.log)]
        assert len(sent) == len(set(sent)) == await count(resources.database, tables.stage_changes)
