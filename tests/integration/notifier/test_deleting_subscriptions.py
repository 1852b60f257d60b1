"""Deleting a subscription cancels what waits for it, tells so, and gets to the end however long the backlog is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import text, update

from services.notifier.domain.subscription import SubscriptionStatus
from services.notifier.store import deliveries, queue, subscriptions, tables
from services.notifier.store.deliveries import STORY_COLUMNS
from services.notifier.store.queue import PARKED_MS
from shared.contracts.cloudevent import TRACEPARENT, decode
from shared.contracts.times import HOUR_MS, now_ms
from shared.contracts.topics import Topic
from shared.db.port import Database, DatabaseUnavailable, Transaction
from shared.trimming import STEP_ROWS
from tests.integration.notifier.house import TENANT, Customer, House, open_house, read_topic
from tests.integration.notifier.house import TRACEPARENT as TRACE
from tests.integration.notifier.receivers import answer, until


@dataclass
class LostAfterOneTransaction:
    """The database as a process sees it that ends after its first transaction."""

    database: Database
    left: int = 1

    @property
    def dialect(self) -> str:
        return self.database.dialect

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        if not self.left:
            raise DatabaseUnavailable("lost")
        self.left -= 1
        async with self.database.transaction() as tx:
            yield tx

    def reading(self) -> Any:
        return self.database.reading()

    async def ping(self) -> None:
        await self.database.ping()

    async def close(self) -> None:
        await self.database.close()


async def add_backlog(house: House, subscription: dict[str, Any], size: int) -> None:
    """Deliveries that wait for somebody to enable the endpoint."""
    at, endpoint = now_ms(), f"webhook:{subscription['id']}"
    plan = dict.fromkeys(deliveries.COLUMNS, "") | {
        "tenant": TENANT, "class": "transactional", "channel": "webhook", "endpoint": endpoint, "effective_ms": at,
        "planned_ms": at, "due_ms": at, "entry": 1, "while_in_stage": False, "subscription_id": subscription["id"],
    }  # fmt: skip
    ids = [f"d-{n}" for n in range(size)]
    plans = [tuple((plan | {"id": one, "customer_id": one, "change_id": one}).values()) for one in ids]
    waiting = [(one, endpoint, PARKED_MS, "", 3, "") for one in ids]
    async with house.database.transaction() as tx:
        await tx.insert(tables.deliveries, deliveries.COLUMNS, plans)
        await tx.insert(tables.due, queue.COLUMNS, waiting)


async def test_what_is_cancelled_is_published_with_its_trace(house: House) -> None:
    subscription = await house.subscribe("/down")
    house.receiver.answers["/down"] = [answer(500)]
    await house.say(Customer("c-1").moves("prospect"))
    await house.wait_rows(tables.attempts, 1)
    assert (await house.http.delete(f"/v1/subscriptions/{subscription['id']}")).status_code == 204
    [record] = await read_topic(house.resources.log, Topic.CAMPAIGN_OUTCOMES, 1)
    told = decode(record.value or b"").data
    assert (told["outcome"], told["reason"], told["step"]) == ("cancelled", None, subscription["id"])
    assert (told["customer_id"], told["attempts"]) == ("c-1", 1)
    assert dict(record.headers)[TRACEPARENT] == TRACE.encode()


async def test_a_long_backlog_is_cancelled_whole(house: House) -> None:
    subscription, other = await house.subscribe("/down"), await house.subscribe("/other")
    size = 2 * STEP_ROWS + 1
    await add_backlog(house, subscription, size)
    assert (await house.http.delete(f"/v1/subscriptions/{subscription['id']}")).status_code == 204
    rows = await house.rows(tables.outcomes)
    assert {(row["outcome"], row["attempts"]) for row in rows} == {("cancelled", 3)}
    assert len(rows) == size
    assert await house.count(tables.due) == 0
    assert len(await read_topic(house.resources.log, Topic.CAMPAIGN_OUTCOMES, size)) == size
    assert [row["id"] for row in await house.rows(tables.subscriptions)] == [other["id"]]


async def test_a_deletion_that_was_cut_off_holds_and_is_finished_by_whoever_comes_next(house: House) -> None:
    subscription = await house.subscribe("/down")
    await add_backlog(house, subscription, 2 * STEP_ROWS)
    cut_off = replace(house.notifier.trimmer.cancelling, database=LostAfterOneTransaction(house.database))
    with pytest.raises(DatabaseUnavailable):
        await cut_off.delete(subscription["id"])
    assert await house.count(tables.subscriptions) == 0
    assert await house.count(tables.outcomes) == await house.count(tables.due) == STEP_ROWS
    await house.notifier.trimmer.round(asyncio.Event())
    assert await house.count(tables.outcomes) == 2 * STEP_ROWS
    assert await house.count(tables.due) == 0


async def test_a_backlog_whose_subscription_is_there_is_left_alone(house: House) -> None:
    await add_backlog(house, await house.subscribe("/down"), 3)
    await house.notifier.trimmer.round(asyncio.Event())
    assert await house.count(tables.outcomes) == 0
    assert await house.count(tables.due) == 3


async def test_an_attempt_under_way_is_said_to_be(database_url: str) -> None:
    async with open_house(database_url, stop_timeout_seconds=1.5) as house:
        house.receiver.silent.add("/slow")
        subscription = await house.subscribe("/slow")
        await house.say(Customer("c-1").moves("prospect"))
        await until(lambda: bool(house.receiver.at("/slow")), "the attempt")
        assert (await house.http.delete(f"/v1/subscriptions/{subscription['id']}")).status_code == 204
        [outcome] = await house.outcomes(1)
        assert outcome["detail"] == "the subscription was deleted while an attempt was under way"
        assert await house.count(tables.due) == 0


async def test_a_claim_that_waited_for_the_deletion_parks_nothing(postgres_url: str) -> None:
    async with open_house(postgres_url) as house:
        subscription = await house.subscribe("/paused")
        await add_backlog(house, subscription, 1)
        async with house.database.transaction() as tx:
            # Due for the claim below, whose clock is ahead, and for nobody else.
            await tx.execute(update(tables.due).values(due_ms=now_ms() + HOUR_MS))
            await tx.execute(update(tables.subscriptions).values(status=SubscriptionStatus.PAUSED))
            await tx.insert_new(tables.changes, STORY_COLUMNS, [(TENANT, "d-0", 1, b"{}", b"{}", None)], ("tenant",))
        later = replace(house.notifier.dispatcher.claimer, clock=lambda: now_ms() + 2 * HOUR_MS)
        async with house.database.transaction() as tx:
            await subscriptions.remove(tx, subscription["id"])
            claiming = asyncio.create_task(later.claim({f"webhook:{subscription['id']}": 1}))
            async with asyncio.timeout(10):
                while not (await tx.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar_one():
                    await asyncio.sleep(0.01)
        await claiming
        assert [row["outcome"] for row in await house.rows(tables.outcomes)] == ["cancelled"]
        assert await house.count(tables.due) == 0
