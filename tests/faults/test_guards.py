"""Each guard against doing things twice or not at all, held up at the very moment that it is there for.

`python -m tests.faults --mutate` takes these guards away, one at a time, and demands that the test here fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import delete

from deploy.servers import KafkaServer
from services.stage_engine.relay import Relay
from services.stage_engine.store import tables
from services.stage_engine.store.listings import state_of
from services.stage_engine.store.progress import OwnershipLost
from shared.contracts.cloudevent import decode
from shared.contracts.topics import Topic, topic_specs
from shared.log.kafka import KafkaLog
from shared.log.port import Fenced
from tests.faults.guarded import (
    CUSTOMER,
    T0,
    TENANT,
    Crash,
    CrashingDatabase,
    Guarded,
    HeldCarrier,
    Reader,
    guarded_partition,
    ids_of,
    purchase,
    rubbish,
    visit,
)
from tests.faults.topics import reading_topics

LATER_MS = T0 + 60_000
"""When the fast lifecycle's timers are long ripe."""


@pytest.fixture
async def partition(tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded_partition(tmp_path) as guarded:
        yield guarded


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaServer]:
    """A broker of its own: the topics have the real names."""
    with KafkaServer() as server:
        yield server


async def _orders(partition: Guarded) -> object:
    async with partition.database.reading() as transaction:
        state = await state_of(transaction, TENANT, CUSTOMER)
    return state.facts.get("orders") if state else None


# The epoch


async def test_a_zombie_applies_nothing_once_its_partition_was_claimed(partition: Guarded) -> None:
    old, batches = await partition.claim("old"), partition.batches()
    await batches.apply(old, [purchase(0, order="a")])
    await partition.claim("new")
    with suppress(OwnershipLost):
        await batches.apply(old, [purchase(1, order="b")])
    assert await partition.events() == ["a"], "a zombie wrote after its partition was claimed"


async def test_a_zombie_fires_no_timer_once_its_partition_was_claimed(partition: Guarded) -> None:
    old, batches = await partition.claim("old"), partition.batches()
    await batches.apply(old, [purchase(0, order="a")])
    await partition.claim("new")
    with suppress(OwnershipLost):
        await batches.fire(old, LATER_MS, limit=10)
    assert await partition.stages() == ["active"], "a zombie fired a timer after its partition was claimed"


# The dedupe


async def test_an_event_delivered_three_times_counts_once(partition: Guarded) -> None:
    claim, batches = await partition.claim(), partition.batches()
    await batches.apply(claim, [purchase(0, order="a"), purchase(1, order="a")])
    await batches.apply(claim, [purchase(2, order="a"), purchase(3, order="b")])
    assert (await _orders(partition), await partition.events()) == (2, ["a", "b"])


# next_offset


async def test_records_below_next_offset_are_passed_over_even_if_history_has_forgotten_them(
    partition: Guarded,
) -> None:
    claim, batches = await partition.claim(), partition.batches()
    await batches.apply(claim, [purchase(0, order="a")])
    async with partition.database.transaction() as transaction:
        await transaction.execute(delete(tables.history))
    await batches.apply(claim, [purchase(0, order="a"), purchase(1, order="b")])
    assert await _orders(partition) == 2


async def test_a_dead_letter_delivered_again_is_told_once(partition: Guarded) -> None:
    claim, batches = await partition.claim(), partition.batches()
    await batches.apply(claim, [rubbish(0)])
    await batches.apply(claim, [rubbish(0), purchase(1, order="a")])
    assert len(await partition.outbox(Topic.DEAD_LETTERS)) == 1


# The fencing in the broker


async def test_a_zombies_late_append_does_not_stay_on_the_compacted_topic(
    partition: Guarded, broker: KafkaServer
) -> None:
    """The old owner has read version 1 from the outbox and is stopped. The new owner publishes versions 1 and 2. Then
    the old one goes on: its append must fail, or version 1 would be the customer's last word for ever."""
    topic, batches = Topic.CUSTOMER_UPDATED, partition.batches()
    logs = [KafkaLog(broker.bootstrap, 20) for _ in range(2)]
    await logs[0].ensure_topics(topic_specs(1))
    old = await partition.claim("old")
    await batches.apply(old, [purchase(0, order="a")])
    producers = [await log.producer() for log in logs]
    zombie, heir = (partition.carrier(log, topic, producer) for log, producer in zip(logs, producers, strict=True))
    await zombie.carry([])  # it has carried before, so its producer is open
    held = HeldCarrier(zombie)
    late = asyncio.create_task(Relay(partition.database, old, topic, held).relay_waiting())
    await held.reached.wait()

    new = await partition.claim("new")
    await batches.apply(new, [visit(1, at_ms=3_600_000)])
    await Relay(partition.database, new, topic, heir).relay_waiting()
    held.go_on.set()
    with suppress(Fenced, OwnershipLost):
        await late

    async with reading_topics(broker.bootstrap, 1) as topics:
        records = await topics.read(topic)
    await asyncio.gather(zombie.close(), heir.close(), *(producer.close() for producer in producers))
    await asyncio.gather(*(log.close() for log in logs))
    versions = [decode(record.value or b"").data["revision"] for record in records]
    assert versions[-1] == max(versions), f"the compacted topic ends with an old version: {versions}"


# The watermark


@pytest.mark.parametrize(
    ("reader", "handled"),
    [
        pytest.param(Reader(position_at=1, end_at=2), True, id="a record was not fetched yet"),
        pytest.param(Reader(position_at=1, end_at=None), True, id="the broker does not answer"),
        pytest.param(Reader(position_at=2, end_at=2), False, id="a record was fetched and waits"),
    ],
)
async def test_nobody_is_called_silent_before_all_that_they_sent_was_handled(
    partition: Guarded, reader: Reader, handled: bool
) -> None:
    claim = await partition.claim()
    await partition.batches().apply(claim, [purchase(0, order="a")])
    worker = partition.worker(claim, reader, LATER_MS)
    worker._first_ripe_ms = await worker._read_first_ripe()
    if not handled:
        worker.offer([visit(1, at_ms=2_000)])
    await worker._fire_if_caught_up()
    assert await partition.stages() == ["active"], "called silent although not all records were handled"


async def test_silence_is_believed_once_everything_was_handled(partition: Guarded) -> None:
    claim = await partition.claim()
    await partition.batches().apply(claim, [purchase(0, order="a")])
    worker = partition.worker(claim, Reader(position_at=1, end_at=1), LATER_MS)
    worker._first_ripe_ms = await worker._read_first_ripe()
    await worker._fire_if_caught_up()
    assert await partition.stages() == ["gone"]


# One transaction


@pytest.mark.parametrize("commits", range(4))
async def test_whatever_commit_a_process_dies_at_nothing_is_lost_or_doubled(partition: Guarded, commits: int) -> None:
    claim, records = await partition.claim(), [purchase(0, order="a"), purchase(1, order="b")]
    with suppress(Crash):
        await partition.batches(CrashingDatabase(partition.database, commits)).apply(claim, records)
    await partition.batches().apply(await partition.claim("next"), records)
    kept = await partition.change_ids()
    told = [decode(value).id for value in await partition.outbox(Topic.STAGE_CHANGED)]
    assert (await partition.events(), await _orders(partition)) == (["a", "b"], 2)
    assert kept == told == ids_of(range(1, len(kept) + 1))
    assert kept
