"""What only the SQL log has to get right: retention, compaction, and what Kafka's broker does for the other one."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from typing import cast

import pytest

from shared.contracts.times import now_ms
from shared.contracts.topics import Topic, TopicSpec
from shared.log.port import Log, LogRefused, LogUnavailable, Message, Position, Producer, Record, TopicPartition
from tests.contract.backends import Backend, make_spec
from tests.contract.members import Reader


async def filled(log: Log, spec: TopicSpec, messages: list[Message]) -> None:
    await log.ensure_topics([spec])
    producer = await log.producer()
    await producer.append_to(spec.topic, 0, messages)
    await producer.close()


async def kept(log: Log, topic: Topic, last_value: bytes | None) -> list[Record]:
    """What a new reader finds from offset 0 up to the record with the last value."""
    reader = Reader(log, (topic,), uuid.uuid4().hex)
    await reader.consumer.start()
    await reader.until(lambda: bool(reader.records) and reader.records[-1].value == last_value)
    await reader.consumer.close()
    return reader.records


def numbered(count: int) -> list[Message]:
    return [Message(b"k%d" % (n % 3), b"%d" % n) for n in range(count)]


async def test_trimming_goes_in_small_steps_and_stops_before_what_a_reader_needs(sql_backend: Backend) -> None:
    log, spec = sql_backend.open(), make_spec(2)
    await filled(log, spec, numbered(50))
    keep = {TopicPartition(spec.topic.value, 0): 30, TopicPartition(spec.topic.value, 1): 5}
    steps = []
    while step := await log.trim(now_ms() + 1, keep, limit=8):
        steps.append(step)
    assert steps == [8, 8, 8, 6]
    records = await kept(log, spec.topic, b"49")
    assert [r.offset for r in records] == list(range(30, 50))


async def test_trimming_keeps_what_is_younger_and_what_nobody_named(sql_backend: Backend) -> None:
    log, spec = sql_backend.open(), make_spec(2)
    before = now_ms()
    await filled(log, spec, numbered(10))
    assert await log.trim(before, {TopicPartition(spec.topic.value, 0): 10}, 100) == 0
    assert await log.trim(now_ms() + 1, {TopicPartition(spec.topic.value, 1): 10}, 100) == 0
    assert len(await kept(log, spec.topic, b"9")) == 10


async def test_a_trimmed_log_is_read_to_its_end_and_appended_to_without_reusing_offsets(sql_backend: Backend) -> None:
    log, spec = sql_backend.open(), make_spec(1)
    await filled(log, spec, numbered(10))
    place = TopicPartition(spec.topic.value, 0)
    assert await log.trim(now_ms() + 1, {place: 10}, 100) == 10
    reader = Reader(log, (spec.topic,), uuid.uuid4().hex)
    await reader.consumer.start()
    await reader.own(1)
    await reader.poll()
    assert await reader.consumer.position(place) == await reader.consumer.end_offset(place) == 10
    producer = await log.producer()
    assert (await producer.append_to(spec.topic, 0, [Message(b"k", b"new")]))[0].offset == 10
    assert [r.offset for r in await reader.read(1)] == [10]
    await reader.consumer.close()


async def test_compaction_keeps_the_last_record_of_each_key_whatever_the_steps(sql_backend: Backend) -> None:
    log, spec, other = sql_backend.open(), make_spec(1, compacted=True), make_spec(1)
    await filled(log, other, numbered(10))
    await filled(log, spec, [*numbered(50), Message(b"gone", b"x"), Message(b"gone", None), Message(b"end", b"end")])
    steps = []
    while step := await log.compact(limit=7):
        steps.append(step)
    assert sum(steps) == 53
    assert max(steps) == 7
    found = [(r.key, r.value) for r in await kept(log, spec.topic, b"end")]
    assert found == [(b"k2", b"47"), (b"k0", b"48"), (b"k1", b"49"), (b"gone", None), (b"end", b"end")]
    assert len(await kept(log, other.topic, b"9")) == 10


async def test_compaction_goes_on_where_it_was(sql_backend: Backend) -> None:
    log, spec = sql_backend.open(), make_spec(1, compacted=True)
    await filled(log, spec, [Message(b"a", b"1"), Message(b"b", b"1")])
    assert await log.compact(100) == 2
    await filled(log, spec, [Message(b"a", b"2"), Message(b"a", b"3"), Message(b"c", b"1")])
    assert await sql_backend.open().compact(100) == 3
    assert await log.compact(100) == 0
    assert [(r.key, r.value) for r in await kept(log, spec.topic, b"1")][-3:] == [
        (b"b", b"1"),
        (b"a", b"3"),
        (b"c", b"1"),
    ]


async def test_a_fetch_is_bounded_in_bytes(sql_backend: Backend) -> None:
    log, spec = sql_backend.open(), make_spec(1)
    large = bytes(6 * 1024 * 1024)
    await filled(log, spec, [Message(b"k", large) for _ in range(6)])
    reader = Reader(log, (spec.topic,), uuid.uuid4().hex)
    await reader.consumer.start()
    await reader.own(1)
    sizes = [len(reader.records)] if reader.records else []
    while len(reader.records) < 6:
        sizes.append(len(await reader.poll()))
    assert max(sizes) <= 3
    await reader.consumer.close()


async def test_arrival_never_goes_back_when_the_clock_does(
    sql_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, spec = sql_backend.open(), make_spec(1)
    await log.ensure_topics([spec])
    producer = await log.producer()
    clock = itertools.count(now_ms(), -1_000)
    monkeypatch.setattr("shared.log.sql_append.now_ms", lambda: next(clock))
    arrivals = [(await producer.append_to(spec.topic, 0, [Message(b"k", b"v")]))[0].arrival_ms for _ in range(3)]
    assert len(set(arrivals)) == 1


async def test_readers_of_the_same_process_do_not_wait_for_polling(
    sql_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.log.sql_consumer._POLL_SECONDS", 60)
    log, spec = sql_backend.open(), make_spec(1)
    await log.ensure_topics([spec])
    reader, producer = Reader(log, (spec.topic,), uuid.uuid4().hex), await log.producer()
    await reader.consumer.start()
    await reader.own(1)
    waiting = asyncio.ensure_future(reader.poll(timeout_ms=20_000))
    started = time.monotonic()
    await producer.append(spec.topic, [Message(b"k", b"v")])
    assert len(await waiting) == 1
    assert time.monotonic() - started < 5
    await reader.consumer.close()


async def test_an_idle_reader_wakes_for_a_seek(sql_backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.log.sql_consumer._POLL_SECONDS", 60)
    log, spec = sql_backend.open(), make_spec(1)
    await filled(log, spec, numbered(3))
    reader = Reader(log, (spec.topic,), uuid.uuid4().hex)
    await reader.consumer.start()
    async with asyncio.timeout(10):
        assert len(await reader.poll(timeout_ms=20_000)) == 3
    await reader.consumer.close()


NO_NAME = Message(b"k", b"v", (("\ud800", b""),))
NO_KEY = Message(cast("bytes", "\ud800"), b"v")
"""What no database takes as bytes: only its statement finds out, together with everybody's rows."""


async def together(producer: Producer, topic: Topic, messages: list[Message]) -> list[list[Position] | BaseException]:
    """Each message by a call of its own, all of which wait for one commit."""
    calls = [producer.append_to(topic, 0, [message]) for message in messages]
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("wrong", [NO_NAME, NO_KEY], ids=["header", "key"])
async def test_a_message_of_the_wrong_type_hurts_its_sender_only(sql_backend: Backend, wrong: Message) -> None:
    log, spec = sql_backend.open(), make_spec(1)
    await filled(log, spec, numbered(1))
    producer = await log.producer()
    found = await together(producer, spec.topic, [*numbered(3), wrong, *numbered(2)])
    assert [type(each) for each in found] == [list, list, list, LogRefused, list, list]
    assert (await producer.append_to(spec.topic, 0, [Message(b"k", b"later")]))[0].offset == 6
    assert [r.value for r in await kept(log, spec.topic, b"later")][1:] == [b"0", b"1", b"2", b"0", b"1", b"later"]


async def test_what_nobody_foresaw_fails_those_who_wait_and_nobody_later(
    sql_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, spec = sql_backend.open(), make_spec(1)
    await filled(log, spec, numbered(1))
    producer = await log.producer()

    def broken() -> int:
        raise RuntimeError("no clock")

    with monkeypatch.context() as patched:
        patched.setattr("shared.log.sql_append.now_ms", broken)
        found = await together(producer, spec.topic, numbered(2))
    assert [type(each) for each in found] == [LogUnavailable, LogUnavailable]
    assert "no clock" in str(found[0])
    assert (await producer.append_to(spec.topic, 0, [Message(b"k", b"later")]))[0].offset == 1
