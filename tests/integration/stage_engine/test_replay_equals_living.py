"""What engines decided in batches, over restarts, with timers in between, is what a replay of history decides in one go."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select

from services.stage_engine.batches.batch import Batches
from services.stage_engine.definitions.registering import register
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied, StageChange
from services.stage_engine.domain.event import Event, Origin, Tick
from services.stage_engine.domain.lifecycle import RulesOf
from services.stage_engine.domain.publishing import publish_change
from services.stage_engine.domain.state import CustomerState, decode_state
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import history, progress, tables
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Past
from services.stage_engine.store.progress import Claim
from services.stage_engine.trimming import trim_step
from shared.auth.tenants import Tenants
from shared.contracts.cloudevent import BACKFILL, decode
from shared.contracts.times import DAY_MS, now_ms
from shared.db.port import Database
from shared.log.port import Message
from shared.service import Resources
from tests.integration.stage_engine.engines import engine_running, silence_file
from tests.integration.stage_engine.events import Given, append, message, purchase, signup, visit
from tests.integration.stage_engine.observing import count, rows, until, until_handled
from tests.integration.stage_engine.stack import PARTITIONS, Stack

NAMES = [f"c{number}" for number in range(40)]


def _event(draw: random.Random, number: int) -> Message:
    name = draw.choice(NAMES)
    ago = draw.choice([0, 0, 0, 500, 5_000, 90 * DAY_MS])
    given = Given(time_ms=now_ms() - ago)
    identity = f"e{number}" if draw.random() > 0.1 else f"e{draw.randrange(number + 1)}"
    made = {
        "signup": lambda: signup(name, identity, given),
        "purchase": lambda: purchase(name, identity, given),
        "visit": lambda: visit(name, identity, given),
        "complaint": lambda: message(name, identity, "complaint", {"complaint_id": f"k{number % 3}"}, given),
        "resolved": lambda: message(
            name, identity, "complaint_resolved", {"complaint_id": f"k{number % 3}", "satisfied": True}, given
        ),
        "nps": lambda: message(name, identity, "survey_response", {"kind": "nps", "score": draw.randrange(11)}, given),
        "referral": lambda: message(name, identity, "referral", {}, given),
    }
    return made[draw.choice(list(made))]()


def _load(seed: int, size: int) -> list[Message]:
    draw = random.Random(seed)
    return [_event(draw, number) for number in range(size)]


async def _rules(resources: Resources) -> tuple[Batches, RulesOf]:
    definitions = await register(resources.database, resources.settings.lifecycles, now_ms())
    rulebook = RuleBook(definitions, Tenants(resources.database), "BRL")
    return Batches(resources.database, rulebook, PARTITIONS, 1_000), rulebook.rules_of(rulebook.newest)


def _replay(
    rules_of: RulesOf, customer: CustomerKey, base: CustomerState, past: Sequence[Past], until_ms: int
) -> tuple[CustomerState, list[StageChange]]:
    state = base
    changes: list[StageChange] = []
    for each in past:
        envelope = decode(each.body)
        origin = Origin(*customer, envelope.id, envelope.type)
        backfill = envelope.mode == BACKFILL
        event = Event.taken(origin, envelope.time_ms, each.logged_ms, backfill=backfill, data=envelope.data)
        decision = advance(rules_of(customer.tenant), state, event)
        assert isinstance(decision, Applied)
        state, changes = decision.state, [*changes, *decision.changes]
    ticked = advance(rules_of(customer.tenant), state, Tick(until_ms))
    return ticked.state, [*changes, *ticked.changes]


async def _until_settled(resources: Resources) -> None:
    """No timer left that is ripe by the watermark of its partition, so that the watermark tells what has fired."""
    await until_handled(resources.database, resources.log)

    async def settled() -> bool:
        ripe = select(func.count()).where(tables.timers.c.ripe_ms <= now_ms() + 3_000)
        async with resources.database.reading() as transaction:
            return int((await transaction.execute(ripe)).scalar_one()) == 0

    await until(settled, "timers fired")
    await until_handled(resources.database, resources.log)


async def _stored_states(database: Database) -> dict[str, CustomerState]:
    return {row["customer_id"]: decode_state(row["state"]) for row in await rows(database, tables.customers)}


async def _replayed(resources: Resources, name: str, base: CustomerState) -> tuple[CustomerState, list[bytes]]:
    _, rules_of = await _rules(resources)
    key = CustomerKey("acme", name)
    row = (await rows(resources.database, tables.customers, customer_id=name))[0]
    at = (await rows(resources.database, tables.progress, partition=row["partition"]))[0]
    async with resources.database.reading() as transaction:
        past = await history.of_customers(transaction, [key])
    state, changes = _replay(rules_of, key, base, past, at["watermark_ms"])
    return state, [publish_change(change, *key, "BRL").kept for change in changes]


async def _kept(database: Database, name: str) -> list[bytes]:
    return [row["data"] for row in await rows(database, tables.stage_changes, customer_id=name)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_replaying_history_gives_the_states_and_changes_that_living_gave(
    stack: Stack, tmp_path: Path, seed: int
) -> None:
    chosen = ("ecommerce", "customer_care", silence_file(tmp_path, after="1s"))
    events = _load(seed, 600)
    async with stack.process(lifecycles=chosen, batch_records=37, timers_batch=5) as resources:
        for start in range(0, len(events), 200):
            async with engine_running(resources):
                await append(resources.log, events[start : start + 200])
                await _until_settled(resources)
        stored = await _stored_states(resources.database)
        assert len(stored) == len(NAMES)
        causes = [row["data"] for row in await rows(resources.database, tables.stage_changes)]
        assert any(b'"kind":"timer"' in data for data in causes)
        for name, state in stored.items():
            replayed, decided = await _replayed(resources, name, NEW_CUSTOMER)
            assert replayed == state
            assert decided == await _kept(resources.database, name)


async def _trim_all(batches: Batches, claim: Claim, horizon_ms: int) -> int:
    steps = 0
    while await trim_step(batches, claim, horizon_ms):
        steps += 1
        assert steps < 1_000
    return steps


async def test_trimmed_history_with_its_base_gives_the_same_states(sql_stack: Stack, tmp_path: Path) -> None:
    chosen = ("ecommerce", "customer_care", silence_file(tmp_path, after="1s"))
    events = _load(5, 400)
    async with sql_stack.process(lifecycles=chosen) as resources:
        horizons = []
        for part in (events[:150], events[150:300], events[300:]):
            horizons.append(now_ms())
            async with engine_running(resources):
                await append(resources.log, part)
                await _until_settled(resources)
        before = await _stored_states(resources.database)
        batches, _ = await _rules(resources)
        identity = await resources.log.identity()
        for partition in range(PARTITIONS):
            claim, _ = await progress.claim(resources.database, partition, "test", identity)
            for cut in horizons:
                await _trim_all(batches, claim, cut)
        left = await rows(resources.database, tables.history)
        bases = {row["customer_id"]: decode_state(row["state"]) for row in await rows(resources.database, tables.bases)}
        assert min(row["arrival_ms"] for row in left) >= horizons[-1]
        assert len(bases) > 20
        assert await _stored_states(resources.database) == before
        for name, state in before.items():
            assert (await _replayed(resources, name, bases.get(name, NEW_CUSTOMER)))[0] == state


async def test_ids_that_were_kept_are_still_duplicates_after_trimming(sql_stack: Stack) -> None:
    async with sql_stack.process() as resources:
        async with engine_running(resources):
            await append(resources.log, [purchase("ana", "old")])
            await until_handled(resources.database, resources.log)
            horizon = (await rows(resources.database, tables.history))[0]["arrival_ms"] + 1

            async def later() -> bool:
                return now_ms() > int(horizon)

            await until(later, "the clock moved on")
            await append(resources.log, [purchase("ana", "kept")])
            await until_handled(resources.database, resources.log)
        batches, _ = await _rules(resources)
        identity = await resources.log.identity()
        for partition in range(PARTITIONS):
            claim, _ = await progress.claim(resources.database, partition, "test", identity)
            await _trim_all(batches, claim, horizon)
        assert [row["event_id"] for row in await rows(resources.database, tables.history)] == ["kept"]
        async with engine_running(resources):
            await append(resources.log, [purchase("ana", "kept")])
            await until_handled(resources.database, resources.log)
        assert (await _stored_states(resources.database))["ana"].facts["orders"] == 2


async def test_one_step_of_trimming_is_bounded(sql_stack: Stack) -> None:
    async with sql_stack.process() as resources:
        async with engine_running(resources):
            await append(resources.log, [visit("ana", f"v{number}") for number in range(1_700)])
            await until_handled(resources.database, resources.log)
        batches, _ = await _rules(resources)
        partition = (await rows(resources.database, tables.customers))[0]["partition"]
        claim, _ = await progress.claim(resources.database, partition, "test", await resources.log.identity())
        await trim_step(batches, claim, now_ms() + 1)
        assert 1_700 - await count(resources.database, tables.history) <= 500
