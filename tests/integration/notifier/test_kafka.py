"""The same flow on Apache Kafka and PostgreSQL. A broker of its own: the topics' names are fixed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from svix.webhooks import Webhook

from deploy.servers import KafkaServer
from services.notifier.store import tables
from shared.contracts.cloudevent import decode
from shared.contracts.topics import Topic
from tests.integration.notifier.house import Customer, open_house, read_topic
from tests.integration.notifier.receivers import until


@pytest.fixture
def own_broker() -> Iterator[str]:
    """host:port of a broker that nobody else uses."""
    with KafkaServer() as server:
        yield server.bootstrap


async def test_from_kafka_to_the_receivers_and_back(own_broker: str, postgres_url: str) -> None:
    async with open_house(postgres_url, log="kafka", kafka_bootstrap=own_broker) as house:
        subscription = await house.subscribe("/hook")
        ana = Customer("c-1")
        first = ana.moves("lead")
        await house.say(first, first)
        await until(lambda: bool(house.mailbox.messages and house.receiver.hooks), "letter and webhook", 30)
        hook = house.receiver.hooks[0]
        Webhook(subscription["secret"]).verify(hook.body, hook.headers)
        await house.outcomes(2)
        assert await house.count(tables.deliveries) == 2
        records = await read_topic(house.resources.log, Topic.CAMPAIGN_OUTCOMES, 2)
        assert {decode(one.value or b"").data["outcome"] for one in records} == {"sent"}
