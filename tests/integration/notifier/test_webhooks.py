"""Webhooks over real HTTP: what endpoints do, what we do about it, and what their owners can ask for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from svix.webhooks import Webhook, WebhookVerificationError

from services.notifier.store import tables
from services.notifier.store.queue import PARKED_MS
from shared.auth.keys import KeyRequest, Keys
from shared.contracts.times import DAY_MS, HOUR_MS, now_ms
from tests.integration.notifier.house import Clock, Customer, House, open_house
from tests.integration.notifier.receivers import answer, until


async def status_of(house: House, subscription: dict[str, Any], expected: str) -> dict[str, Any]:
    """The subscription, once it has this status."""
    async with asyncio.timeout(15):
        while True:
            found = dict((await house.http.get(f"/v1/subscriptions/{subscription['id']}")).json())
            if found["status"] == expected:
                return found
            await asyncio.sleep(0.02)


async def test_an_endpoint_that_never_answers_delays_no_other(database_url: str) -> None:
    limits: dict[str, Any] = {"webhook_timeout_seconds": 60, "dispatch_concurrency": 20, "dispatch_per_endpoint": 4}
    async with open_house(database_url, **limits, stop_timeout_seconds=1.5) as house:
        house.receiver.silent.add("/slow")
        await house.subscribe("/slow")
        await house.subscribe("/fast")
        await house.say(*(Customer(f"c-{n}").moves("prospect") for n in range(60)))
        await until(lambda: len(house.receiver.at("/fast")) == 60, "all webhooks to the fast endpoint")
        assert len(house.receiver.at("/slow")) == 4
        await house.say(Customer("c-late").moves("prospect"))
        await until(lambda: len(house.receiver.at("/fast")) == 61, "one more behind the backlog")
        assert len(house.receiver.at("/slow")) == 4


async def test_an_endpoint_that_is_gone_gets_nothing_more(house: House) -> None:
    subscription = await house.subscribe("/gone")
    house.receiver.answers["/gone"] = [answer(410)]
    ana = Customer("c-1")
    await house.say(ana.moves("prospect"))
    disabled = await status_of(house, subscription, "disabled")
    assert "410" in disabled["status_detail"]
    await house.subscribe("/other")
    await house.say(ana.moves("prospect"))
    await until(lambda: len(house.receiver.at("/other")) == 1, "the other endpoint's webhook")
    assert len(house.receiver.at("/gone")) == 1


async def test_retry_after_is_honoured_and_the_retry_is_signed_afresh_under_the_same_id(house: House) -> None:
    subscription = await house.subscribe("/busy")
    house.receiver.answers["/busy"] = [answer(503, Retry_After="3600")]
    await house.say(Customer("c-1").moves("prospect"))
    await house.wait_rows(tables.attempts, 1)
    [row] = await house.rows(tables.due)
    assert row["due_ms"] - now_ms() == pytest.approx(HOUR_MS, abs=20_000)
    assert row["lease_token"] == ""
    house.clock.ahead_ms = HOUR_MS + 5_000
    await until(lambda: len(house.receiver.hooks) == 2, "the retry")
    first, second = house.receiver.hooks
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) >= 3600
    Webhook(subscription["secret"]).verify(first.body, first.headers)
    [outcome] = await house.outcomes(1)
    assert (outcome["outcome"], outcome["attempts"]) == ("sent", 2)
    log = (await house.http.get(f"/v1/subscriptions/{subscription['id']}/deliveries")).json()["deliveries"]
    assert [(one["number"], one["status_code"]) for one in log[0]["log"]] == [(1, 503), (2, 204)]
    assert log[0]["log"][0]["error"] == "the receiver answered 503"


async def test_five_days_of_failure_pause_an_endpoint_and_enabling_sends_its_backlog(database_url: str) -> None:
    clock = Clock()
    async with open_house(database_url, clock=clock) as house:
        subscription = await house.subscribe("/down")
        house.receiver.answers["/down"] = [answer(500)] * 2
        await house.say(Customer("c-1").moves("prospect"))
        await house.wait_rows(tables.attempts, 1)
        clock.ahead_ms = 5 * DAY_MS + 60_000
        paused = await status_of(house, subscription, "paused")
        assert "120 hours" in paused["status_detail"]
        await house.say(Customer("c-2").moves("prospect"))
        async with asyncio.timeout(15):
            while [row["due_ms"] for row in await house.rows(tables.due)] != [PARKED_MS] * 2:
                await asyncio.sleep(0.02)
        assert len(house.receiver.hooks) == 2
        answered = await house.http.post(f"/v1/subscriptions/{subscription['id']}/enable")
        assert answered.json()["status"] == "active"
        await until(lambda: len(house.receiver.hooks) == 4, "the backlog")
        assert {row["outcome"] for row in await house.outcomes(2)} == {"sent"}


async def test_private_addresses_are_refused_when_they_are_dialled(database_url: str) -> None:
    async with open_house(database_url, webhook_allow_private=False) as house:
        port = house.receiver.url.rpartition(":")[2]
        refused = await house.http.post("/v1/subscriptions", json={"url": house.receiver.url})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/url")
        for host in ("localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0.0.0.0"):
            made = await house.http.post("/v1/subscriptions", json={"url": f"https://{host}:{port}/hook"})
            ping = (await house.http.post(f"/v1/subscriptions/{made.json()['id']}/ping")).json()
            assert not ping["ok"]
            assert "not public" in ping["error"], host
        assert house.receiver.connections == 0


async def test_redirects_are_not_followed_and_bodies_not_awaited_for_ever(house: House) -> None:
    elsewhere = await house.subscribe("/redirects")
    house.receiver.answers["/redirects"] = [answer(307, Location=house.receiver.url + "/target")]
    endless = await house.subscribe("/endless")
    house.receiver.answers["/endless"] = [b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 20_000]
    first = (await house.http.post(f"/v1/subscriptions/{elsewhere['id']}/ping")).json()
    assert (first["ok"], first["status_code"]) == (False, 307)
    second = (await house.http.post(f"/v1/subscriptions/{endless['id']}/ping")).json()
    assert (second["ok"], second["status_code"]) == (True, 200)
    assert not house.receiver.at("/target")


async def test_the_deadline_includes_the_body(database_url: str) -> None:
    async with open_house(database_url, webhook_timeout_seconds=0.3) as house:
        subscription = await house.subscribe("/drip")
        house.receiver.answers["/drip"] = [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly a little"]
        ping = (await house.http.post(f"/v1/subscriptions/{subscription['id']}/ping")).json()
        assert (ping["ok"], ping["error"]) == (False, "no full answer within 0.3 s")


async def test_a_ping_is_signed(house: House) -> None:
    subscription = await house.subscribe("/ping")
    assert (await house.http.post(f"/v1/subscriptions/{subscription['id']}/ping")).json()["ok"]
    [hook] = house.receiver.hooks
    Webhook(subscription["secret"]).verify(hook.body, hook.headers)
    assert json.loads(hook.body)["type"] == "webhook.ping"


async def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(house: House) -> None:
    old = await house.subscribe("/hook")
    new = (await house.http.post(f"/v1/subscriptions/{old['id']}/rotate-secret")).json()
    await house.http.post(f"/v1/subscriptions/{old['id']}/ping")
    hook = house.receiver.hooks[0]
    for secret in (old["secret"], new["secret"]):
        Webhook(secret).verify(hook.body, hook.headers)
    house.clock.ahead_ms = DAY_MS + 1000
    await house.http.post(f"/v1/subscriptions/{old['id']}/ping")
    later = house.receiver.hooks[1]
    now = str(now_ms() // 1000)
    assert len(hook.headers["webhook-signature"].split()) == 2
    assert len(later.headers["webhook-signature"].split()) == 1
    with pytest.raises(WebhookVerificationError):
        Webhook(old["secret"]).verify(later.body, {**later.headers, "webhook-timestamp": now})


async def test_redelivery_posts_again_under_the_same_id(house: House) -> None:
    await house.subscribe("/hook")
    await house.say(Customer("c-1").moves("prospect"))
    [row] = await house.outcomes(1)
    again = await house.http.post(f"/v1/deliveries/{row['id']}/redeliver")
    assert (again.status_code, again.json()["status"]) == (202, "waiting")
    await until(lambda: len(house.receiver.hooks) == 2, "the second delivery")
    assert {hook.headers["webhook-id"] for hook in house.receiver.hooks} == {row["id"]}
    await house.outcomes(1)
    assert len(await house.wait_rows(tables.attempts, 2)) == 2


async def test_filters_choose_lifecycle_stage_and_hops(house: House) -> None:
    await house.subscribe("/up", filters={"lifecycles": ["ecommerce"], "to_stages": ["loyal"]})
    await house.subscribe("/hops", transit=True, filters={"from_stages": ["lead"]})
    ana = Customer("c-1")
    await house.say(ana.moves("lead"), ana.moves("repeat_customer", settled=False), ana.moves("loyal"))
    await until(lambda: len(house.receiver.hooks) == 2, "both webhooks")
    found = {hook.path: json.loads(hook.body)["data"]["to"] for hook in house.receiver.hooks}
    assert found == {"/up": "loyal", "/hops": "repeat_customer"}


async def test_deleting_a_subscription_cancels_what_waits(house: House) -> None:
    subscription = await house.subscribe("/down")
    house.receiver.answers["/down"] = [answer(500)]
    await house.say(Customer("c-1").moves("prospect"))
    await house.wait_rows(tables.attempts, 1)
    assert (await house.http.delete(f"/v1/subscriptions/{subscription['id']}")).status_code == 204
    [outcome] = await house.outcomes(1)
    assert (outcome["outcome"], outcome["detail"]) == ("cancelled", "the subscription was deleted")
    assert await house.count(tables.due) == 0


async def test_a_tenant_never_sees_anothers(house: House) -> None:
    mine = await house.subscribe("/mine")
    await house.say(Customer("c-1").moves("prospect"), Customer("c-1", tenant="rival").moves("prospect"))
    [delivery] = await house.outcomes(1)
    key = await Keys(house.database, "BRL").create(KeyRequest("rival", ["admin"]))
    async with httpx2.AsyncClient(
        base_url=house.http.base_url, headers={"Authorization": f"Bearer {key.token}"}
    ) as rival:
        path = f"/v1/subscriptions/{mine['id']}"
        asked = [
            await rival.get(path),
            await rival.delete(path),
            await rival.post(f"{path}/ping"),
            await rival.post(f"{path}/enable"),
            await rival.post(f"{path}/rotate-secret"),
            await rival.get(f"{path}/deliveries"),
            await rival.post(f"/v1/deliveries/{delivery['id']}/redeliver"),
        ]
        assert {one.status_code for one in asked} == {404}
        assert (await rival.get("/v1/subscriptions")).json()["subscriptions"] == []
        assert (await rival.get("/v1/customers/c-1/deliveries")).json()["deliveries"] == []
    await until(lambda: len(house.receiver.hooks) == 1, "the one webhook")


async def test_lists_come_in_pages(house: House) -> None:
    made = [(await house.subscribe(f"/{n}"))["id"] for n in range(5)]
    await house.say(*(Customer("c-1", sequence=n, revision=n).moves("prospect") for n in range(2)))
    await house.outcomes(10)
    listed, cursor = [], ""
    while True:
        page = (await house.http.get("/v1/subscriptions", params={"limit": 2, "cursor": cursor})).json()
        listed += [one["id"] for one in page["subscriptions"]]
        assert all("secret" not in one for one in page["subscriptions"])
        if (cursor := page["next"]) is None:
            break
    assert listed == made
    seen, cursor = set(), ""
    while True:
        page = (await house.http.get("/v1/customers/c-1/deliveries", params={"limit": 3, "cursor": cursor})).json()
        seen |= {one["id"] for one in page["deliveries"]}
        if (cursor := page["next"]) is None:
            break
    assert len(seen) == 10
    assert (await house.http.get("/v1/customers/c-1/deliveries", params={"cursor": "nonsense"})).status_code == 422
