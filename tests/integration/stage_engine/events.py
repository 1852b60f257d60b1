"""Records as ingest would append them, and as no ingest ever would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.contracts.cloudevent import LIVE, Posted, encode_posted, headers, record_key
from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.log.partitioner import partition_of
from shared.log.port import Log, Message, Position
from tests.integration.stage_engine.stack import PARTITIONS

TENANT = "acme"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True)
class Given:
    """What is not usual about an event."""

    time_ms: int | None = None
    mode: str = LIVE
    servertime: bool = False
    traceparent: str | None = None
    tenant: str = TENANT


USUAL = Given()


def message(customer: str, event_id: str, type_: str, data: dict[str, Any], given: Given = USUAL) -> Message:
    """One event as a record; it happens now unless told otherwise."""
    time_ms = now_ms() if given.time_ms is None else given.time_ms
    encoded = msgspec.json.encode(data)
    posted = Posted(given.tenant, customer, event_id, type_, time_ms, encoded, given.mode, given.servertime)
    return Message(record_key(given.tenant, customer), encode_posted(posted), headers(type_, given.traceparent))


def signup(customer: str, event_id: str = "signup", given: Given = USUAL) -> Message:
    return message(customer, event_id, "signup", {"email": f"{customer}@shop.example", "name": "Ana"}, given)


def purchase(customer: str, event_id: str = "order", given: Given = USUAL, amount: str = "12.50") -> Message:
    data = {"order_id": event_id, "amount": amount, "currency": "BRL"}
    return message(customer, event_id, "purchase", data, given)


def visit(customer: str, event_id: str = "visit", given: Given = USUAL) -> Message:
    return message(customer, event_id, "engagement", {"channel": "visit"}, given)


def customers_in(partition: int, count: int, prefix: str = "c") -> list[str]:
    """Customer ids of the usual tenant whose records go to a partition."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        name = f"{prefix}{number}"
        if partition_of(record_key(TENANT, name), PARTITIONS) == partition:
            found.append(name)
        number += 1
    return found


async def append(log: Log, messages: Sequence[Message]) -> list[Position]:
    """Append as ingest does: by key."""
    producer = await log.producer()
    try:
        return await producer.append(Topic.EVENTS, messages)
    finally:
        await producer.close()


async def append_to(log: Log, partition: int, messages: Sequence[Message]) -> list[Position]:
    """Append as a foreign producer may: anywhere."""
    producer = await log.producer()
    try:
        return await producer.append_to(Topic.EVENTS, partition, messages)
    finally:
        await producer.close()
