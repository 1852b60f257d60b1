"""Events in, stage changes out: in the tables, on the topics, by the contract."""

from __future__ import annotations

import json

from services.stage_engine.domain.publishing import change_id
from services.stage_engine.store import tables
from shared.contracts.cloudevent import CONTENT_TYPE, decode, record_key
from shared.contracts.customer_updated import read_customer_updated
from shared.contracts.stage_changed import EventCause
from shared.contracts.times import now_ms, to_text
from shared.contracts.topics import Topic
from shared.log.partitioner import partition_of
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.events import TENANT, TRACE, Given, append, message, purchase, signup
from tests.integration.stage_engine.observing import (
    changes,
    count,
    of_customer,
    path,
    published,
    published_changes,
    rows,
    until_handled,
)
from tests.integration.stage_engine.stack import PARTITIONS, Stack

WRITTEN = {
    Topic.STAGE_CHANGED: "customer.stage_changed",
    Topic.CUSTOMER_UPDATED: "customer.updated",
    Topic.DEAD_LETTERS: "event.dead_lettered",
}
ATTRIBUTES = {"specversion", "id", "source", "type", "subject", "time", "tenant", "datacontenttype", "data"}


async def test_events_become_stage_changes_in_the_table_and_on_the_topic(stack: Stack) -> None:
    async with stack.process() as resources:
        happened = now_ms() - 5_000
        first = Given(time_ms=happened, traceparent=TRACE)
        await append(resources.log, [signup("ana", given=first)])
        later = [purchase("ana", f"o{n}", Given(time_ms=happened + n)) for n in (1, 2)]
        async with engine_running(resources):
            await append(resources.log, later)
            await until_handled(resources.database, resources.log)
        assert await path(resources.database, "ana") == [
            "prospect",
            "lead",
            "first_time_customer",
            "repeat_customer",
        ]
        kept = await changes(resources.database, "ana")
        sent = await published_changes(resources.log)
        assert [each.data.sequence for each in kept] == list(range(1, 6))
        assert [each.change_id for each in kept] == [change_id(TENANT, "ana", n) for n in range(1, 6)]
        assert [identity for identity, _ in sent] == [each.change_id for each in kept]
        assert [data.sequence for _, data in sent] == list(range(1, 6))


async def test_a_published_change_says_why_by_the_contract(stack: Stack) -> None:
    async with stack.process() as resources, engine_running(resources):
        happened = now_ms() - 5_000
        await append(
            resources.log,
            [
                signup("ana", given=Given(time_ms=happened)),
                purchase("ana", "o1", Given(time_ms=happened + 1)),
                purchase("ana", "o2", Given(time_ms=happened + 2, traceparent=TRACE)),
            ],
        )
        await until_handled(resources.database, resources.log)
        record = (await published(resources.log, Topic.STAGE_CHANGED))[-1]
        event = decode(record.value or b"")
        data = (await published_changes(resources.log))[-1][1]
    assert (event.type, event.tenant, event.subject) == ("customer.stage_changed", TENANT, "ana")
    assert event.time_ms == happened + 2
    assert record.key == record_key(TENANT, "ana")
    assert record.partition == partition_of(record.key, PARTITIONS)
    assert dict(record.headers) == {
        "content-type": CONTENT_TYPE.encode(),
        "type": b"customer.stage_changed",
        "traceparent": TRACE.encode(),
    }
    assert (data.lifecycle, data.lifecycle_version, data.transition) == ("ecommerce", 1, "second_purchase")
    assert (data.from_, data.to, data.direction) == ("first_time_customer", "repeat_customer", "up")
    assert (data.entry, data.sequence, data.settled, data.late, data.mode) == (1, 5, True, False, "live")
    assert data.cause == EventCause("o2", "purchase", to_text(happened + 2))
    assert data.facts == {"orders": 2}
    assert data.previous_stage_entered_at == to_text(happened + 1)
    assert (data.customer.name, data.customer.email) == ("Ana", "ana@shop.example")
    assert data.customer.stages["ecommerce"].stage == "repeat_customer"


async def test_a_console_consumer_reads_every_record_that_the_engine_writes(stack: Stack) -> None:
    """With nothing of ours: CloudEvents in structured JSON mode, under the key of the customer."""
    async with stack.process() as resources, engine_running(resources):
        broken = message("ana", "broken", "purchase", {"order_id": "o1"})
        await append(resources.log, [signup("ana"), broken])
        await until_handled(resources.database, resources.log)
        for topic, type_ in WRITTEN.items():
            records = await published(resources.log, topic)
            assert records
            for record in records:
                said = json.loads(record.value or b"")
                assert set(said) == ATTRIBUTES
                assert (said["specversion"], said["datacontenttype"]) == ("1.0", "application/json")
                assert (said["type"], said["tenant"], said["subject"]) == (type_, "acme", "ana")
                assert record.key == b"acme:ana"
                told = dict(record.headers)
                assert told["content-type"] == b"application/cloudevents+json; charset=utf-8"
                assert told["type"] == type_.encode()


async def test_customer_updated_carries_the_newest_version_by_revision(stack: Stack) -> None:
    async with stack.process() as resources, engine_running(resources):
        await append(resources.log, [signup("ana", given=Given(traceparent=TRACE))])
        await until_handled(resources.database, resources.log)
        consent = {"channel": "email", "granted": True}
        await append(resources.log, [message("ana", "consent", "consent_changed", consent)])
        await until_handled(resources.database, resources.log)
        records = of_customer(await published(resources.log, Topic.CUSTOMER_UPDATED), "ana")
        revision = (await rows(resources.database, tables.customers))[0]["revision"]
    updates = [read_customer_updated(decode(record.value or b"")) for record in records]
    assert [each.revision for each in updates] == [1, 2]
    assert updates[-1].revision == revision
    assert updates[0].customer.consent == {}
    assert updates[-1].customer.consent == {"email": True}
    assert updates[-1].customer.stages["ecommerce"].stage == "lead"
    assert dict(records[0].headers)["traceparent"] == TRACE.encode()


async def test_one_batch_publishes_a_customer_once_and_in_its_last_version(stack: Stack) -> None:
    async with stack.process() as resources:
        await append(resources.log, [signup("ana"), *[purchase("ana", f"o{n}") for n in range(4)]])
        async with engine_running(resources):
            await until_handled(resources.database, resources.log)
        records = of_customer(await published(resources.log, Topic.CUSTOMER_UPDATED), "ana")
        updates = [read_customer_updated(decode(record.value or b"")) for record in records]
        assert updates[-1].revision == 5
        assert updates[-1].customer.stages["ecommerce"].stage == "loyal"


async def test_sequences_have_no_gaps_over_many_customers_and_batches(stack: Stack) -> None:
    customers = [f"c{n}" for n in range(20)]
    events = [purchase(customer, f"o{n}") for n in range(5) for customer in customers]
    async with stack.process(batch_records=7) as resources:
        async with engine_running(resources):
            await append(resources.log, events)
            await until_handled(resources.database, resources.log)
        assert await count(resources.database, tables.history) == len(events)
        for customer in customers:
            kept = await changes(resources.database, customer)
            assert [each.data.sequence for each in kept] == list(range(1, len(kept) + 1))
            assert await path(resources.database, customer) == [
                "prospect",
                "first_time_customer",
                "repeat_customer",
                "loyal",
            ]
        sent = await published_changes(resources.log)
        for customer in customers:
            order = [data.sequence for _, data in sent if data.customer_id == customer]
            assert order == list(range(1, len(order) + 1))
