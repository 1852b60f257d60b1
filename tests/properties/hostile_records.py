"""Raw records of the log as anybody might write them: events that ingest took, and what a foreign producer makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from hypothesis import strategies as st

from services.ingest.domain.intake import Intake, take
from services.ingest.domain.outcome import Accepted
from shared.contracts.cloudevent import CONTENT_TYPE, TRACEPARENT, Headers, record_key
from shared.contracts.events import EventType
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_text, to_text
from shared.contracts.topics import Topic
from shared.log.partitioner import partition_of
from shared.log.port import Record

PARTITIONS = 1
TENANT = "t"
START_MS = parse_text("2026-11-22T14:10:00Z")
CUSTOMERS = ("ana", "аna", "bia/§ %00")
"""The second one looks like the first: its first letter is Cyrillic."""

_WRITTEN: Mapping[str, bytes] = {
    "@NaN": b"NaN",
    "@Infinity": b"-Infinity",
    "@1e400": b"1e400",
    "@-0": b"-0.0",
    "@digits": b"9" * 5_000,
    "@int": b"1" + b"0" * 400,
    "@half": b'"\\ud800"',
    "@nul": b'"a\\u0000b"',
    "@escape": b'"\\u001b[31m\\u0085\\u202e"',
    "@raw": b'"a\x01b"',
    "@latin": b'"\xe9"',
    "@deep": b"[" * 700 + b"]" * 700,
    "@deeper": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    "@long": b'"' + b"x" * 250_000 + b'"',
}
"""JSON, or nearly, that `json.dumps` would not write; a text of that name stands for it."""

_NUMBERS = (0, -1, 7, 2**53, 2**63 - 1, 2**63, 2**64, -(2**70), 10**30, 0.1, 1e308, 5e-324, True)
_TEXTS = (
    *("", " ", "5", "-0", "1e308", "1e400", "1e999999999", "1e-999999999", "NaN", "sNaN", "Infinity", "１２", "1_0"),
    *("9" * 400, "BRL", "nps", "ana", "аna", "е" * 210, "\u202eabc", "é\u0301", "🙂", "__proto__", "${jndi}", "{{1}}"),
)
_TIMES = (
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-14:00", "1970-12-31T23:00:00Z"),
    *("1971-01-01T00:00:00+14:00", "2016-12-31T23:59:60Z", "2026-11-22", "2026-11-22T14:00:00", "2026-13-40T99:00:00Z"),
    *("2026-11-22T14:00:00+23:59", "2026-11-22t14:00:00z", "2026-11-22T14:00:00.123456789Z", "now", ""),
)
ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from((None, [], {}, [[]], {"a": {}}, [1, "a", None], *_NUMBERS, *_TEXTS, *_TIMES)),
    st.sampled_from(sorted(_WRITTEN)),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
).map(deepcopy)
"""A value where another was expected."""

_AMOUNTS = st.sampled_from(("0", "0.01", "25.20", 129.9, 1000, "9999999999999.99", -0.0, " 5 "))
_UNBOUNDED = _AMOUNTS | st.sampled_from(("1e999999999", "1e-999999999", "1e308", 1e308, "@int", "@digits"))
"""Ingest looks at the size of what is paid and refunded alone."""
_CURRENCIES = st.sampled_from(("BRL", "BRL", "BRL", "USD", "JPY"))
_IDS = st.sampled_from(("k1", "k2", "k3", "к1", "x" * 200, "🙂" * 200))
_CHANNELS = st.sampled_from(("visit", "social", "ad", "email_open", "content", "support", "other"))
_CONSENTS = st.sampled_from(("email", "sms", "push", "webhook"))
_ITEMS = st.lists(st.fixed_dictionaries({"sku": _IDS}, optional={"price": _UNBOUNDED}), max_size=2)
_WORDS = st.sampled_from(("", "Ana", "a\x01b", "é" * 1_000, "<b>", "\u202e"))

Form = tuple[dict[str, st.SearchStrategy[Any]], dict[str, st.SearchStrategy[Any]]]
"""The fields that must be there, and those that may."""

_PRICED: dict[str, st.SearchStrategy[Any]] = {"order_id": _IDS, "amount": _AMOUNTS, "currency": _CURRENCIES}
_PROFILE: dict[str, st.SearchStrategy[Any]] = {
    "name": st.none() | _WORDS,
    "email": st.sampled_from((None, "ana@loja.example")),
    "locale": st.sampled_from((None, "pt-BR")),
    "time_zone": st.sampled_from((None, "America/Sao_Paulo", "Mars/Olympus")),
    "properties": st.dictionaries(st.text(max_size=3), ANYTHING, max_size=1),
}
_FREE: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(("points", "weight", "amount", "channel", "score", "time", "product")), ANYTHING, max_size=3
)
_FORMS: Mapping[str, Form] = {
    EventType.SIGNUP: ({}, {**_PROFILE, "consent": st.dictionaries(_CONSENTS, st.booleans(), max_size=2)}),
    EventType.PROFILE_UPDATED: ({}, _PROFILE),
    EventType.PURCHASE: (_PRICED, {"margin": _UNBOUNDED | st.sampled_from(("-5", "0.001")), "items": _ITEMS}),
    EventType.PURCHASE_REFUNDED: (_PRICED, {"reason": _WORDS}),
    EventType.COMPLAINT: ({"complaint_id": _IDS}, {"severity": st.sampled_from(("low", "high"))}),
    EventType.COMPLAINT_RESOLVED: ({"complaint_id": _IDS}, {"satisfied": st.booleans()}),
    EventType.SURVEY_RESPONSE: ({"kind": st.sampled_from(("nps", "csat", "ces")), "score": st.integers(1, 5)}, {}),
    EventType.ENGAGEMENT: ({"channel": _CHANNELS}, {"cost": _UNBOUNDED, "currency": _CURRENCIES}),
    EventType.CART_UPDATED: ({"cart_id": _IDS, "items": _ITEMS}, {"amount": _UNBOUNDED, "currency": _CURRENCIES}),
    EventType.REFERRAL: ({}, {"referred_customer_id": _IDS}),
    EventType.SUBSCRIPTION_CANCELLED: ({}, {"reason": _WORDS}),
    EventType.CONSENT_CHANGED: ({"channel": _CONSENTS, "granted": st.booleans()}, {}),
}
_DATA = {name: st.fixed_dictionaries(must, optional=may) for name, (must, may) in _FORMS.items()}
_CUSTOM = ("gift", "orders", "revenue", "facts.orders", "stages.ecommerce", "product_bought", "claim_answered")
"""Types that nobody declared; some are called like facts, some are read by shipped lifecycles."""
_TYPES = st.sampled_from((*_FORMS, *_FORMS, *_CUSTOM))
_FOREIGN_TYPES = st.sampled_from(
    ("jornada.lifecycle_published", "customer.stage_changed", "", "Purchase", "purchаse", "a\nb", "x" * 5_000, "*")
)
"""What ingest would not take; the fourth has a Cyrillic letter."""


class Sent(NamedTuple):
    """An event as its sender has it in mind."""

    id: str
    type: str
    customer: str
    time_ms: int
    backfill: bool
    data: dict[str, Any]


def by_ingest(sent: Sent, now_ms: int) -> bytes | None:
    """The record's value as ingest writes it; None when ingest refuses the event."""
    intake = Intake(TENANT, may_backfill=True, now_ms=now_ms, new_id=lambda: "made-here")
    mode = "backfill" if sent.backfill else "live"
    head = {"id": sent.id, "type": sent.type, "customer_id": sent.customer, "time": to_text(sent.time_ms), "mode": mode}
    outcome = take(intake, written({**head, "data": sent.data}))
    return outcome.value if isinstance(outcome, Accepted) else None


def envelope(sent: Sent) -> dict[str, Any]:
    """The CloudEvent as a foreign producer writes it, who asks nobody."""
    head = {"specversion": "1.0", "id": sent.id, "source": "/foreign", "type": sent.type, "subject": sent.customer}
    more = {"mode": "backfill"} if sent.backfill else {}
    return {**head, "time": to_text(sent.time_ms), "tenant": TENANT, **more, "data": dict(sent.data)}


def written(value: Any) -> bytes:
    """JSON text, with what names something in `_WRITTEN` written out."""
    text = json.dumps(value).encode()
    for name, form in _WRITTEN.items():
        text = text.replace(f'"{name}"'.encode(), form)
    return text


# What a producer gets wrong


def _odd_field(draw: st.DrawFn, event: dict[str, Any]) -> None:
    event[draw(st.sampled_from(sorted(event)))] = draw(ANYTHING)


def _odd_data(draw: st.DrawFn, event: dict[str, Any]) -> None:
    names = st.sampled_from(
        (*sorted(event["data"]), "amount", "score", "complaint_id", "granted", "a\n\x1b[1mb", "margin")
    )
    event["data"][draw(names)] = draw(ANYTHING)


def _left_out(draw: st.DrawFn, event: dict[str, Any]) -> None:
    part = event["data"] if event["data"] and draw(st.booleans()) else event
    del part[draw(st.sampled_from(sorted(part)))]


def _swapped(draw: st.DrawFn, event: dict[str, Any]) -> None:
    one, other = draw(st.sampled_from(sorted(event))), draw(st.sampled_from(sorted(event)))
    event[one], event[other] = event[other], event[one]


def _other_type(draw: st.DrawFn, event: dict[str, Any]) -> None:
    event["type"] = draw(_TYPES | _FOREIGN_TYPES)


def _other_time(draw: st.DrawFn, event: dict[str, Any]) -> None:
    event["time"] = draw(st.sampled_from(_TIMES))


_SHAPES: tuple[Callable[[st.DrawFn, dict[str, Any]], None], ...] = (
    *(_odd_field, _odd_data, _odd_data, _odd_data, _left_out, _swapped, _other_type, _other_time),
)


def _flipped(draw: st.DrawFn, value: bytes) -> bytes:
    place = draw(st.integers(0, max(0, len(value) - 1)))
    return (
        value[:place] + bytes([value[place] ^ (1 << draw(st.integers(0, 7)))]) + value[place + 1 :] if value else value
    )


def _cut(draw: st.DrawFn, value: bytes) -> bytes:
    return value[: draw(st.integers(0, len(value)))]


def _repeated(draw: st.DrawFn, value: bytes) -> bytes:
    start = draw(st.integers(0, len(value)))
    end = min(len(value), start + draw(st.integers(1, 60)))
    return value[:end] + value[start:]


def _other_bytes(draw: st.DrawFn, value: bytes) -> bytes:
    return draw(
        st.sampled_from((b"", b"null", b"[]", b"\xff\xfe{}", b"{" * 50_000, b"x" * 300_000)) | st.binary(max_size=40)
    )


_BYTES: tuple[Callable[[st.DrawFn, bytes], bytes], ...] = (_flipped, _flipped, _cut, _repeated, _other_bytes)


@st.composite
def broken(draw: st.DrawFn, sent: Sent) -> bytes | None:
    """What becomes of an event between a sender and the log."""
    event = envelope(sent)
    for _ in range(draw(st.integers(0, 2))):
        if isinstance(event.get("data"), dict):
            draw(st.sampled_from(_SHAPES))(draw, event)
    value = written(event)
    if draw(st.integers(0, 2)) == 0:
        value = draw(st.sampled_from(_BYTES))(draw, value)
    return None if draw(st.integers(0, 40)) == 0 else value


# What stands in the log

_LAGS = st.sampled_from(
    (0, 0, 0, 1, MINUTE_MS, DAY_MS, 100 * DAY_MS, 20_000 * DAY_MS, -3 * MINUTE_MS, -(10**6) * DAY_MS)
)
HOURS = st.sampled_from((0, 0, 1, MINUTE_MS, 6 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS, -HOUR_MS))
YEARS = st.sampled_from((0, 0, 1, 6 * MINUTE_MS, HOUR_MS, DAY_MS, 40 * DAY_MS, 400 * DAY_MS, 2_000 * DAY_MS, -DAY_MS))
"""How far arrivals are apart; some stand still, some go back."""

_KEYS = st.sampled_from((None, b"", b"\xff\x00", b":", b"t", b"t:", b"\xff" * 4_000, b"other:ana"))
_HEADERS: st.SearchStrategy[Headers] = st.sampled_from(
    (
        *(((TRACEPARENT, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),), ()) * 3,
        *(((TRACEPARENT, b"\xff\x00\n"), ("type", b"\xff")), (("content-type", CONTENT_TYPE.encode()),)),
    )
)


@st.composite
def sent_events(draw: st.DrawFn, number: int, arrival_ms: int, *, backfill: bool = False) -> Sent:
    """An event of any type, of one of three customers; the id may have been used before."""
    type_ = draw(_TYPES)
    again = draw(st.integers(0, 6)) == 0
    return Sent(
        id=f"e{draw(st.integers(0, number)) if again else number}",
        type=type_,
        customer=draw(st.sampled_from((CUSTOMERS[0], *CUSTOMERS))),
        time_ms=max(0, min(arrival_ms - draw(_LAGS), parse_text("9999-12-31T00:00:00Z"))),
        backfill=backfill,
        data=draw(_DATA.get(type_, _FREE)),
    )


@st.composite
def streams(draw: st.DrawFn, gaps: st.SearchStrategy[int], most: int = 14) -> list[Record]:
    """Records of one partition: perhaps an import in the order of time, then whatever comes."""
    records: list[Record] = []
    arrival = START_MS
    for number in range(draw(st.integers(0, 3)) if draw(st.booleans()) else 0):
        sent = draw(sent_events(number, arrival, backfill=True))
        sent = sent._replace(id=f"i{number}", time_ms=START_MS - (9 - number) * DAY_MS)
        records.append(
            logged(len(records), arrival, sent.customer, by_ingest(sent, arrival) or written(envelope(sent)))
        )
        arrival += 1
    for number in range(draw(st.integers(1, most))):
        arrival = max(START_MS, arrival + draw(gaps))
        if records and draw(st.integers(0, 9)) == 0:
            again = draw(st.sampled_from(records))
            records.append(again._replace(offset=len(records), arrival_ms=arrival))
            continue
        sent = draw(sent_events(number, arrival))
        value = by_ingest(sent, arrival) if draw(st.integers(0, 2)) else draw(broken(sent))
        record = logged(len(records), arrival, sent.customer, value or written(envelope(sent)))
        odd = draw(st.integers(0, 15)) == 0
        records.append(record._replace(key=draw(_KEYS) if odd else record.key, headers=draw(_HEADERS)))
    return records


def logged(offset: int, arrival_ms: int, customer: str, value: bytes | None) -> Record:
    """A record as the log gives it back, under the customer's key."""
    key = record_key(TENANT, customer)
    return Record(Topic.EVENTS, partition_of(key, PARTITIONS), offset, arrival_ms, key, value, ())
