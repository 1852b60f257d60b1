"""The notifier from the log to the receivers, on both databases."""

from __future__ import annotations

import json

from svix.webhooks import Webhook

from services.notifier.store import tables
from tests.integration.notifier.house import TENANT, Customer, House
from tests.integration.notifier.receivers import until


async def test_a_stage_change_becomes_an_email_in_the_customers_language(house: House) -> None:
    ana = Customer("c-1", locale="es-MX", name="Ana")
    await house.say(ana.moves("lead"))
    await until(lambda: bool(house.mailbox.messages), "the e-mail")
    message = house.mailbox.messages[0]
    assert message["Subject"] == "Le damos la bienvenida a Loja"
    assert message["To"] == "Ana <ana@example.com>"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "¡Hola, Ana!" in text.get_content()
    assert "¡Hola, Ana!" in html.get_content()
    [outcome] = await house.outcomes(1)
    assert (outcome["outcome"], outcome["attempts"]) == ("sent", 1)


async def test_a_stage_change_becomes_a_webhook_that_an_independent_library_verifies(house: House) -> None:
    subscription = await house.subscribe("/hook")
    await house.say(Customer("c-1").moves("loyal"))
    await until(lambda: bool(house.receiver.hooks), "the webhook")
    hook = house.receiver.hooks[0]
    Webhook(subscription["secret"]).verify(hook.body, hook.headers)
    body = json.loads(hook.body)
    assert body["type"] == "customer.stage_changed"
    assert body["data"]["to"] == "loyal"
    assert body["data"]["facts"] == {"orders": 1}
    assert "customer" not in body["data"]
    assert hook.headers["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    [outcome] = [row for row in await house.outcomes(2) if row["id"] == hook.headers["webhook-id"]]
    assert outcome["outcome"] == "sent"


async def test_a_customer_is_in_the_webhook_only_when_the_subscription_asks(house: House) -> None:
    await house.subscribe("/with", include_customer=True)
    await house.say(Customer("c-1").moves("prospect"))
    await until(lambda: bool(house.receiver.hooks), "the webhook")
    assert json.loads(house.receiver.hooks[0].body)["data"]["customer"]["email"] == "ana@example.com"


async def test_outcomes_are_told_by_http(house: House) -> None:
    await house.say(Customer("c-1", consent={}).moves("lead"))
    await house.outcomes(1)
    answered = (await house.http.get("/v1/customers/c-1/deliveries")).json()
    [delivery] = answered["deliveries"]
    assert delivery["campaign"] == "welcome"
    assert (delivery["status"], delivery["reason"]) == ("suppressed", "no_consent")
    assert answered["next"] is None
    assert TENANT not in delivery["id"]
    assert await house.count(tables.due) == 0
