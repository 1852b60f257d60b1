"""A record that can't be applied goes to dead letters with all its bytes; the partition goes on as if it were not there."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import msgspec
import pytest

from services.stage_engine.batches import deciding
from services.stage_engine.domain.advance import advance
from services.stage_engine.domain.decision import Decision, Unapplicable
from services.stage_engine.domain.event import Event
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store import tables
from shared.contracts.cloudevent import decode, record_key
from shared.contracts.dead_letters import EXCERPT_BYTES, DeadLettered
from shared.contracts.topics import Topic
from shared.log.port import Message
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.events import TENANT, append, append_to, customers_in, message, purchase, signup
from tests.integration.stage_engine.observing import path, published, rows, until_handled
from tests.integration.stage_engine.stack import Stack

BEFORE, ANA, AFTER = customers_in(0, 3)
ELSEWHERE = customers_in(1, 1)[0]
KEY = record_key(TENANT, ANA)
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Poison:
    """A record and why it will be set aside."""

    name: str
    record: Message
    reason: str


def _changed(find: bytes, put: bytes, record: Message | None = None) -> Message:
    base = record or purchase(ANA, "poison")
    assert base.value is not None
    assert find in base.value
    return base._replace(value=base.value.replace(find, put))


POISONS = [
    Poison("bad bytes", Message(KEY, b"\xff\xfe\x00\x80"), "invalid_json"),
    Poison("bad JSON", Message(KEY, b'{"id": "a", '), "invalid_json"),
    Poison("nothing at all", Message(KEY, b""), "invalid_json"),
    Poison("deep JSON", Message(KEY, b'{"data":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"), "invalid_json"),
    Poison("another shape", Message(KEY, b"[1, 2]"), "invalid_envelope"),
    Poison("another version", _changed(b'"specversion":"1.0"', b'"specversion":"0.3"'), "invalid_envelope"),
    Poison("no id", _changed(b'"id":"poison"', b'"id":""'), "invalid_envelope"),
    Poison("a NUL in the id", _changed(b'"id":"poison"', b'"id":"po\\u0000ison"'), "invalid_envelope"),
    Poison("half a character", _changed(b'"id":"poison"', b'"id":"\\ud800"'), "invalid_json"),
    Poison("unknown mode", _changed(b'"data":', b'"mode":"maybe","data":'), "invalid_envelope"),
    Poison("wrong payload", _changed(b'"12.50"', b'"a lot"'), "invalid_payload"),
    Poison("another tenant's key", Message(b"other:" + ANA.encode(), purchase(ANA).value), "key_mismatch"),
    Poison("no key", Message(b"", purchase(ANA).value), "key_mismatch"),
    Poison("a NUL in the key", Message(b"\x00:x", purchase(ANA).value), "key_mismatch"),
    Poison("wrong partition", purchase(ELSEWHERE), "key_mismatch"),
    Poison("tombstone", Message(KEY, None), "too_large"),
    Poison("five megabytes", Message(KEY, b"x" * 5 * MEGABYTE), "too_large"),
]


def _told(value: bytes | None) -> DeadLettered:
    return msgspec.convert(decode(value or b"").data, DeadLettered)


async def test_poison_is_set_aside_with_its_bytes_and_the_partition_goes_on(stack: Stack) -> None:
    async with stack.process() as resources, engine_running(resources):
        good = [purchase(BEFORE), *(each.record for each in POISONS), purchase(AFTER)]
        positions = await append_to(resources.log, 0, good)
        await until_handled(resources.database, resources.log, 60)
        letters = await rows(resources.database, tables.dead_letters, partition=0)
        by_offset = {letter["log_offset"]: letter for letter in letters}
        records = await published(resources.log, Topic.DEAD_LETTERS)
        told = {_told(record.value).offset: record for record in records}
        assert await path(resources.database, BEFORE) == ["prospect", "first_time_customer"]
        assert await path(resources.database, AFTER) == ["prospect", "first_time_customer"]
        assert await path(resources.database, ANA) == []
    found = {
        each.name: by_offset[position.offset]["reason"] for each, position in zip(POISONS, positions[1:-1], strict=True)
    }
    assert found == {each.name: each.reason for each in POISONS}
    assert len(letters) == len(records) == len(POISONS)
    for each, position in zip(POISONS, positions[1:-1], strict=True):
        letter, record = by_offset[position.offset], told[position.offset]
        assert letter["value"] == each.record.value, each.name
        assert (letter["key"] or b"") == each.record.key, each.name
        assert letter["arrival_ms"] == position.arrival_ms
        assert letter["detail"], each.name
        said = _told(record.value)
        assert said.reason == each.reason
        assert base64.b64decode(said.excerpt) == (each.record.value or b"")[:EXCERPT_BYTES]
        assert len(record.value or b"") < 2 * EXCERPT_BYTES
        assert dict(record.headers)["type"] == b"event.dead_lettered"


async def test_a_repaired_replay_under_the_same_id_is_applied(stack: Stack) -> None:
    broken = _changed(b'"12.50"', b'"a lot"')
    async with stack.process() as resources, engine_running(resources):
        await append(resources.log, [signup(ANA), broken])
        await until_handled(resources.database, resources.log)
        assert await path(resources.database, ANA) == ["prospect", "lead"]
        await append(resources.log, [purchase(ANA, "poison")])
        await until_handled(resources.database, resources.log)
        assert await path(resources.database, ANA) == ["prospect", "lead", "first_time_customer"]
        assert len(await rows(resources.database, tables.dead_letters)) == 1


async def test_a_payload_that_breaks_the_rules_of_facts_leaves_no_history(
    sql_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only `advance` finds out was already in history within the transaction; it is taken back."""

    def refuse_poison(rules: Rules, state: CustomerState, event: Event) -> Decision:
        return Unapplicable("as the test says") if event.id == "poison" else advance(rules, state, event)

    monkeypatch.setattr(deciding, "advance", refuse_poison)
    async with sql_stack.process() as resources, engine_running(resources):
        await append(resources.log, [purchase(ANA, "poison"), purchase(ANA, "good")])
        await until_handled(resources.database, resources.log)
        kept = [row["event_id"] for row in await rows(resources.database, tables.history)]
        letters = await rows(resources.database, tables.dead_letters)
        monkeypatch.setattr(deciding, "advance", advance)
        await append(resources.log, [purchase(ANA, "poison")])
        await until_handled(resources.database, resources.log)
        assert kept == ["good"]
        assert [letter["reason"] for letter in letters] == ["unapplicable"]
        assert await path(resources.database, ANA) == ["prospect", "first_time_customer", "repeat_customer"]


async def test_custom_events_may_hold_anything_that_json_can(stack: Stack) -> None:
    async with stack.process() as resources, engine_running(resources):
        await append(resources.log, [message(ANA, "odd", "shop.odd", {"text": "a\x00b", "deep": [[{}]]})])
        await until_handled(resources.database, resources.log)
        assert await rows(resources.database, tables.dead_letters) == []
        assert await path(resources.database, ANA) == ["prospect"]


async def test_a_flood_of_poison_stops_nobody(stack: Stack) -> None:
    poison = [Message(KEY, b"?" * 70_000)] * 300
    async with stack.process() as resources, engine_running(resources):
        await append_to(resources.log, 0, [*poison, purchase(AFTER)])
        await until_handled(resources.database, resources.log, 60)
        assert await path(resources.database, AFTER) == ["prospect", "first_time_customer"]
        assert len(await rows(resources.database, tables.dead_letters)) == len(poison)
