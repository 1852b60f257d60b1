"""What only the Kafka log has to get right."""

from __future__ import annotations

import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import OutOfOrderSequenceNumber

from shared.log.kafka import KafkaLog
from shared.log.port import LogRefused, Message, TopicMismatch, TopicPartition
from tests.conftest import RunningKafka
from tests.contract.backends import make_spec
from tests.contract.members import Reader


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
