"""What only the Kafka log has to get right."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import uuid
from dataclasses import dataclass, field
from typing import cast

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaConnectionError, OutOfOrderSequenceNumber

from shared.log import kafka_consumer
from shared.log.kafka import KafkaLog
from shared.log.kafka_consumer import KafkaConsumer
from shared.log.port import Fenced, LogRefused, LogUnavailable, Message, TopicMismatch, TopicPartition
from tests.conftest import RunningKafka
from tests.contract.backends import make_spec
from tests.contract.members import Reader
from tests.spoiled_group import spoiled_group


async def test_a_topic_that_keeps_senders_times_is_refused_with_what_to_do(kafka_server: RunningKafka) -> None:
    spec = make_spec(1)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_server.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(spec.topic.value, 1, 1)])
    await admin.close()
    log = KafkaLog(kafka_server.bootstrap, 5.0)
    with pytest.raises(TopicMismatch, match=r"message\.timestamp\.type=LogAppendTime"):
        await log.ensure_topics([spec])
    await log.close()


async def test_topics_have_the_settings_stated(kafka_server: RunningKafka) -> None:
    kept, compacted = make_spec(2), make_spec(1, compacted=True)
    log = KafkaLog(kafka_server.bootstrap, 5.0)
    await log.ensure_topics([kept, compacted])
    settings = [await log.topic_settings(spec.topic) for spec in (kept, compacted)]
    assert [s["cleanup.policy"] for s in settings] == ["delete", "compact"]
    assert {s["retention.ms"] for s in settings} == {"-1"}
    assert {s["max.message.bytes"] for s in settings} == {str(10 * 1024 * 1024)}
    await log.close()


async def test_another_clients_record_lands_where_ours_would(kafka_server: RunningKafka) -> None:
    spec, log = make_spec(12), KafkaLog(kafka_server.bootstrap, 5.0)
    await log.ensure_topics([spec])
    ours = await log.producer()
    theirs = AIOKafkaProducer(bootstrap_servers=kafka_server.bootstrap)
    await theirs.start()
    for number in range(20):
        key = f"shop:c-{number}".encode()
        sent = await theirs.send_and_wait(spec.topic.value, b"v", key=key)
        assert (await ours.append(spec.topic, [Message(key, b"v")]))[0].partition == sent.partition
    await theirs.stop()
    await ours.close()
    await log.close()


async def test_a_console_consumer_can_read_what_we_write(kafka_server: RunningKafka) -> None:
    spec, log = make_spec(1), KafkaLog(kafka_server.bootstrap, 5.0)
    await log.ensure_topics([spec])
    producer = await log.producer()
    position = (await producer.append(spec.topic, [Message(b"k", b"v", (("type", b"t"),))]))[0]
    consumer = AIOKafkaConsumer(
        spec.topic.value, bootstrap_servers=kafka_server.bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    record = await consumer.getone()
    assert (record.key, record.value, tuple(record.headers)) == (b"k", b"v", (("type", b"t"),))
    # 1 is LogAppendTime.
    assert (record.timestamp, record.timestamp_type) == (position.arrival_ms, 1)
    await consumer.stop()
    await producer.close()
    await log.close()


async def test_a_broken_producer_says_so_to_everybody_from_then_on(kafka_server: RunningKafka) -> None:
    spec, log = make_spec(1), KafkaLog(kafka_server.bootstrap, 5.0)
    await log.ensure_topics([spec])
    producer = await log.producer()
    await producer.append(spec.topic, [Message(b"k", b"1")])
    # The broker has seen sequence 0 of this producer; 7 is out of order, as after a batch that was given up.
    place = next(iter(producer.client._txn_manager._sequence_numbers))
    producer.client._txn_manager.increment_sequence_number(place, 7)
    with pytest.raises(LogRefused, match=OutOfOrderSequenceNumber.__name__):
        await producer.append(spec.topic, [Message(b"k", b"2")])
    with pytest.raises(LogRefused, match="restart the process"):
        await producer.append(spec.topic, [Message(b"k", b"3")])
    with pytest.raises(LogRefused, match="restart the process"):
        await log.ping()
    await producer.close()
    await log.close()


async def test_a_message_of_the_wrong_type_hurts_its_sender_only(kafka_server: RunningKafka) -> None:
    spec, log = make_spec(1), KafkaLog(kafka_server.bootstrap, 5.0)
    await log.ensure_topics([spec])
    producer = await log.producer()
    with pytest.raises(LogRefused, match="no record"):
        await producer.append(spec.topic, [Message(b"k", b"v", (("\ud800", b""),))])
    assert len(await producer.append(spec.topic, [Message(b"k", b"v")])) == 1
    await producer.close()
    await log.close()


class NeverOpens:
    """An administrative client whose broker is cut off in the midst of its start: it does not end either."""

    def __init__(self, **_settings: object) -> None:
        pass

    async def start(self) -> None:
        raise KafkaConnectionError("cut off")

    async def close(self) -> None:
        await asyncio.Event().wait()


async def test_a_connection_that_neither_opens_nor_closes_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.log.kafka_topics.AIOKafkaAdminClient", NeverOpens)
    async with asyncio.timeout(10):
        with pytest.raises(LogUnavailable, match="connecting to Kafka"):
            await KafkaLog("127.0.0.1:1", 5.0).identity()


async def test_a_large_fenced_append_is_all_or_nothing_over_several_batches(kafka_server: RunningKafka) -> None:
    spec, log = make_spec(1), KafkaLog(kafka_server.bootstrap, 10.0)
    await log.ensure_topics([spec])
    fenced = await log.fenced_producer(uuid.uuid4().hex)
    await fenced.append_to(spec.topic, 0, [Message(b"k", bytes(10_000)) for _ in range(200)])
    consumer = AIOKafkaConsumer(
        spec.topic.value,
        bootstrap_servers=kafka_server.bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    for expected in range(200):
        assert (await consumer.getone()).offset == expected
    await consumer.stop()
    await fenced.close()
    await log.close()


@dataclass
class Hesitant(Reader):
    """A member that takes its time to let go, and so holds up all others."""

    may_let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def _revoked(self, places: frozenset[TopicPartition]) -> None:
        await super()._revoked(places)
        await self.may_let_go.wait()


async def test_waiting_for_a_place_counts_until_there_is_one(kafka_server: RunningKafka) -> None:
    spec, group, log = make_spec(1), uuid.uuid4().hex, KafkaLog(kafka_server.bootstrap, 5.0)
    await log.ensure_topics([spec])
    holder, waiting = Hesitant(log, (spec.topic,), group), Reader(log, (spec.topic,), group)
    await holder.consumer.start()
    await holder.own(1)
    await waiting.consumer.start()
    await waiting.until(lambda: waiting.consumer.stuck_seconds() > 1)
    assert waiting.consumer.assigned() == frozenset()
    holder.may_let_go.set()
    await waiting.until(lambda: waiting.consumer.stuck_seconds() == 0)
    await waiting.consumer.close()
    await holder.consumer.close()
    await log.close()


async def test_a_member_whose_client_finds_no_coordinator_is_stuck_although_it_may_read(
    kafka_server: RunningKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, log = make_spec(1), KafkaLog(kafka_server.bootstrap, 5.0)
    await log.ensure_topics([spec])
    producer, reader = await log.producer(), Reader(log, (spec.topic,), uuid.uuid4().hex)
    await reader.consumer.start()
    await reader.own(1)

    async def none_found(*_asked: object) -> int:
        raise GroupCoordinatorNotAvailableError

    client = cast("KafkaConsumer", reader.consumer)._started()
    monkeypatch.setattr(client._client, "coordinator_lookup", none_found)
    client._coordinator.coordinator_dead()
    await producer.append(spec.topic, [Message(b"k", b"v")])
    await reader.until(lambda: reader.consumer.stuck_seconds() > 1)
    assert [record.value for record in reader.records] == [b"v"]
    monkeypatch.undo()
    await reader.until(lambda: reader.consumer.stuck_seconds() == 0)
    await reader.consumer.close()
    await producer.close()
    await log.close()


async def test_while_the_cluster_is_away_no_member_is_stuck(
    kafka_server: RunningKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_consumer, "_ASK_SECONDS", 0.2)
    spec, group, log = make_spec(1), uuid.uuid4().hex, KafkaLog(kafka_server.bootstrap, 5.0)
    await log.ensure_topics([spec])
    reader = Reader(log, (spec.topic,), group)
    asked = 0

    async def no_answer() -> None:
        nonlocal asked
        asked += 1
        assert reader.consumer.stuck_seconds() > 0
        raise LogUnavailable("away")

    monkeypatch.setattr(reader.consumer, "_ping", no_answer)
    async with spoiled_group(kafka_server.bootstrap, group, spec.topic.value):
        await reader.consumer.start()
        for expected in range(1, 4):
            while asked < expected:
                with contextlib.suppress(LogUnavailable):
                    await reader.poll()
            assert reader.consumer.stuck_seconds() == 0
        await reader.consumer.close()
    await log.close()


@pytest.mark.parametrize("messages", [1, 200], ids=["one batch", "several batches"])
async def test_a_zombie_leaves_no_error_behind_that_nobody_looked_at(kafka_server: RunningKafka, messages: int) -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(str(context)))
    spec, name, log = make_spec(1), uuid.uuid4().hex, KafkaLog(kafka_server.bootstrap, 10.0)
    await log.ensure_topics([spec])
    zombie = await log.fenced_producer(name)
    await zombie.append_to(spec.topic, 0, [Message(b"k", b"v")])
    owner = await log.fenced_producer(name)
    with pytest.raises(Fenced):
        await zombie.append_to(spec.topic, 0, [Message(b"k", bytes(10_000))] * messages)
    await zombie.close()
    await owner.close()
    await log.close()
    del zombie, owner
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    assert told == []


async def test_what_was_rolled_back_is_never_seen(kafka_server: RunningKafka) -> None:
    spec, log = make_spec(1), KafkaLog(kafka_server.bootstrap, 5.0)
    await log.ensure_topics([spec])
    foreign = AIOKafkaProducer(bootstrap_servers=kafka_server.bootstrap, transactional_id=uuid.uuid4().hex)
    await foreign.start()
    await foreign.begin_transaction()
    await foreign.send_and_wait(spec.topic.value, b"rolled back", key=b"k", partition=0)
    reader = Reader(log, (spec.topic,), uuid.uuid4().hex)
    await reader.consumer.start()
    await reader.own(1)
    place = TopicPartition(spec.topic.value, 0)
    assert await reader.consumer.end_offset(place) == 0
    await foreign.abort_transaction()
    producer = await log.producer()
    await producer.append(spec.topic, [Message(b"k", b"committed")])
    assert [record.value for record in await reader.read(1)] == [b"committed"]
    assert await reader.consumer.position(place) == await reader.consumer.end_offset(place)
    await foreign.stop()
    await reader.consumer.close()
    await producer.close()
    await log.close()
