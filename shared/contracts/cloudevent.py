"""CloudEvents 1.0 in structured JSON mode: the shape of every record on every topic.

`tenant` and `mode` are extension attributes; `subject` is the customer. Source and id together are unique: the source of
an event that was posted names its customer, since an id is the dedupe key within a customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from shared.contracts.times import to_ms, to_text

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
TENANT_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MAX_EVENT_BYTES: Final = 256 * 1024
"""Largest event that ingest takes, and largest record that the engine reads."""

LIVE: Final = "live"
BACKFILL: Final = "backfill"

TRACEPARENT: Final = "traceparent"

Headers = tuple[tuple[str, bytes], ...]
"""Record headers as both logs carry them: names with bytes, in order."""


class CloudEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The envelope as read from a topic; `data` is the payload as decoded JSON, `time` is aware."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    tenant: str
    data: dict[str, Any]
    specversion: str = "1.0"
    mode: str = LIVE
    servertime: bool = False
    datacontenttype: str = "application/json"

    @property
    def time_ms(self) -> int:
        """Event time in milliseconds."""
        return to_ms(self.time)


_decoder = msgspec.json.Decoder(CloudEvent)
_encode = msgspec.json.Encoder().encode


def decode(value: bytes) -> CloudEvent:
    """Read a record. Raises ValueError (msgspec's own errors are ValueErrors) that names the field."""
    try:
        event = _decoder.decode(value)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if event.specversion != "1.0" or event.time.tzinfo is None:
        raise ValueError("specversion must be 1.0 and time must have an offset")
    return event


def record_key(tenant: str, customer_id: str) -> bytes:
    """The key of every record about a customer; tenants contain no colon, so the first one splits."""
    return f"{tenant}:{customer_id}".encode()


def customer_source(tenant: str, customer_id: str) -> str:
    """The source of a posted event: a URI reference that names the customer."""
    return f"/tenants/{tenant}/customers/{quote(customer_id, safe='')}"


class Posted(msgspec.Struct, frozen=True):
    """An accepted event on its way to the log; `data` is JSON text that was already validated."""

    tenant: str
    customer_id: str
    id: str
    type: str
    time_ms: int
    data: bytes
    mode: str = LIVE
    servertime: bool = False


def encode_posted(event: Posted) -> bytes:
    """The record of a posted event. The payload's own text is kept, so money stays as it was written."""
    head = {
        "specversion": "1.0",
        "id": event.id,
        "source": customer_source(event.tenant, event.customer_id),
        "type": event.type,
        "subject": event.customer_id,
        "time": to_text(event.time_ms),
        "tenant": event.tenant,
    }
    if event.mode != LIVE:
        head["mode"] = event.mode
    extra = b',"servertime":true' if event.servertime else b""
    return _encode(head)[:-1] + extra + b',"datacontenttype":"application/json","data":' + event.data + b"}"


class Produced(msgspec.Struct, frozen=True):
    """What one of our own services says about a customer, to be wrapped into an envelope."""

    id: str
    source: str
    type: str
    tenant: str
    customer_id: str
    time_ms: int
    data: msgspec.Struct | Mapping[str, Any]


def encode_produced(event: Produced) -> bytes:
    """The record of a produced event (stage changed, customer updated, campaign outcome, dead letter)."""
    head = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.customer_id,
        "time": to_text(event.time_ms),
        "tenant": event.tenant,
        "datacontenttype": "application/json",
    }
    return _encode(head)[:-1] + b',"data":' + _encode(event.data) + b"}"


def headers(event_type: str, traceparent: str | None) -> Headers:
    """The headers of a record: how to read it, its type (to skip without parsing), and the trace it belongs to."""
    plain = (("content-type", CONTENT_TYPE.encode()), ("type", event_type.encode()))
    return (*plain, (TRACEPARENT, traceparent.encode())) if traceparent else plain
