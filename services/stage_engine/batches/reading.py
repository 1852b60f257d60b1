"""From a record of the log to an event, or to the reason why it can't be one. Pure; called by `batch`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ValidationError

from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.store.history import Entry
from shared.contracts.cloudevent import (
    BACKFILL,
    LIVE,
    MAX_EVENT_BYTES,
    TENANT_PATTERN,
    TRACEPARENT,
    CloudEvent,
    decode,
    record_key,
)
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.events import PAYLOADS
from shared.log.partitioner import partition_of
from shared.log.port import Record

_ENVELOPE_ROOM_BYTES = 8 * 1024
_ID = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_TENANT = re.compile(TENANT_PATTERN, re.ASCII)
_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,200})?")
_EARLIEST_YEAR = 1971


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that can't be an event, with what a person needs to repair it."""

    record: Record
    reason: DeadLetterReason
    detail: str
    tenant: str | None = None
    customer_id: str | None = None


def read(record: Record, arrival_ms: int, partitions: int) -> Entry | Unreadable:
    """Read one record; `arrival_ms` is the greatest arrival time in its partition so far."""
    value = record.value
    if value is None or len(value) > MAX_EVENT_BYTES + _ENVELOPE_ROOM_BYTES:
        size = "no value" if value is None else f"{len(value)} bytes"
        return Unreadable(record, DeadLetterReason.TOO_LARGE, f"the record has {size}; an event has up to 256 KiB")
    try:
        envelope = decode(value)
    except ValueError as error:
        return Unreadable(record, _kind_of_unreadable(error), f"not a CloudEvent of ours: {error}")
    if (problem := _envelope_problem(record, envelope, partitions)) is not None:
        return problem
    if (refusal := _payload_problem(envelope)) is not None:
        return _unreadable(record, envelope, DeadLetterReason.INVALID_PAYLOAD, refusal)
    origin = Origin(envelope.tenant, envelope.subject, envelope.id, envelope.type)
    event = Event.taken(origin, envelope.time_ms, arrival_ms, backfill=envelope.mode == BACKFILL, data=envelope.data)
    return Entry(event, record.partition, record.offset, value)


def traceparent_of(record: Record) -> str | None:
    """The trace that a record belongs to, from its headers; None for a text that can't be one."""
    for name, value in record.headers:
        if name == TRACEPARENT:
            return value.decode() if _TRACE.fullmatch(value) else None
    return None


def _kind_of_unreadable(error: ValueError) -> DeadLetterReason:
    """Whether the bytes are no JSON at all, or JSON of another shape (msgspec derives the one error from the other)."""
    shaped = type(error).__name__ == "ValidationError" or "specversion" in str(error)
    return DeadLetterReason.INVALID_ENVELOPE if shaped else DeadLetterReason.INVALID_JSON


def _envelope_problem(record: Record, envelope: CloudEvent, partitions: int) -> Unreadable | None:
    key = record_key(envelope.tenant, envelope.subject)
    if record.key != key or partition_of(key, partitions) != record.partition:
        detail = f"the key must be {key!r}, in the partition that Kafka's hash gives it; a producer chose otherwise"
        return _unreadable(record, envelope, DeadLetterReason.KEY_MISMATCH, detail)
    if not (_ID.fullmatch(envelope.id) and _ID.fullmatch(envelope.subject) and _TENANT.match(envelope.tenant)):
        detail = "id and subject must be 1 to 200 characters without control characters, the tenant as in its key"
        return _unreadable(record, envelope, DeadLetterReason.INVALID_ENVELOPE, detail)
    if envelope.time.year < _EARLIEST_YEAR:
        detail = f"time is in the year {envelope.time.year}; the earliest that is believed is {_EARLIEST_YEAR}"
        return _unreadable(record, envelope, DeadLetterReason.INVALID_ENVELOPE, detail)
    if envelope.mode not in (LIVE, BACKFILL):
        detail = f"mode is {envelope.mode!r}; it can be live or backfill"
        return _unreadable(record, envelope, DeadLetterReason.INVALID_ENVELOPE, detail)
    return None


def _unreadable(record: Record, envelope: CloudEvent, reason: DeadLetterReason, detail: str) -> Unreadable:
    return Unreadable(record, reason, detail, envelope.tenant, envelope.subject)


def _payload_problem(envelope: CloudEvent) -> str | None:
    model = PAYLOADS.get(envelope.type)
    if model is None:
        return None
    try:
        model.__pydantic_validator__.validate_python(envelope.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"data/{'/'.join(map(str, first['loc']))}: {first['msg']}"
    return None
