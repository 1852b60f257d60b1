"""What got 202 is in the log, whichever log it is: read back by a consumer, once, with what was posted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from shared.contracts.cloudevent import decode
from shared.contracts.topics import Topic, topic_specs
from shared.db.port import Database
from shared.log.connect import open_log
from shared.log.port import Log, Membership, Record, TopicPartition
from shared.settings import Settings
from shared.telemetry.tracing import parse
from tests.conftest import RunningKafka
from tests.integration.ingest_process import PURCHASE, open_database, open_shop, sqlite_url

_Servers = Literal["sqlite", "postgresql", "kafka"]
_PARTITIONS = Settings().partitions
"""As everybody else who uses these topics on the shared broker."""


@asynccontextmanager
async def _log(database: Database, settings: Settings) -> AsyncIterator[Log]:
    log = open_log(settings, database)
    try:
        await log.ensure_topics(topic_specs(_PARTITIONS))
        yield log
    finally:
        await log.close()


async def _read_all(log: Log, expected: int, tenant: str) -> list[Record]:
    """The tenant's events, whoever else has written to the topic."""
    found: list[Record] = []
    gained: asyncio.Queue[frozenset[TopicPartition]] = asyncio.Queue()

    async def on_revoked(_lost: frozenset[TopicPartition]) -> None:
        return None

    consumer = log.consumer(Membership(f"reader-of-{tenant}", (Topic.EVENTS,), gained.put, on_revoked))
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            while len(found) < expected:
                while not gained.empty():
                    for where in gained.get_nowait():
                        await consumer.seek(where, 0)
                batches = await consumer.fetch(1_000, 200)
                records = [record for batch in batches.values() for record in batch]
                found += [record for record in records if record.key and record.key.startswith(tenant.encode() + b":")]
    finally:
        await consumer.close()
    return found


@pytest.fixture(params=["sqlite", "postgresql", "kafka"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    servers: _Servers = request.param
    url = request.getfixturevalue("postgres_url") if servers == "postgresql" else sqlite_url(tmp_path)
    if servers != "kafka":
        return Settings(database_url=url, log="sql")
    kafka: RunningKafka = request.getfixturevalue("kafka_server")
    return Settings(database_url=url, log="kafka", kafka_bootstrap=kafka.bootstrap)


async def test_whatever_got_202_is_read_back_once_in_the_order_of_its_customer(
    settings: Settings, tmp_path: Path
) -> None:
    tenant = f"acme-{tmp_path.name.lower()[-40:].replace('[', '').replace(']', '')}"
    async with (
        open_database(settings.database_url) as database,
        _log(database, settings) as log,
        open_shop(database, log) as shop,
    ):
        key = await shop.key("events:write", tenant=tenant)
        traced = {**key, "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        batches = [
            [{**PURCHASE, "id": f"{batch}-{n}", "customer_id": f"c-{n % 7}"} for n in range(50)] for batch in range(4)
        ]
        for batch in batches:
            assert (await shop.post(batch, headers=traced)).status_code == 202
        singles = await asyncio.gather(
            *(shop.post({**PURCHASE, "id": f"single-{n}", "customer_id": "alone"}, headers=traced) for n in range(20))
        )
        assert {answer.status_code for answer in singles} == {202}
        records = await _read_all(log, 220, tenant)
    events = [decode(record.value or b"") for record in records]
    assert sorted(event.id for event in events) == sorted(
        [item["id"] for batch in batches for item in batch] + [f"single-{n}" for n in range(20)]
    )
    for customer in range(7):
        posted = [item["id"] for batch in batches for item in batch if item["customer_id"] == f"c-{customer}"]
        assert [event.id for event in events if event.subject == f"c-{customer}"] == posted
    assert all(event.data == PURCHASE["data"] and event.tenant == tenant for event in events)
    traces = {parse(dict(record.headers)["traceparent"].decode()) for record in records}
    assert {trace.trace_id for trace in traces if trace} == {"4bf92f3577b34da6a3ce929d0e0e4736"}


async def test_topics_that_were_never_created_are_an_error_and_no_202(tmp_path: Path) -> None:
    settings = Settings(database_url=sqlite_url(tmp_path), log="sql")
    async with open_database(settings.database_url) as database:
        log = open_log(settings, database)
        async with open_shop(database, log) as shop:
            assert (await shop.post(PURCHASE)).status_code >= 500
        await log.close()
