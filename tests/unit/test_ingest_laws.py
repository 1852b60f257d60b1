"""Laws of ingest over arbitrary input: nothing crashes it, and whatever it accepts can be read by everybody behind."""

from __future__ import annotations

import json
from typing import Any

from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.api.answers import batch_answer, event_answer, event_problem
from services.ingest.domain.intake import Intake, Malformed, is_batch, take, take_batch
from services.ingest.domain.outcome import Accepted, Outcome, Refused
from shared.contracts.cloudevent import decode
from shared.contracts.events import EventType
from shared.contracts.times import parse_text

_INTAKE = Intake("acme", may_backfill=True, now_ms=parse_text("2026-11-22T14:10:00Z"), new_id=lambda: "made-here")

_text = st.text(max_size=20) | st.sampled_from(
    ["", "c-42", "129.90", "BRL", "email", "nps", "\x00", "1e999999", "2026-11-22T14:03:11Z"]
)
_scalar = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text
_json = st.recursive(
    _scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4), max_leaves=15
)
_field = st.sampled_from(  # fields of payloads
    [
        "order_id",
        "amount",
        "currency",
        "items",
        "properties",
        "email",
        "consent",
        "complaint_id",
        "kind",
        "score",
        "channel",
        "cart_id",
        "granted",
    ]
)
_data = st.dictionaries(_field | _text, _json, max_size=5)
_item = st.fixed_dictionaries(
    {"type": st.sampled_from(list(EventType)) | _text, "customer_id": st.text(min_size=1, max_size=10)},
    optional={"id": _text, "time": _text, "data": _data | _json, "mode": st.sampled_from(["live", "backfill", "x"])},
)
_fitting = st.fixed_dictionaries(
    {
        "id": st.text(min_size=1, max_size=50),
        "type": st.just("wishlist_shared"),
        "customer_id": st.text(min_size=1, max_size=50),
        "data": st.dictionaries(_text, _json, max_size=5),
    }
)


def post(body: bytes) -> list[Outcome]:
    """What the route does, without the log: every outcome can be told to its sender."""
    if not is_batch(body):
        outcome = take(_INTAKE, body)
        told = event_problem(outcome).document() if isinstance(outcome, Refused) else json.loads(event_answer(outcome))
        assert told["status"] in {"accepted", 400, 403, 413, 422}
        return [outcome]
    try:
        outcomes = take_batch(_INTAKE, body)
    except Malformed:
        return []
    answered = batch_answer(outcomes)
    assert answered.accepted + answered.refused == len(answered.items) == len(outcomes)
    return outcomes


def check_readable(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Accepted):
            ours, theirs = decode(outcome.value), JSONFormat().read(None, outcome.value)
            assert ours.data == theirs.get_data()
            assert (ours.id, ours.source, ours.type) == (theirs.get_id(), theirs.get_source(), theirs.get_type())
            assert (ours.subject, ours.time) == (theirs.get_subject(), theirs.get_time())
            assert (ours.id, ours.subject) == (outcome.id, outcome.customer_id)


@given(st.binary(max_size=300))
def test_no_bytes_crash_it(body: bytes) -> None:
    check_readable(post(body))
    check_readable(post(b"[" + body + b"]"))


@given(_item | _json)
def test_no_json_crashes_it_and_what_is_accepted_is_readable(item: object) -> None:
    check_readable(post(json.dumps(item).encode()))


@given(st.lists(_item | _fitting, max_size=5))
def test_no_batch_crashes_it_and_what_is_accepted_is_readable(items: list[object]) -> None:
    check_readable(post(json.dumps(items, ensure_ascii=False).encode("utf-8", "surrogatepass")))


@given(_fitting)
def test_accepted_data_is_what_was_posted(item: dict[str, Any]) -> None:
    (outcome,) = post(json.dumps(item).encode())
    if isinstance(outcome, Accepted):
        assert decode(outcome.value).data == item["data"]
        assert outcome.customer_id == item["customer_id"]
