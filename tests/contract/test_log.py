"""The laws of the log, on all its implementations."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.contracts.times import now_ms
from shared.contracts.topics import Topic, TopicSpec
from shared.log.partitioner import partition_of
from shared.log.port import (
    Fenced,
    Log,
    LogError,
    LogRefused,
    LogUnavailable,
    Message,
    Position,
    Record,
    TopicMismatch,
    TopicPartition,
)
from tests.contract.backends import Backend, make_spec, make_topic
from tests.contract.members import SESSION_TIMEOUT_MS, Reader
from tests.spoiled_group import spoiled_group


def message(number: int, key: bytes = b"shop:c-1") -> Message:
    return Message(key, str(number).encode())


def place_of(record: Record) -> Position:
    return Position(record.partition, record.offset, record.arrival_ms)


@pytest.fixture
async def topic(log: Log) -> Topic:
    spec = make_spec(3)
    await log.ensure_topics([spec])
    return spec.topic


@pytest.fixture
async def readers(log: Log) -> AsyncIterator[Callable[..., Reader]]:
    """Makes started-by-hand readers that are closed at the end."""
    made: list[Reader] = []

    def make(*topics: Topic, group: str | None = None, log: Log = log, starts: dict[int, int] | None = None) -> Reader:
        made.append(Reader(log, topics, group or uuid.uuid4().hex, starts or {}))
        return made[-1]

    yield make
    for reader in made:
        await reader.consumer.close()


ReaderOf = Callable[..., Reader]


async def everything(readers: ReaderOf, topic: Topic, count: int) -> list[Record]:
    """The first `count` records of a topic, as a new group reads them."""
    reader = readers(topic)
    await reader.consumer.start()
    return await reader.read(count)


# Appending and reading back


async def test_records_of_one_key_keep_their_order_and_their_partition(
    log: Log, topic: Topic, readers: ReaderOf
) -> None:
    producer = await log.producer()
    for start in range(0, 60, 20):
        await producer.append(topic, [message(n, f"k{n % 5}".encode()) for n in range(start, start + 20)])
    records = await everything(readers, topic, 60)
    for partition in range(3):
        numbers = [int(r.value or b"") for r in records if r.partition == partition]
        assert numbers == sorted(numbers)
    assert all(r.partition == partition_of(r.key or b"", 3) for r in records)
    assert sorted(int(r.value or b"") for r in records) == list(range(60))
    await producer.close()


async def test_keys_values_and_headers_come_back_as_they_were(log: Log, topic: Topic, readers: ReaderOf) -> None:
    sent = [
        Message(b"", b"", (("type", b"purchase"), ("type", b""), ("traceparent", b"\x00\xff"))),
        Message(b"\x00\xff", b"\x00", ()),
        Message(b"gone", None, (("h", b"v"),)),
        Message("ação".encode(), "é".encode()),
    ]
    producer = await log.producer()
    await producer.append_to(topic, 1, sent)
    records = await everything(readers, topic, 4)
    assert [(r.key, r.value, r.headers) for r in records] == [tuple(m) for m in sent]
    assert {(r.topic, r.partition) for r in records} == {(topic.value, 1)}
    await producer.close()


async def test_positions_returned_are_those_read_back(log: Log, topic: Topic, readers: ReaderOf) -> None:
    producer = await log.producer()
    before = now_ms()
    sent = [message(n, f"key-{n}".encode()) for n in range(50)]
    positions = await producer.append(topic, sent)
    positions += await producer.append_to(topic, 2, [message(50), message(51)])
    records = {r.value: place_of(r) for r in await everything(readers, topic, 52)}
    assert [records[str(n).encode()] for n in range(52)] == positions
    assert all(before <= position.arrival_ms <= now_ms() for position in positions)
    await producer.close()


async def test_appending_nothing_gives_no_positions(log: Log, topic: Topic) -> None:
    producer = await log.producer()
    assert await producer.append(topic, []) == []
    assert await producer.append_to(topic, 0, []) == []
    await producer.close()


async def test_arrival_never_decreases_within_a_partition(
    log: Log, backend: Backend, topic: Topic, readers: ReaderOf
) -> None:
    producers = [await log.producer(), await backend.open().producer()]
    for number in range(40):
        await producers[number % 2].append_to(topic, 0, [message(number)])
    records = await everything(readers, topic, 40)
    assert [r.offset for r in records] == sorted({r.offset for r in records})
    assert all(a.arrival_ms <= b.arrival_ms for a, b in itertools.pairwise(records))
    assert [int(r.value or b"") for r in records] == list(range(40))
    for producer in producers:
        await producer.close()


async def test_concurrent_appends_of_two_processes_are_all_kept(
    log: Log, backend: Backend, topic: Topic, readers: ReaderOf
) -> None:
    producers = [await log.producer(), await backend.open().producer()]
    calls = [
        producers[n % 2].append(topic, [message(n * 3 + k, f"k{n}".encode()) for k in range(3)]) for n in range(100)
    ]
    positions = [position for answer in await asyncio.gather(*calls) for position in answer]
    assert len({(p.partition, p.offset) for p in positions}) == 300
    records = await everything(readers, topic, 300)
    assert {r.value: place_of(r) for r in records} == {str(n).encode(): p for n, p in enumerate(positions)}
    for n in range(100):
        of_call = [int(r.value or b"") for r in records if r.key == f"k{n}".encode()]
        assert of_call == [n * 3, n * 3 + 1, n * 3 + 2]
    for producer in producers:
        await producer.close()


async def test_processes_that_append_to_one_partition_take_turns(
    log: Log, backend: Backend, topic: Topic, readers: ReaderOf
) -> None:
    producers = [await log.producer(), *[await backend.open().producer() for _ in range(3)]]

    async def one_by_one(number: int) -> list[Position]:
        return [(await producers[number].append_to(topic, 0, [message(number)]))[0] for _ in range(25)]

    positions = [position for answer in await asyncio.gather(*map(one_by_one, range(4))) for position in answer]
    assert len({position.offset for position in positions}) == 100
    assert {place_of(r) for r in await everything(readers, topic, 100)} == set(positions)
    for producer in producers:
        await producer.close()


async def test_one_callers_appends_keep_their_order_without_waiting(log: Log, topic: Topic, readers: ReaderOf) -> None:
    producer = await log.producer()
    await asyncio.gather(*(producer.append_to(topic, 0, [message(n)]) for n in range(200)))
    assert [int(r.value or b"") for r in await everything(readers, topic, 200)] == list(range(200))
    await producer.close()


async def test_a_record_of_five_megabytes_passes(log: Log, topic: Topic, readers: ReaderOf) -> None:
    producer = await log.producer()
    large = os.urandom(5 * 1024 * 1024)
    small = [Message(b"k", b"before"), Message(b"k", large), Message(b"k", b"after")]
    await producer.append_to(topic, 0, small)
    fenced = await log.fenced_producer(uuid.uuid4().hex)
    await fenced.append_to(topic, 0, [Message(b"k", large)])
    assert [r.value for r in await everything(readers, topic, 4)] == [b"before", large, b"after", large]
    await producer.close()
    await fenced.close()


async def test_what_the_topic_cannot_take_is_refused_and_nothing_else_suffers(log: Log, topic: Topic) -> None:
    producer = await log.producer()
    with pytest.raises(LogRefused, match="more than"):
        await producer.append(topic, [Message(b"k", bytes(11 * 1024 * 1024))])
    with pytest.raises(LogRefused, match="does not exist"):
        await producer.append(make_topic(), [message(1)])
    with pytest.raises(LogRefused, match="partitions 0 to 2"):
        await producer.append_to(topic, 3, [message(1)])
    assert len(await producer.append(topic, [message(1)])) == 1
    await producer.close()


# Reading


async def test_reading_starts_at_any_offset(log: Log, topic: Topic, readers: ReaderOf) -> None:
    producer = await log.producer()
    positions = await producer.append_to(topic, 1, [message(n) for n in range(30)])
    for start in (0, 7, 29):
        reader = readers(topic, starts={1: positions[start].offset})
        await reader.consumer.start()
        assert [int(r.value or b"") for r in await reader.read(30 - start)] == list(range(start, 30))
        place = TopicPartition(topic.value, 1)
        await reader.consumer.seek(place, 3)
        reader.records.clear()
        assert [int(r.value or b"") for r in await reader.read(27)] == list(range(3, 30))
    await producer.close()


async def test_nothing_is_fetched_before_its_owner_has_sought(log: Log, topic: Topic, readers: ReaderOf) -> None:
    producer = await log.producer()
    await producer.append_to(topic, 0, [message(1)])
    reader = readers(topic)
    await reader.consumer.start()
    deadline = time.monotonic() + 15
    while len(reader.consumer.assigned()) < 3:
        assert time.monotonic() < deadline
        await reader.consumer.fetch(10, 50)
    for _ in range(5):
        assert not await reader.consumer.fetch(10, 50)
    assert [r.value for r in await reader.read(1)] == [b"1"]
    await producer.close()


async def test_a_fetch_gives_at_most_what_was_asked_for_and_loses_nothing(
    log: Log, topic: Topic, readers: ReaderOf
) -> None:
    producer = await log.producer()
    await producer.append(topic, [message(n, str(n).encode()) for n in range(100)])
    reader = readers(topic)
    await reader.consumer.start()
    await reader.own(3)
    while len(reader.records) < 100:
        assert len(await reader.poll(max_records=7)) <= 7
    assert sorted(int(r.value or b"") for r in reader.records) == list(range(100))
    await producer.close()


async def test_pausing_and_resuming_loses_nothing(log: Log, topic: Topic, readers: ReaderOf) -> None:
    producer = await log.producer()
    zero, one = TopicPartition(topic.value, 0), TopicPartition(topic.value, 1)
    await producer.append_to(topic, 0, [message(n) for n in range(50)])
    reader = readers(topic)
    await reader.consumer.start()
    await reader.own(3)
    await reader.until(lambda: bool(reader.records))
    reader.consumer.pause(zero)
    while await reader.poll(max_records=5):
        pass
    seen = len(reader.records)
    await producer.append_to(topic, 0, [message(n) for n in range(50, 60)])
    await producer.append_to(topic, 1, [message(100)])
    await reader.until(lambda: reader.records[-1].partition == one.partition)
    assert len(reader.records) == seen + 1
    reader.consumer.resume(zero)
    await reader.read(61)
    assert [int(r.value or b"") for r in reader.records if r.partition == 0] == list(range(60))
    await producer.close()


async def test_a_waiting_fetch_wakes_on_an_append(log: Log, topic: Topic, readers: ReaderOf) -> None:
    producer = await log.producer()
    reader = readers(topic)
    await reader.consumer.start()
    await reader.own(3)
    await reader.poll()
    waiting = asyncio.ensure_future(reader.poll(timeout_ms=10_000))
    await asyncio.sleep(0)
    started = time.monotonic()
    await producer.append(topic, [message(1)])
    assert len(await waiting) == 1
    assert time.monotonic() - started < 2
    await producer.close()


async def test_an_append_of_another_process_is_seen(
    log: Log, backend: Backend, topic: Topic, readers: ReaderOf
) -> None:
    reader = readers(topic, log=backend.open())
    await reader.consumer.start()
    await reader.own(3)
    producer = await log.producer()
    await producer.append(topic, [message(1)])
    assert [r.value for r in await reader.read(1)] == [b"1"]
    await producer.close()


async def test_position_reaches_the_end_offset_also_behind_transactions(
    log: Log, topic: Topic, readers: ReaderOf
) -> None:
    place = TopicPartition(topic.value, 0)
    reader = readers(topic)
    await reader.consumer.start()
    await reader.own(3)
    assert await reader.consumer.end_offset(place) == 0
    fenced = await log.fenced_producer(uuid.uuid4().hex)
    await fenced.append_to(topic, 0, [message(n) for n in range(10)])
    await fenced.append_to(topic, 0, [message(n) for n in range(10, 20)])
    await reader.read(20)
    # Everything is visible now, so the end stands still: asking before might have come before the second commit's mark.
    end = await reader.consumer.end_offset(place)
    assert end >= 20
    deadline = time.monotonic() + 10
    while await reader.consumer.position(place) < end:
        assert time.monotonic() < deadline
        assert not await reader.poll()
    assert await reader.consumer.position(place) == end == await reader.consumer.end_offset(place)
    await fenced.close()


async def test_the_end_offset_counts_what_was_not_yet_fetched(log: Log, topic: Topic, readers: ReaderOf) -> None:
    reader = readers(topic)
    await reader.consumer.start()
    await reader.own(3)
    producer = await log.producer()
    last = (await producer.append_to(topic, 2, [message(n) for n in range(9)]))[-1]
    assert await reader.consumer.end_offset(TopicPartition(topic.value, 2)) == last.offset + 1
    await producer.close()


async def test_progress_can_be_told_at_any_time(log: Log, topic: Topic, readers: ReaderOf) -> None:
    reader = readers(topic)
    await reader.consumer.start()
    await reader.own(3)
    await reader.consumer.tell_progress({TopicPartition(topic.value, 0): 0, TopicPartition("elsewhere", 7): 3})
    await reader.consumer.tell_progress({})
    assert len(reader.consumer.assigned()) == 3


# Fencing


async def test_a_takeover_fences_the_holder_before(log: Log, backend: Backend, topic: Topic, readers: ReaderOf) -> None:
    name = f"relay-{uuid.uuid4().hex}"
    zombie = await log.fenced_producer(name)
    await zombie.append_to(topic, 0, [message(1)])
    owner = await backend.open().fenced_producer(name)
    await owner.append_to(topic, 0, [message(2)])
    with pytest.raises(Fenced):
        await zombie.append_to(topic, 0, [message(3), message(4)])
    with pytest.raises((Fenced, LogUnavailable)):
        await zombie.append_to(topic, 0, [message(5)])
    await owner.append_to(topic, 0, [message(6)])
    assert [r.value for r in await everything(readers, topic, 3)] == [b"1", b"2", b"6"]
    await zombie.close()
    await owner.close()


async def test_names_do_not_fence_each_other(log: Log, topic: Topic) -> None:
    first, second = await log.fenced_producer(uuid.uuid4().hex), await log.fenced_producer(uuid.uuid4().hex)
    await first.append_to(topic, 0, [message(1)])
    await second.append_to(topic, 0, [message(2)])
    await first.append_to(topic, 0, [message(3)])
    await first.close()
    await second.close()


async def test_fenced_appends_of_a_process_at_the_same_time_stay_apart(
    log: Log, topic: Topic, readers: ReaderOf
) -> None:
    name = uuid.uuid4().hex
    zombie = await log.fenced_producer(name)
    owner = await log.fenced_producer(name)
    plain = await log.producer()
    answers = await asyncio.gather(
        zombie.append_to(topic, 0, [message(1)]),
        owner.append_to(topic, 0, [message(2)]),
        plain.append_to(topic, 0, [message(3)]),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Fenced, type(None), list]
    assert {r.value for r in await everything(readers, topic, 2)} == {b"2", b"3"}
    for closing in (zombie, owner, plain):
        await closing.close()


# Groups


async def test_two_members_share_and_a_closed_ones_partitions_go_over_at_once(
    log: Log, backend: Backend, readers: ReaderOf
) -> None:
    spec = make_spec(6)
    await log.ensure_topics([spec])
    group = uuid.uuid4().hex
    first, second = readers(spec.topic, group=group), readers(spec.topic, group=group, log=backend.open())
    await first.consumer.start()
    await first.own(6)
    await second.consumer.start()
    await asyncio.gather(first.own(3), second.own(3))
    assert not first.consumer.assigned() & second.consumer.assigned()
    left = second.consumer.assigned()
    started = time.monotonic()
    await asyncio.gather(second.consumer.close(), first.own(6))
    assert time.monotonic() - started < SESSION_TIMEOUT_MS / 1000
    assert second.history[-1] == ("revoked", left)


async def test_every_partition_is_read_by_one_of_the_members(log: Log, backend: Backend, readers: ReaderOf) -> None:
    spec = make_spec(6)
    await log.ensure_topics([spec])
    group = uuid.uuid4().hex
    members = [readers(spec.topic, group=group, log=other) for other in (log, backend.open(), backend.open())]
    for member in members:
        await member.consumer.start()
    await asyncio.gather(*(member.own(2) for member in members))
    producer = await log.producer()
    await producer.append(spec.topic, [message(n, str(n).encode()) for n in range(60)])
    deadline = time.monotonic() + 10
    while sum(len(member.records) for member in members) < 60:
        assert time.monotonic() < deadline
        await asyncio.gather(*(member.poll() for member in members))
    assert sorted(int(r.value or b"") for member in members for r in member.records) == list(range(60))
    await producer.close()


async def test_a_member_owns_the_same_numbers_in_every_topic(log: Log, backend: Backend, readers: ReaderOf) -> None:
    specs = [make_spec(3), make_spec(3)]
    await log.ensure_topics(specs)
    topics, group = [spec.topic for spec in specs], uuid.uuid4().hex
    first, second = readers(*topics, group=group), readers(*topics, group=group, log=backend.open())
    await first.consumer.start()
    await second.consumer.start()
    await asyncio.gather(first.until(lambda: _owns_some(first)), second.until(lambda: _owns_some(second)))
    assert len(first.consumer.assigned() | second.consumer.assigned()) == 6
    for member in (first, second):
        numbers = [{p.partition for p in member.consumer.assigned() if p.topic == topic} for topic in topics]
        assert numbers[0] == numbers[1]


def _owns_some(reader: Reader) -> bool:
    return len(reader.consumer.assigned()) in (2, 4)


async def test_a_member_that_has_its_place_is_not_stuck_even_when_no_partition_is_left_for_it(
    log: Log, readers: ReaderOf
) -> None:
    spec, group = make_spec(1), uuid.uuid4().hex
    await log.ensure_topics([spec])
    members = [readers(spec.topic, group=group) for _ in range(2)]
    for member in members:
        await member.consumer.start()

    def settled() -> bool:
        owned = sorted(len(member.consumer.assigned()) for member in members)
        return owned == [0, 1] and not any(member.consumer.stuck_seconds() for member in members)

    await _together(members, settled)
    for _ in range(5):
        await asyncio.gather(*(member.poll() for member in members))
        assert [member.consumer.stuck_seconds() for member in members] == [0, 0]


async def test_a_member_that_has_lost_its_place_for_good_says_for_how_long(
    log: Log, backend: Backend, readers: ReaderOf
) -> None:
    spec, group = make_spec(1), uuid.uuid4().hex
    await log.ensure_topics([spec])
    async with place_taken_away(backend, spec.topic, group) as take_away:
        reader = readers(spec.topic, group=group)
        await reader.consumer.start()
        await take_away()
        since = time.monotonic()
        while reader.consumer.stuck_seconds() < 1:
            assert time.monotonic() - since < 20, "it does not notice"
            # What reading answers meanwhile is the log's own affair; a service waits and asks again.
            with contextlib.suppress(LogError):
                await reader.poll()
        assert reader.consumer.stuck_seconds() < time.monotonic() - since + 5


async def test_groups_do_not_disturb_each_other(log: Log, topic: Topic, readers: ReaderOf) -> None:
    producer = await log.producer()
    await producer.append(topic, [message(n, str(n).encode()) for n in range(10)])
    for _ in range(2):
        assert len(await everything(readers, topic, 10)) == 10
    await producer.close()


@asynccontextmanager
async def place_taken_away(backend: Backend, topic: Topic, group: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What ends a member's part in the group, although the log is there: each log has its own."""

    async def nothing_more() -> None:
        return None

    async def lose_the_table() -> None:
        engine = create_async_engine(backend.where)
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE log_members RENAME TO log_members_away"))
        await engine.dispose()

    if backend.name != "kafka":
        yield lose_the_table
        return
    async with spoiled_group(backend.where, group, topic.value):
        yield nothing_more


async def _together(members: list[Reader], condition: Callable[[], bool]) -> None:
    """Polls all of them until the condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, [member.history for member in members]
        await asyncio.gather(*(member.poll() for member in members))


@asynccontextmanager
async def other_process(backend: Backend, topic: Topic, group: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A member in an operating-system process of its own; ends with SIGKILL if it still runs."""
    arguments = [backend.name, backend.where, topic.value, group, str(SESSION_TIMEOUT_MS)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.contract.member_process",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        # Reads to the end, so that the pipe is closed before the loop is.
        await process.communicate()


async def owns(process: asyncio.subprocess.Process, count: int) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        async for line in process.stdout:
            if line.strip() == f"owns {count}".encode():
                return
    pytest.fail(f"the other process never owned {count}")


async def test_a_killed_members_partitions_go_over_within_its_session_timeout(
    log: Log, backend: Backend, readers: ReaderOf
) -> None:
    spec = make_spec(4)
    await log.ensure_topics([spec])
    group = uuid.uuid4().hex
    async with other_process(backend, spec.topic, group) as process:
        await owns(process, 4)
        reader = readers(spec.topic, group=group)
        await reader.consumer.start()
        await asyncio.gather(owns(process, 2), reader.own(2))
        process.send_signal(signal.SIGKILL)
        started = time.monotonic()
        await reader.own(4)
        taken = time.monotonic() - started
    assert SESSION_TIMEOUT_MS / 1000 * 0.4 < taken < SESSION_TIMEOUT_MS / 1000 + 2


async def test_a_frozen_member_loses_its_partitions_and_comes_back(
    log: Log, backend: Backend, readers: ReaderOf
) -> None:
    spec = make_spec(4)
    await log.ensure_topics([spec])
    group = uuid.uuid4().hex
    async with other_process(backend, spec.topic, group) as process:
        await owns(process, 4)
        reader = readers(spec.topic, group=group)
        await reader.consumer.start()
        await asyncio.gather(owns(process, 2), reader.own(2))
        process.send_signal(signal.SIGSTOP)
        await reader.own(4)
        process.send_signal(signal.SIGCONT)
        await asyncio.gather(owns(process, 2), reader.own(2))


# Topics


async def test_topics_are_created_once_and_keep_their_records(log: Log, backend: Backend, readers: ReaderOf) -> None:
    specs: list[TopicSpec] = [make_spec(2), make_spec(5, compacted=True)]
    await asyncio.gather(log.ensure_topics(specs), backend.open().ensure_topics(specs))
    producer = await log.producer()
    await producer.append(specs[0].topic, [message(1)])
    await log.ensure_topics(specs)
    assert [await log.partitions(spec.topic) for spec in specs] == [2, 5]
    assert len(await everything(readers, specs[0].topic, 1)) == 1
    await producer.close()


async def test_another_partition_count_is_refused_with_what_to_do(log: Log, backend: Backend) -> None:
    spec = make_spec(2)
    await log.ensure_topics([spec])
    changed = TopicSpec(spec.topic, 3, None)
    with pytest.raises(TopicMismatch, match="JORNADA_PARTITIONS=2"):
        await backend.open().ensure_topics([changed])
    assert await backend.open().partitions(spec.topic) == 2


async def test_an_unknown_topic_is_refused_with_what_to_do(log: Log) -> None:
    with pytest.raises(LogRefused, match="jornada topics create"):
        await log.partitions(make_topic())


async def test_the_identity_is_the_same_for_everybody(log: Log, backend: Backend) -> None:
    first, second = await asyncio.gather(log.identity(), backend.open().identity())
    assert first == second == await log.identity()
    assert len(first) >= 16


async def test_a_log_that_works_answers_a_ping(log: Log) -> None:
    await log.ping()
