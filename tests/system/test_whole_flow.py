"""The way of one event, for real: posted over HTTP; its e-mail taken by a mail server, its webhook verified by somebody else's
library; on the embedded default, and on Kafka and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest
from svix.webhooks import Webhook

from deploy.servers import KafkaServer
from deploy.servers.ports import free_port
from migrations.running import migrate
from services.cli.processes import build
from shared.auth.keys import KeyRequest, Keys
from shared.auth.scopes import Scope
from shared.contracts.topics import topic_specs
from shared.db.connect import connect
from shared.http.app import create_app
from shared.http.server import running
from shared.log.connect import open_log
from shared.service import Resources
from shared.settings import Settings, load
from tests.integration.notifier.receivers import Mailbox, Receiver, http_server, mail_server, until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaServer]:
    with KafkaServer() as server:
        yield server


@pytest.fixture(params=["embedded", "cluster"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    port = free_port()
    where = {"database_url": f"sqlite+aiosqlite:///{tmp_path}/jornada.db"}
    if request.param == "cluster":
        where = {
            "log": "kafka",
            "kafka_bootstrap": request.getfixturevalue("broker").bootstrap,
            "database_url": request.getfixturevalue("postgres_url"),
        }
    return load(
        **where,
        partitions=3,
        http_port=port,
        public_url=f"http://127.0.0.1:{port}",
        delivery="live",
        webhook_allow_private=True,
        outbox_dir=tmp_path / "outbox",
    )


@asynccontextmanager
async def jornada(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """All three services on one port; gives a client with a key that may do everything."""
    await migrate(settings.database_url)
    database = connect(settings.database_url)
    log = open_log(settings, database)
    await log.ensure_topics(topic_specs(settings.partitions))
    key = await Keys(database, "BRL").create(KeyRequest("shop", [Scope.ADMIN]))
    resources = Resources(settings, database, log)
    services = build(resources, ["ingest", "engine", "notifier"])
    authorised = {"authorization": f"Bearer {key.token}"}
    try:
        async with (
            running(create_app(services, resources), services, settings) as address,
            httpx2.AsyncClient(base_url=address, headers=authorised, timeout=10) as client,
        ):
            await until_ready(client)
            yield client
    finally:
        await log.close()
        await database.close()


async def until_ready(client: httpx2.AsyncClient) -> None:
    """As a load balancer does: what was just started may still be connecting."""
    async with asyncio.timeout(60):
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)


async def _post(client: httpx2.AsyncClient, **event: object) -> None:
    answer = await client.post("/v1/events", json=event, headers={"traceparent": TRACE})
    assert answer.status_code == 202, answer.text


async def _subscribe(client: httpx2.AsyncClient, hooks: Receiver) -> str:
    wanted = {
        "url": f"{hooks.url}/hook",
        "filters": {"lifecycles": ["ecommerce"], "to_stages": ["first_time_customer"]},
    }
    answer = await client.post("/v1/subscriptions", json=wanted)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


async def _shop(client: httpx2.AsyncClient) -> None:
    profile = {"name": "Ana", "email": "ana@shop.example", "locale": "pt-BR", "consent": {"email": True}}
    await _post(client, id="s1", type="signup", customer_id="c-1 é", data=profile)
    bought = {"order_id": "1001", "amount": "129.90", "currency": "BRL"}
    for _ in range(2):
        await _post(client, id="o1", type="purchase", customer_id="c-1 é", data=bought)


async def test_an_event_becomes_an_e_mail_and_a_webhook_once(settings: Settings) -> None:
    async with mail_server() as mails, http_server() as hooks:
        settings = settings.model_copy(update={"smtp_url": mails.url})
        async with jornada(settings) as client:
            secret = await _subscribe(client, hooks)
            await _shop(client)
            await until(
                lambda: len(mails.messages) >= 2 and bool(hooks.at("/hook")), "both letters and the webhook", 30
            )
            _check_webhook(hooks, secret)
            await _check_unsubscribing(client, mails)
            assert len(mails.messages) == 2
            assert len(hooks.at("/hook")) == 1


def _check_webhook(hooks: Receiver, secret: str) -> None:
    hook = hooks.at("/hook")[0]
    Webhook(secret).verify(hook.body, hook.headers)
    data = msgspec.json.decode(hook.body)["data"]
    assert (data["from"], data["to"], data["transition"]) == ("lead", "first_time_customer", "first_purchase")
    assert data["cause"]["id"] == "o1"
    assert "customer" not in data
    assert hook.headers["traceparent"].split("-")[1] == TRACE.split("-")[1]


async def _check_unsubscribing(client: httpx2.AsyncClient, mails: Mailbox) -> None:
    """The one-click link of a marketing letter works, and the next marketing letter is not sent."""
    assert {str(mail["To"]) for mail in mails.messages} == {"Ana <ana@shop.example>"}
    link = next(str(mail["List-Unsubscribe"]) for mail in mails.messages if mail["List-Unsubscribe"]).strip("<>")
    async with httpx2.AsyncClient(timeout=10) as anybody:
        answer = await anybody.post(link, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200, answer.text
    await _post(client, id="r1", type="referral", customer_id="c-1 é", data={})

    async def suppressed() -> set[str]:
        listed = (await client.get("/v1/customers/c-1%20%C3%A9/deliveries")).json()
        return {str(each["reason"]) for each in listed.get("deliveries", []) if each.get("reason")}

    for _ in range(300):
        if await suppressed() & {"no_consent", "unsubscribed"}:
            return
    pytest.fail(f"the letter to an advocate was not suppressed: {await suppressed()}")
