"""Imports are applied at the times at which things happened; timers wait for them, and know whose time they belong to."""

from __future__ import annotations

from pathlib import Path

from services.stage_engine.store import tables
from shared.contracts.cloudevent import BACKFILL
from shared.contracts.times import DAY_MS, now_ms
from shared.db.port import Database
from tests.integration.stage_engine.engines import engine_running, silence_file
from tests.integration.stage_engine.events import Given, append, purchase, visit
from tests.integration.stage_engine.observing import changes, path, rows, until, until_handled
from tests.integration.stage_engine.stack import Stack


def _days_ago(days: float) -> Given:
    return Given(time_ms=now_ms() - int(days * DAY_MS), mode=BACKFILL)


async def _until_last(database: Database, stage: str, lifecycle: str = "ecommerce") -> None:
    async def there() -> bool:
        return (await path(database, "ana", lifecycle))[-1:] == [stage]

    await until(there, f"ana is in {stage}")


async def test_an_import_is_applied_at_its_own_times_and_says_so(stack: Stack) -> None:
    ago = [_days_ago(days) for days in (30, 20, 10)]
    async with stack.process() as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", f"o{n}", given) for n, given in enumerate(ago)])
        await until_handled(resources.database, resources.log)
        kept = [each for each in await changes(resources.database, "ana") if each.data.lifecycle == "ecommerce"]
        history = await rows(resources.database, tables.history)
    assert [each.data.to for each in kept] == ["prospect", "first_time_customer", "repeat_customer"]
    assert [each.effective_ms for each in kept] == [ago[0].time_ms, ago[0].time_ms, ago[1].time_ms]
    assert {each.data.mode for each in kept} == {"backfill"}
    assert [row["arrival_ms"] for row in history] == [given.time_ms for given in ago]
    assert all(row["logged_ms"] > row["arrival_ms"] for row in history)


async def test_timers_wait_until_an_import_has_settled(stack: Stack) -> None:
    async with stack.process(backfill_settle_seconds=3_600) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "o1", _days_ago(90))])
        await until_handled(resources.database, resources.log)
        logged = (await rows(resources.database, tables.history))[0]["logged_ms"]
        assert [row["ripe_ms"] for row in await rows(resources.database, tables.timers)] == [logged + 3_600_000]
        await append(resources.log, [purchase("ana", "o2", _days_ago(80))])
        await until_handled(resources.database, resources.log)
        assert await rows(resources.database, tables.dead_letters) == []
        assert await path(resources.database, "ana") == ["prospect", "first_time_customer", "repeat_customer"]


async def test_a_timer_that_was_ripe_before_the_imports_end_fires_as_backfill(stack: Stack) -> None:
    given = _days_ago(90)
    assert given.time_ms is not None
    async with stack.process() as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "o1", given)])
        await _until_last(resources.database, "at_risk")
        last = (await changes(resources.database, "ana"))[-1]
    assert (last.data.mode, last.effective_ms) == ("backfill", given.time_ms + 60 * DAY_MS)


async def test_a_timer_that_gets_ripe_after_the_import_is_live(stack: Stack, tmp_path: Path) -> None:
    happened = now_ms() - DAY_MS + 2_000
    lifecycle = silence_file(tmp_path, after="1d")
    async with stack.process(lifecycles=(lifecycle,)) as resources, engine_running(resources):
        await append(resources.log, [visit("ana", given=Given(time_ms=happened, mode=BACKFILL))])
        await _until_last(resources.database, "quiet", "silence")
        kept = await changes(resources.database, "ana")
    assert [each.data.mode for each in kept] == ["backfill", "live"]
    assert kept[-1].effective_ms == happened + DAY_MS
