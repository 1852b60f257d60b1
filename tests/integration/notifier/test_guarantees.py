"""What the notifier promises, on both databases: who is not written to, what is planned once, who may write."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace

import httpx2
from sqlalchemy import select

from services.notifier.domain.campaign import CampaignIndex
from services.notifier.main import build
from services.notifier.store import progress, tables
from services.notifier.store.progress import Claimant
from shared.contracts.cloudevent import decode, headers, record_key
from shared.contracts.events import ConsentChanged
from shared.contracts.outcomes import CampaignOutcome
from shared.contracts.times import DAY_MS, now_ms
from shared.contracts.topics import Topic
from shared.log.port import Message, Record, TopicPartition
from tests.integration.notifier.house import (
    TENANT,
    Clock,
    Customer,
    House,
    open_house,
    read_topic,
)
from tests.integration.notifier.receivers import answer, until

BACK_TO_BUSINESS = "Um presente para a sua volta"


async def waiting_offer(house: House, customer: Customer) -> None:
    """Let the customer go quiet: the first letter of win-back is sent, the second waits for a week."""
    await house.say(customer.moves("at_risk"))
    await until(lambda: bool(house.mailbox.messages), "the first letter")
    await house.outcomes(1)
    assert await house.count(tables.due) == 1


async def reason_of(house: House, step: str) -> str:
    """Why a step was not sent, once that is known."""
    async with asyncio.timeout(15):
        while True:
            ended = {row["id"]: str(row["reason"]) for row in await house.rows(tables.outcomes)}
            plans = {row["step"]: row["id"] for row in await house.rows(tables.deliveries)}
            if plans.get(step) in ended:
                return ended[plans[step]]
            await asyncio.sleep(0.02)


async def test_consent_withdrawn_between_plan_and_send_is_heeded(house: House) -> None:
    ana = Customer("c-1")
    await waiting_offer(house, ana)
    await house.update(ana.updated(consent={"email": False}))
    await contact_at(house, ana.revision)
    house.clock.ahead_ms = 7 * DAY_MS
    assert await reason_of(house, "offer") == "no_consent"
    assert len(house.mailbox.messages) == 1


async def test_a_complaint_opened_between_plan_and_send_holds_marketing(house: House) -> None:
    ana = Customer("c-1")
    await waiting_offer(house, ana)
    await house.update(ana.updated(open_complaints=1))
    await contact_at(house, ana.revision)
    house.clock.ahead_ms = 7 * DAY_MS
    assert await reason_of(house, "offer") == "open_complaint"


async def test_a_delayed_step_is_sent_when_its_time_comes(house: House) -> None:
    await waiting_offer(house, Customer("c-1"))
    house.clock.ahead_ms = 7 * DAY_MS
    await until(lambda: BACK_TO_BUSINESS in house.mailbox.subjects(), "the second letter")


async def test_leaving_the_stage_cancels_the_waiting_step_at_once(house: House) -> None:
    ana = Customer("c-1")
    await waiting_offer(house, ana)
    await house.say(ana.moves("loyal"))
    assert await reason_of(house, "offer") == "left_stage"
    [cancelled] = [row for row in await house.rows(tables.outcomes) if row["reason"] == "left_stage"]
    assert cancelled["outcome"] == "cancelled"


async def test_another_lifecycles_change_cancels_nothing(house: House) -> None:
    ana = Customer("c-1")
    await waiting_offer(house, ana)
    await house.say(ana.moves("no_complaint", lifecycle="customer_care"))
    await contact_at(house, ana.revision)
    assert await house.count(tables.due) == 1


async def test_the_kill_switch_acts_on_what_is_due_and_back(house: House) -> None:
    assert (await house.http.put("/v1/switches/email")).status_code == 200
    await house.say(Customer("c-1").moves("lead"))
    assert [row["reason"] for row in await house.outcomes(1)] == ["switched_off"]
    assert (await house.http.delete("/v1/switches/email")).status_code == 204
    await house.say(Customer("c-2").moves("lead"))
    await until(lambda: len(house.mailbox.messages) == 1, "the letter after switching on")


async def test_news_that_is_a_day_old_sends_no_marketing_but_keeps_its_promises(house: House) -> None:
    ana = Customer("c-1")
    old = now_ms() - 25 * 3_600_000
    await house.say(ana.moves("lead", at_ms=old), ana.moves("complaint_open", lifecycle="customer_care", at_ms=old))
    await house.outcomes(2)
    assert await reason_of(house, "hello") == "stale"
    assert house.mailbox.subjects() == ["Recebemos a sua reclamação"]


async def test_imported_history_plans_nothing_and_posts_only_where_asked(house: House) -> None:
    await house.subscribe("/live")
    await house.subscribe("/all", include_backfill=True)
    ana = Customer("c-1")
    await house.say(ana.moves("lead", mode="backfill"))
    await until(lambda: bool(house.receiver.at("/all")), "the webhook that was asked for")
    await house.outcomes(1)
    assert await house.count(tables.deliveries) == 1
    assert not house.receiver.at("/live")


async def test_a_record_that_comes_twice_plans_once(house: House) -> None:
    await house.subscribe("/hook")
    ana = Customer("c-1")
    first = ana.moves("lead")
    await house.say(first, first, ana.moves("first_time_customer"), first)
    await house.outcomes(4)
    await until(lambda: len(house.receiver.hooks) == 2, "both webhooks")
    assert await house.count(tables.deliveries) == 4
    assert sorted(house.mailbox.subjects()) == ["Boas-vindas à Loja", "Obrigado pela sua primeira compra"]


async def test_an_old_change_that_comes_again_cancels_nothing(house: House) -> None:
    ana = Customer("c-1")
    first, old = ana.moves("prospect"), ana.moves("loyal")
    await house.say(first, old)
    await house.outcomes(1)
    await house.say(ana.moves("at_risk"))
    await house.outcomes(2)
    await house.say(old, ana.moves("no_complaint", lifecycle="customer_care"))
    await contact_at(house, ana.revision)
    assert await house.count(tables.due) == 1


async def test_a_poison_record_is_kept_and_stops_nothing(house: House) -> None:
    key = record_key(TENANT, "c-1")
    good = Customer("c-1").moves("lead")
    poison = [b"\xff\x00", b"{}", b"[" * 100_000, good.value[:-5] if good.value else b"", None]
    bad = [Message(key, value, headers("customer.stage_changed", None)) for value in poison]
    stranger = Message(record_key(TENANT, "c-2"), good.value, good.headers)
    await house.say(*bad, stranger, good)
    await until(lambda: len(house.mailbox.messages) == 1, "the letter behind the poison")
    rows = await house.wait_rows(tables.dead_records, 6)
    assert {bytes(row["value"]) if row["value"] is not None else None for row in rows} >= {poison[0], None}
    assert all(row["detail"] for row in rows)


async def test_a_fenced_zombie_writes_nothing(house: House) -> None:
    where = TopicPartition(Topic.STAGE_CHANGED, 99)
    claimant = Claimant("zombie", await house.resources.log.identity())
    batcher = replace(house.notifier.planning.batcher, claimant=claimant, campaigns=CampaignIndex({}))
    async with house.database.transaction() as tx:
        old = await progress.claim(tx, where, claimant)
    async with house.database.transaction() as tx:
        new = await progress.claim(tx, where, replace(claimant, owner="heir"))
    message = Customer("c-zombie").moves("lead")
    record = Record(where.topic, where.partition, 0, now_ms(), message.key, message.value, message.headers)
    assert await batcher.handle({where: old}, {where: [record]}) == {where}
    assert await house.count(tables.contacts) == 0
    assert not await batcher.handle({where: new}, {where: [record]})
    assert await house.count(tables.contacts) == 1


async def test_two_processes_on_one_database_send_each_delivery_once(database_url: str) -> None:
    async with open_house(database_url) as house:
        stopping = asyncio.Event()
        second = build(house.resources, clock=house.clock)
        running = asyncio.create_task(second.run(stopping))
        await house.subscribe("/hook")
        await house.say(*(Customer(f"c-{n}").moves("prospect") for n in range(150)))
        rows = await house.outcomes(150)
        stopping.set()
        await running
        assert {row["outcome"] for row in rows} == {"sent"}
        posted = [hook.headers["webhook-id"] for hook in house.receiver.hooks]
        assert len(posted) == len(set(posted)) == 150


async def test_what_a_crashed_process_had_sent_and_not_recorded_is_sent_again_under_its_message_id(
    database_url: str,
) -> None:
    clock = Clock()
    async with open_house(database_url, clock=clock, delivery_lease_seconds=30) as house:
        await waiting_offer(house, Customer("c-1"))
        await asyncio.sleep(0)
        crashed = replace(house.notifier.dispatcher.claimer, clock=lambda: now_ms() + 7 * DAY_MS)
        [claimed] = (await crashed.claim({f"email:{TENANT}": 8})).pending
        [row] = await house.rows(tables.due)
        assert row["lease_token"] == claimed.lease_token
        # The mail server has taken it; the process dies before it writes that down.
        assert (await house.notifier.dispatcher.send(claimed)).ok
        clock.ahead_ms = 7 * DAY_MS + 31_000
        await until(lambda: house.mailbox.subjects().count(BACK_TO_BUSINESS) == 2, "the letter from the survivor")
        first, again = (one for one in house.mailbox.messages if one["Subject"] == BACK_TO_BUSINESS)
        assert first["Message-ID"]
        assert first["Message-ID"] == again["Message-ID"]


async def test_one_click_unsubscribe_ends_marketing_at_once_and_tells_the_engine(house: House) -> None:
    ana = Customer("c-1")
    await house.say(ana.moves("lead"))
    await until(lambda: bool(house.mailbox.messages), "the letter")
    message, raw = house.mailbox.messages[0], house.mailbox.raw[0]
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found = re.search(rb"^List-Unsubscribe: <http://127.0.0.1:8000(/v1/unsubscribe/[^>\s]+)>\r$", raw, re.MULTILINE)
    assert found, "the link must stand on one line"
    path = found[1].decode()
    async with httpx2.AsyncClient(base_url=house.http.base_url) as browser:
        page = await browser.get(path)
        assert (page.status_code, "<button>" in page.text) == (200, True)
        assert not [row for row in await house.rows(tables.contacts) if row["unsubscribed"]]
        one_click = await browser.post(path, data={"List-Unsubscribe": "One-Click"})
        assert one_click.status_code == 200
        assert (await browser.post(path)).status_code == 200
        assert (await browser.post(path[:-3] + "AAA")).status_code == 404
    await house.say(ana.moves("first_time_customer"), ana.moves("complaint_open", lifecycle="customer_care"))
    assert await reason_of(house, "thanks") == "unsubscribed"
    await until(lambda: len(house.mailbox.messages) == 2, "the transactional letter")
    assert "List-Unsubscribe" not in house.mailbox.messages[1]
    [record] = await read_topic(house.resources.log, Topic.EVENTS, 1)
    event = decode(record.value or b"")
    assert (event.type, event.subject, event.tenant) == ("consent_changed", "c-1", TENANT)
    assert not ConsentChanged.model_validate(event.data).granted


async def test_a_withdrawal_that_came_back_lets_a_later_consent_count(house: House) -> None:
    ana = Customer("c-1")
    await house.say(ana.moves("lead"))
    await until(lambda: bool(house.mailbox.messages), "the letter")
    link = str(house.mailbox.messages[0]["List-Unsubscribe"]).strip("<>").removeprefix("http://127.0.0.1:8000")
    await house.http.post(link)
    await house.update(ana.updated(name="Ana Maria"))
    await contact_at(house, ana.revision)
    assert [row["unsubscribed"] for row in await house.rows(tables.contacts)] == [True]
    await house.update(ana.updated(consent={"email": False}), ana.updated(consent={"email": True}))
    await contact_at(house, ana.revision)
    assert [row["unsubscribed"] for row in await house.rows(tables.contacts)] == [False]


async def test_final_outcomes_are_published_once_each(house: House) -> None:
    await house.subscribe("/hook")
    await house.say(Customer("c-1", consent={}).moves("lead"))
    records = await read_topic(house.resources.log, Topic.CAMPAIGN_OUTCOMES, 2)
    found = {decode(one.value or b"").data["campaign"]: decode(one.value or b"").data for one in records}
    assert (found["welcome"]["outcome"], found["welcome"]["reason"]) == ("suppressed", "no_consent")
    assert found["webhook"]["outcome"] == "sent"
    assert set(found["webhook"]) == set(CampaignOutcome.__struct_fields__)


async def test_a_console_consumer_reads_the_outcomes(house: House) -> None:
    """With nothing of ours: CloudEvents in structured JSON mode, under the key of the customer."""
    await house.say(Customer("c-1", consent={}).moves("lead"))
    [record] = await read_topic(house.resources.log, Topic.CAMPAIGN_OUTCOMES, 1)
    said = json.loads(record.value or b"")
    assert (said["specversion"], said["datacontenttype"], said["type"]) == (
        "1.0", "application/json", "campaign.outcome",
    )  # fmt: skip
    assert record.key == f"{said['tenant']}:{said['subject']}".encode() == b"shop:c-1"
    assert dict(record.headers)["content-type"] == b"application/cloudevents+json; charset=utf-8"
    assert said["data"]["reason"] == "no_consent"


async def test_a_busy_mail_server_is_tried_again_and_a_refusal_is_final(house: House) -> None:
    house.mailbox.answers = {"busy@example.com": ["451 later"], "gone@example.com": ["550 nobody"]}
    await house.say(
        Customer("c-1", email="busy@example.com").moves("lead"), Customer("c-2", email="gone@example.com").moves("lead")
    )
    [failed] = await house.outcomes(1)
    assert (failed["outcome"], failed["detail"]) == ("failed", "the mail server refused the recipient (550)")
    await house.wait_rows(tables.attempts, 2)
    house.clock.ahead_ms = 40_000
    await until(lambda: len(house.mailbox.messages) == 1, "the second attempt")


async def contact_at(house: House, revision: int) -> None:
    """Wait until the notifier has committed this revision."""
    async with asyncio.timeout(15):
        while True:
            async with house.database.reading() as tx:
                found = (await tx.execute(select(tables.contacts.c.revision))).scalars().all()
            if revision in found:
                return
            await asyncio.sleep(0.02)


def test_the_answers_of_the_receiver_are_http() -> None:
    assert answer(503, Retry_After="7") == b"HTTP/1.1 503 Said\r\nRetry-After: 7\r\ncontent-length: 0\r\n\r\n"
