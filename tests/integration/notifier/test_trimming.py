"""What is over goes after its time, in small steps; what waits, and what keeps a stage change from counting twice, stays."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from sqlalchemy import update

from services.notifier.store import deliveries, leases, tables
from services.notifier.store.queue import PARKED_MS
from services.notifier.trimming import Retention
from shared.contracts.cloudevent import headers, record_key
from shared.contracts.times import DAY_MS, now_ms
from shared.log.port import Message
from shared.trimming import STEP_ROWS
from tests.integration.notifier.house import TENANT, Customer, House
from tests.integration.notifier.receivers import answer, until

OVER = (tables.deliveries, tables.outcomes, tables.attempts, tables.changes)
KEPT_DAYS, ATTEMPTS_KEPT_DAYS = 400, 90


async def trim(house: House, after_days: int = KEPT_DAYS + 1) -> None:
    """Let time pass, and trim."""
    house.clock.ahead_ms = after_days * DAY_MS
    await house.notifier.trimmer.round(asyncio.Event())


async def counts(house: House) -> list[int]:
    """How many rows the tables have that a finished delivery is in."""
    return [await house.count(table) for table in OVER]


async def parked(house: House, path: str) -> dict[str, Any]:
    """A subscription with one delivery that waits until somebody enables it: its endpoint said that it is gone."""
    subscription = await house.subscribe(path)
    house.receiver.answers[path] = [answer(410)]
    await house.say(Customer("c-parked").moves("prospect"))
    async with asyncio.timeout(15):
        while [row["due_ms"] for row in await house.rows(tables.due)] != [PARKED_MS]:
            await asyncio.sleep(0)
    return subscription


async def test_a_finished_delivery_goes_with_all_that_belongs_to_it(house: House) -> None:
    await house.subscribe("/hook")
    await house.say(Customer("c-1").moves("lead"))
    await house.outcomes(2)
    await trim(house, KEPT_DAYS - 1)
    assert (await counts(house))[:2] == [2, 2]
    await trim(house)
    assert await counts(house) == [0, 0, 0, 0]


async def test_what_has_ended_lately_stays(house: House) -> None:
    await house.subscribe("/hook")
    await house.say(Customer("c-old").moves("prospect"))
    await house.outcomes(1)
    house.clock.ahead_ms = (KEPT_DAYS + 1) * DAY_MS
    await house.say(Customer("c-new").moves("prospect"))
    await house.outcomes(2)
    await trim(house)
    assert [row["customer_id"] for row in await house.rows(tables.deliveries)] == ["c-new"]
    assert await counts(house) == [1, 1, 1, 1]


async def test_a_delivery_that_waited_for_long_counts_from_its_end(house: House) -> None:
    subscription = await parked(house, "/gone")
    house.clock.ahead_ms = (KEPT_DAYS + 100) * DAY_MS
    await house.http.post(f"/v1/subscriptions/{subscription['id']}/enable")
    await house.outcomes(1)
    await trim(house, KEPT_DAYS + 101)
    assert await house.count(tables.deliveries) == 1
    await trim(house, 2 * KEPT_DAYS + 101)
    assert await counts(house) == [0, 0, 0, 0]


async def test_a_waiting_delivery_is_never_trimmed_and_can_still_be_sent(house: House) -> None:
    subscription = await parked(house, "/gone")
    await trim(house, 10 * KEPT_DAYS)
    assert await house.count(tables.deliveries) == await house.count(tables.changes) == 1
    await house.http.post(f"/v1/subscriptions/{subscription['id']}/enable")
    await until(lambda: len(house.receiver.hooks) == 2, "the webhook that had waited")


async def test_a_story_stays_until_its_last_delivery_goes(house: House) -> None:
    await house.subscribe("/quick")
    subscription = await parked(house, "/gone")
    await house.outcomes(1)
    await trim(house)
    assert (await counts(house))[0::3] == [1, 1]
    await house.http.post(f"/v1/subscriptions/{subscription['id']}/enable")
    await until(lambda: len(house.receiver.at("/gone")) == 2, "the webhook that had waited")
    await house.outcomes(1)
    await trim(house, 2 * KEPT_DAYS + 2)
    assert await counts(house) == [0, 0, 0, 0]


async def test_a_trimmed_delivery_is_not_planned_again_when_the_log_gives_its_stage_change_again(house: House) -> None:
    await house.subscribe("/hook")
    ana = Customer("c-1")
    change = ana.moves("complaint_open", lifecycle="customer_care")
    await house.say(change)
    await house.outcomes(2)
    await trim(house)
    assert await counts(house) == [0, 0, 0, 0]
    await house.say(change, Customer("c-2", consent={}).moves("prospect"))
    await house.outcomes(1)
    assert [row["customer_id"] for row in await house.rows(tables.deliveries)] == ["c-2"]
    assert len(house.mailbox.messages) == 1


async def test_attempts_go_sooner_than_what_they_came_to(house: House) -> None:
    await house.subscribe("/hook")
    await house.say(Customer("c-1").moves("prospect"))
    await house.wait_rows(tables.attempts, 1)
    await trim(house, ATTEMPTS_KEPT_DAYS - 1)
    assert await house.count(tables.attempts) == 1
    await trim(house, ATTEMPTS_KEPT_DAYS + 1)
    assert await counts(house) == [1, 1, 0, 1]
    [told] = (await house.http.get("/v1/customers/c-1/deliveries")).json()["deliveries"]
    assert (told["status"], told["attempts"], told["log"]) == ("sent", 1, [])


async def test_attempts_never_outlive_their_delivery(house: House) -> None:
    await house.subscribe("/hook")
    await house.say(Customer("c-1").moves("prospect"))
    await house.wait_rows(tables.attempts, 1)
    house.clock.ahead_ms = (KEPT_DAYS + 1) * DAY_MS
    longer = Retention(KEPT_DAYS * DAY_MS, 2 * KEPT_DAYS * DAY_MS)
    await replace(house.notifier.trimmer, retention=longer).round(asyncio.Event())
    assert await counts(house) == [0, 0, 0, 0]


async def test_records_that_could_not_be_read_go(house: House) -> None:
    await house.say(Message(record_key(TENANT, "c-1"), b"\xff", headers("customer.stage_changed", None)))
    await house.wait_rows(tables.dead_records, 1)
    await trim(house, ATTEMPTS_KEPT_DAYS - 1)
    assert await house.count(tables.dead_records) == 1
    await trim(house, ATTEMPTS_KEPT_DAYS + 1)
    assert await house.count(tables.dead_records) == 0


async def test_many_go_in_several_steps_past_those_that_wait(house: House) -> None:
    many, waiting = 2 * STEP_ROWS + 1, {"d-0", "d-700"}
    await insert_deliveries(house, [f"d-{n}" for n in range(many)], waiting)
    await trim(house)
    assert {row["id"] for row in await house.rows(tables.deliveries)} == waiting
    assert await house.count(tables.outcomes) == 0


async def insert_deliveries(house: House, ids: list[str], waiting: set[str]) -> None:
    """Deliveries planned in one moment; those that do not wait have ended."""
    at = now_ms()
    plan = dict.fromkeys(deliveries.COLUMNS, "") | {
        "class": "transactional", "channel": "email", "effective_ms": at, "planned_ms": at, "due_ms": at, "entry": 1,
        "while_in_stage": False,
    }  # fmt: skip
    rows = [tuple((plan | {"id": one, "change_id": one}).values()) for one in ids]
    ended = [(one, "sent", None, "", 1, at) for one in ids if one not in waiting]
    async with house.database.transaction() as tx:
        await tx.insert(tables.deliveries, deliveries.COLUMNS, rows)
        await tx.insert(tables.outcomes, ("id", "outcome", "reason", "detail", "attempts", "finished_ms"), ended)


async def test_one_process_trims_at_a_time(house: House) -> None:
    await house.subscribe("/hook")
    await house.say(Customer("c-1").moves("prospect"))
    await house.outcomes(1)
    trimmer = house.notifier.trimmer
    async with house.database.transaction() as tx:
        await tx.execute(update(tables.leases).values(until_ms=0))
        assert await leases.take(tx, "trimming", "another process", now_ms() + 500 * DAY_MS, 60_000)
    await trim(house)
    assert await house.count(tables.deliveries) == 1
    house.clock.ahead_ms = 501 * DAY_MS
    await replace(trimmer, holder="a third").round(asyncio.Event())
    assert await house.count(tables.deliveries) == 0


async def test_a_redelivery_of_what_has_just_been_trimmed_leaves_nothing_behind(house: House) -> None:
    await house.subscribe("/hook")
    await house.say(Customer("c-1").moves("prospect"))
    [row] = await house.outcomes(1)
    async with house.database.reading() as tx:
        found = await deliveries.find(tx, TENANT, row["id"])
    assert found is not None
    await trim(house)
    async with house.database.transaction() as tx:
        assert not await deliveries.reopen(tx, found.planned, now_ms())
    assert await house.count(tables.due) == 0
    assert (await house.http.post(f"/v1/deliveries/{row['id']}/redeliver")).status_code == 404
