"""Silence is believed only when nothing that arrived can be missing; then its timer fires, once, at its due time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.servers import KafkaServer
from services.stage_engine import engine as engine_module
from services.stage_engine.batches import batch
from services.stage_engine.batches.deciding import Decided, States, decide_ticks
from services.stage_engine.domain.lifecycle import RulesOf
from services.stage_engine.store import tables
from services.stage_engine.store.customers import CustomerKey
from shared.contracts.stage_changed import TimerCause
from shared.contracts.times import HOUR_MS, now_ms, to_text
from shared.db.port import Database
from shared.log.kafka_consumer import KafkaConsumer
from shared.log.port import LogUnavailable, Record, TopicPartition
from shared.log.sql_consumer import SqlConsumer
from tests.integration.stage_engine.engines import engine_running, silence_file
from tests.integration.stage_engine.events import Given, append, customers_in, purchase, visit
from tests.integration.stage_engine.observing import changes, count, path, published_changes, until, until_handled
from tests.integration.stage_engine.stack import Stack

QUIET = ["active", "quiet"]


async def _until_path(database: Database, customer: str, stages: list[str]) -> None:
    async def there() -> bool:
        return await path(database, customer, "silence") == stages

    await until(there, f"{customer} went through {stages}")


async def _until_time(moment_ms: int) -> None:
    async def passed() -> bool:
        return now_ms() > moment_ms

    await until(passed, "time went by")


def _stand_idle_between_records(monkeypatch: pytest.MonkeyPatch, kind: type[SqlConsumer] | type[KafkaConsumer]) -> None:
    """One record at a time, and none before the engine has had nothing to do and has asked whether it is caught up."""
    fetch, end_offset, asked = kind.fetch, kind.end_offset, asyncio.Event()

    async def asked_end(self: Any, where: TopicPartition) -> int:
        asked.set()
        return await end_offset(self, where)

    async def next_record(self: Any, _most: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        try:
            await asyncio.wait_for(asked.wait(), timeout_ms / 1000)
        except TimeoutError:
            return {}
        found = await fetch(self, 1, timeout_ms)
        asked.clear()
        return found

    monkeypatch.setattr(kind, "end_offset", asked_end)
    monkeypatch.setattr(kind, "fetch", next_record)


async def test_a_backlog_never_causes_a_false_inactive(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = customers_in(0, 10)
    async with stack.process(lifecycles=(silence_file(tmp_path, after="60s"),), batch_records=5) as resources:
        await append(resources.log, [visit(name) for name in many])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        await append(resources.log, [purchase(name) for name in many])
        monkeypatch.setattr(engine_module, "now_ms", lambda: now_ms() + HOUR_MS)
        _stand_idle_between_records(monkeypatch, SqlConsumer)
        _stand_idle_between_records(monkeypatch, KafkaConsumer)
        async with engine_running(resources):

            async def all_bought() -> bool:
                return await count(resources.database, tables.history) == 2 * len(many)

            await until(all_bought, "the backlog was handled", 30)
        assert [await path(resources.database, name, "silence") for name in many] == [["active", "safe"]] * len(many)


async def test_when_caught_up_a_timer_fires_at_its_due_time(stack: Stack, tmp_path: Path) -> None:
    happened = now_ms()
    async with (
        stack.process(lifecycles=(silence_file(tmp_path),)) as resources,
        engine_running(resources),
    ):
        await append(resources.log, [visit("ana", given=Given(time_ms=happened))])
        await _until_path(resources.database, "ana", QUIET)
        fired_ms = now_ms()
        last = (await changes(resources.database, "ana"))[-1]
        await until_handled(resources.database, resources.log)
        sent = await published_changes(resources.log)
    assert last.effective_ms == happened + 1_000
    assert last.data.cause == TimerCause(to_text(happened + 1_000))
    assert (last.data.mode, last.data.transition, last.data.late) == ("live", "went_quiet", False)
    assert happened + 2_000 <= fired_ms < happened + 10_000
    assert [identity for identity, _ in sent][-1] == last.change_id


async def test_a_timer_that_came_due_while_no_engine_ran_fires_once(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stack.process(lifecycles=(silence_file(tmp_path, after="60s"),)) as resources:
        await append(resources.log, [visit("ana")])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        monkeypatch.setattr(engine_module, "now_ms", lambda: now_ms() + HOUR_MS)
        for _ in range(2):
            async with engine_running(resources):
                await _until_path(resources.database, "ana", QUIET)
                await until_handled(resources.database, resources.log)
        assert len(await published_changes(resources.log)) == 2


async def test_a_log_that_does_not_tell_its_end_lets_no_timer_fire(
    sql_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    real = SqlConsumer.end_offset

    async def deaf(self: SqlConsumer, where: TopicPartition) -> int:
        nonlocal asked
        asked += 1
        raise LogUnavailable("no answer")

    async with (
        sql_stack.process(lifecycles=(silence_file(tmp_path),)) as resources,
        engine_running(resources),
    ):
        await append(resources.log, [visit("ana")])
        await _until_path(resources.database, "ana", ["active"])
        monkeypatch.setattr(SqlConsumer, "end_offset", deaf)
        await _until_time(now_ms() + 6_000)
        assert await path(resources.database, "ana", "silence") == ["active"]
        assert asked > 1
        monkeypatch.setattr(SqlConsumer, "end_offset", real)
        await _until_path(resources.database, "ana", QUIET)


async def test_an_engine_cut_off_from_the_broker_lets_no_timer_fire(
    kafka_stack: Stack, own_kafka: KafkaServer, tmp_path: Path
) -> None:
    lifecycle = silence_file(tmp_path, after="2s")
    async with kafka_stack.process(lifecycles=(lifecycle,)) as resources, engine_running(resources):
        await append(resources.log, [visit("ana")])
        await _until_path(resources.database, "ana", ["active"])
        await until_handled(resources.database, resources.log)
        own_kafka.pause()
        try:
            await _until_time(now_ms() + 7_000)
            assert await path(resources.database, "ana", "silence") == ["active"]
        finally:
            own_kafka.resume()
        await _until_path(resources.database, "ana", QUIET)


async def test_thousands_of_timers_all_fire_in_batches_of_the_stated_size(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def counted(customers: Iterable[CustomerKey], until_ms: int, states: States, rules_of: RulesOf) -> Decided:
        sizes.append(len(list(customers)))
        return decide_ticks(customers, until_ms, states, rules_of)

    monkeypatch.setattr(batch, "decide_ticks", counted)
    names = [f"c{number}" for number in range(2_000)]
    async with stack.process(lifecycles=(silence_file(tmp_path),), timers_batch=150) as resources:
        await append(resources.log, [visit(name) for name in names])
        async with engine_running(resources):

            async def all_fired() -> bool:
                return await count(resources.database, tables.stage_changes) == 2 * len(names)

            await until(all_fired, "all timers fired", 40)
            await until_handled(resources.database, resources.log)
        assert await count(resources.database, tables.timers) == 0
    assert max(sizes) <= 150
    assert sum(sizes) == len(names)
