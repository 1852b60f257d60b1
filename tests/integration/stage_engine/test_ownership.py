"""Only the newest claim on a partition writes; a log that can't be the one that progress speaks of halts it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import pytest
from sqlalchemy import text, update

from services.stage_engine import lag
from services.stage_engine.batches import batch
from services.stage_engine.batches.batch import Batches
from services.stage_engine.batches.writing import Outcome, Written, write
from services.stage_engine.definitions.registering import register
from services.stage_engine.engine import GROUP, StageEngine
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import progress, tables
from services.stage_engine.store.progress import Claim, OwnershipLost
from shared.auth.tenants import Tenants
from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.db.port import Database, DatabaseUnavailable, Transaction
from shared.log.port import Fenced, Message, Record
from shared.service import Resources
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.events import append, customers_in, purchase
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
from tests.integration.stage_engine.stack import PARTITIONS, Stack
from tests.spoiled_group import spoiled_group

BOUGHT = ["prospect", "first_time_customer"]


def _record(offset: int, sent: Message) -> Record:
    return Record(Topic.EVENTS, 0, offset, now_ms(), sent.key, sent.value, sent.headers)


async def _batches(resources: Resources) -> Batches:
    definitions = await register(resources.database, resources.settings.lifecycles, now_ms())
    rulebook = RuleBook(definitions, Tenants(resources.database), "BRL")
    return Batches(resources.database, rulebook, PARTITIONS, 0)


async def _owners(database: Database) -> dict[int, int]:
    return {row["partition"]: row["epoch"] for row in await rows(database, tables.progress)}


async def test_an_engine_that_owns_nothing_because_its_client_lost_the_group_wants_a_new_process(
    kafka_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "STUCK_SECONDS", 1.0)
    async with (
        kafka_stack.process() as resources,
        spoiled_group(str(kafka_stack.bootstrap), GROUP, Topic.EVENTS),
        engine_running(resources) as engine,
    ):
        assert engine.alive()

        async def given_up() -> bool:
            return not engine.alive()

        await until(given_up, "the engine says that it is stuck", 20)
        assert (await engine.checks())[-1].detail == "0 partitions owned"


async def test_two_engines_share_the_partitions_and_lose_and_double_nothing(stack: Stack) -> None:
    names = [*customers_in(0, 10), *customers_in(1, 10)]
    async with stack.process() as one, stack.process() as two, engine_running(one) as first:

        async def all_first() -> bool:
            return (await first.checks())[-1].detail == f"{PARTITIONS} partitions owned"

        await until(all_first, "the first engine owns all partitions")
        await append(one.log, [purchase(name, "o1") for name in names])
        async with engine_running(two) as second:

            async def shared() -> bool:
                details = {(await engine.checks())[-1].detail for engine in (first, second)}
                return details == {"1 partitions owned"}

            await until(shared, "each engine owns one partition")
            await append(one.log, [purchase(name, "o2") for name in names])
            await until_handled(one.database, one.log)
        await until(all_first, "the first engine took over what the second left", 10)
        await append(one.log, [purchase(name, "o3") for name in names])
        await until_handled(one.database, one.log)
        assert [await path(one.database, name) for name in names] == [[*BOUGHT, "repeat_customer"]] * len(names)
        sent = [identity for identity, _ in await published_changes(one.log)]
        assert len(set(sent)) == await count(one.database, tables.stage_changes)


async def test_an_engine_whose_claim_was_taken_claims_again_while_the_partition_is_its_own(stack: Stack) -> None:
    ana = customers_in(0, 1)[0]
    async with stack.process() as resources, engine_running(resources):
        await append(resources.log, [purchase(ana, "o1")])
        await until_handled(resources.database, resources.log)
        identity = await resources.log.identity()
        taken, _ = await progress.claim(resources.database, 0, "somebody else", identity)
        await append(resources.log, [purchase(ana, "o2")])
        await until_handled(resources.database, resources.log)
        assert (await _owners(resources.database))[0] > taken.epoch
        assert await path(resources.database, ana) == [*BOUGHT, "repeat_customer"]


async def test_nothing_is_written_under_an_older_claim(sql_stack: Stack) -> None:
    ana = customers_in(0, 1)[0]
    async with sql_stack.process() as resources:
        batches, identity = await _batches(resources), await resources.log.identity()
        old, _ = await progress.claim(resources.database, 0, "old", identity)
        await batches.apply(old, [_record(0, purchase(ana, "o1"))])
        new, at = await progress.claim(resources.database, 0, "new", identity)
        assert (new.epoch, at.next_offset) == (old.epoch + 1, 1)
        with pytest.raises(OwnershipLost):
            await batches.apply(old, [_record(1, purchase(ana, "o2"))])
        await batches.apply(new, [_record(1, purchase(ana, "o2"))])
        assert await path(resources.database, ana) == [*BOUGHT, "repeat_customer"]


async def test_a_timer_is_not_fired_under_an_older_claim(sql_stack: Stack) -> None:
    ana = customers_in(0, 1)[0]
    async with sql_stack.process() as resources:
        batches, identity = await _batches(resources), await resources.log.identity()
        old, _ = await progress.claim(resources.database, 0, "old", identity)
        await batches.apply(old, [_record(0, purchase(ana, "o1"))])
        await progress.claim(resources.database, 0, "new", identity)
        with pytest.raises(OwnershipLost):
            await batches.fire(old, now_ms() + 90 * 86_400_000, 10)
        assert await path(resources.database, ana) == BOUGHT


async def test_a_claim_waits_for_a_batch_that_is_being_written_and_shuts_out_the_next(
    sql_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zombie that stands still inside its transaction: what it commits, the new owner sees; after that, nothing."""
    ana = customers_in(0, 1)[0]
    inside, go_on = asyncio.Event(), asyncio.Event()
    real = write

    async def standing_still(transaction: Transaction, outcomes: Mapping[Claim, Outcome]) -> dict[Claim, Written]:
        inside.set()
        await go_on.wait()
        return await real(transaction, outcomes)

    async with sql_stack.process() as zombie, sql_stack.process() as heir:
        batches, identity = await _batches(zombie), await zombie.log.identity()
        old, _ = await progress.claim(zombie.database, 0, "old", identity)
        monkeypatch.setattr(batch, "write", standing_still)
        writing = asyncio.create_task(batches.apply(old, [_record(0, purchase(ana, "o1"))]))
        await inside.wait()
        claiming = asyncio.create_task(progress.claim(heir.database, 0, "new", identity))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(claiming), 0.5)
        assert not claiming.done()
        go_on.set()
        await writing
        _, at = await claiming
        assert at.next_offset == 1
        with pytest.raises(OwnershipLost):
            await batches.apply(old, [_record(1, purchase(ana, "o2"))])
        assert await count(heir.database, tables.history) == 1


async def test_a_zombie_that_was_cut_off_inside_its_transaction_commits_nothing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = customers_in(0, 1)[0]
    stack = Stack(postgres_url)
    await stack.create()
    real = write

    async def cut_off(transaction: Transaction, outcomes: Mapping[Claim, Outcome]) -> dict[Claim, Written]:
        written = await real(transaction, outcomes)
        async with stack.process() as other, other.database.transaction() as terminating:
            await terminating.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE state = 'idle in transaction' AND datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        monkeypatch.setattr(batch, "write", real)
        return written

    async with stack.process() as zombie, stack.process() as heir:
        batches, identity = await _batches(zombie), await zombie.log.identity()
        old, _ = await progress.claim(zombie.database, 0, "old", identity)
        monkeypatch.setattr(batch, "write", cut_off)
        with pytest.raises(DatabaseUnavailable):
            await batches.apply(old, [_record(0, purchase(ana, "o1"))])
        assert await count(heir.database, tables.history) == 0
        new, at = await progress.claim(heir.database, 0, "new", identity)
        assert at.next_offset == 0
        with pytest.raises(OwnershipLost):
            await batches.apply(old, [_record(0, purchase(ana, "o1"))])
        await (await _batches(heir)).apply(new, [_record(0, purchase(ana, "o1"))])
        assert await path(heir.database, ana) == BOUGHT


async def _halted(engine: StageEngine, words: str) -> None:
    async def said() -> bool:
        check = (await engine.checks())[-1]
        return not check.ok and words in check.detail

    await until(said, f"readiness speaks of {words!r}")


async def test_another_log_than_recorded_halts_the_partition_with_advice(stack: Stack) -> None:
    one, two = customers_in(0, 1)[0], customers_in(1, 1)[0]
    async with stack.process() as resources:
        await progress.claim(resources.database, 0, "before", "some-other-log")
        async with engine_running(resources) as engine:
            await append(resources.log, [purchase(one), purchase(two)])
            await _halted(engine, "Point the service at the former log")

            async def applied() -> bool:
                return await path(resources.database, two) == BOUGHT

            await until(applied, "the other partition goes on")
        assert await changes(resources.database, one) == []


async def test_progress_beyond_the_logs_end_halts_the_partition_with_advice(stack: Stack) -> None:
    one = customers_in(0, 1)[0]
    async with stack.process() as resources:
        await progress.claim(resources.database, 0, "before", await resources.log.identity())
        async with resources.database.transaction() as transaction:
            await transaction.execute(
                update(tables.progress).where(tables.progress.c.partition == 0).values(next_offset=7)
            )
        await append(resources.log, [purchase(one)])
        async with engine_running(resources) as engine:
            await _halted(engine, "the log ends at 1")
        assert await changes(resources.database, one) == []


async def test_the_producer_of_a_former_owner_is_fenced_after_a_takeover(stack: Stack) -> None:
    ana = customers_in(0, 1)[0]
    stale = Message(f"acme:{ana}".encode(), b"{}")
    async with stack.process() as resources:
        zombie = await resources.log.fenced_producer("jornada-engine-0")
        await zombie.append_to(Topic.CUSTOMER_UPDATED, 0, [stale])
        async with engine_running(resources):
            await append(resources.log, [purchase(ana)])
            await until_handled(resources.database, resources.log)
            with pytest.raises(Fenced):
                await zombie.append_to(Topic.CUSTOMER_UPDATED, 0, [stale])
        await zombie.close()
        values = [record.value for record in await published(resources.log, Topic.CUSTOMER_UPDATED)]
        assert values[0] == b"{}"
        assert len(values) == 2
        assert b'"revision":1' in (values[1] or b"")
