"""What becomes of a posted item, case by case."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.ingest.domain.intake import Intake, Malformed, take, take_batch
from services.ingest.domain.outcome import Accepted, Outcome, Reason, Refused
from shared.contracts.cloudevent import MAX_EVENT_BYTES, decode
from shared.contracts.times import parse_text

NOW_MS = parse_text("2026-11-22T14:10:00Z")
LIVE_ONLY = Intake("acme", may_backfill=False, now_ms=NOW_MS, new_id=lambda: "made-here")
IMPORTER = Intake("acme", may_backfill=True, now_ms=NOW_MS, new_id=lambda: "made-here")

PURCHASE: dict[str, Any] = {
    "id": "order-1001-paid",
    "type": "purchase",
    "customer_id": "c-42",
    "time": "2026-11-22T14:03:11Z",
    "data": {"order_id": "1001", "amount": "129.90", "currency": "BRL"},
}
CUSTOM: dict[str, Any] = {"id": "1", "type": "wishlist_shared", "customer_id": "c-42", "data": {"a": 1}}


def post(item: object, intake: Intake = LIVE_ONLY) -> Outcome:
    return take(intake, json.dumps(item).encode())


def purchase(**changes: Any) -> Outcome:
    return post({**PURCHASE, **changes})


def purchase_data(**changes: Any) -> Outcome:
    return purchase(data={**PURCHASE["data"], **changes})


def accepted(outcome: Outcome) -> Accepted:
    assert isinstance(outcome, Accepted), outcome
    return outcome


def refusal(outcome: Outcome) -> tuple[Reason, str]:
    assert isinstance(outcome, Refused), outcome
    return outcome.reason, outcome.errors[0].pointer


def test_record_says_what_was_posted() -> None:
    made = accepted(post(PURCHASE))
    event = decode(made.value)
    assert made.key == b"acme:c-42"
    assert (event.id, event.type, event.subject, event.tenant) == ("order-1001-paid", "purchase", "c-42", "acme")
    assert event.source == "/tenants/acme/customers/c-42"
    assert event.time_ms == parse_text("2026-11-22T14:03:11Z")
    assert event.data == PURCHASE["data"]
    assert (event.mode, event.servertime, made.warnings) == ("live", False, ())


def test_a_record_is_a_cloudevent_to_whoever_reads_json() -> None:
    assert json.loads(accepted(post(PURCHASE)).value) == {
        "specversion": "1.0",
        "id": "order-1001-paid",
        "source": "/tenants/acme/customers/c-42",
        "type": "purchase",
        "subject": "c-42",
        "time": "2026-11-22T14:03:11.000Z",
        "tenant": "acme",
        "datacontenttype": "application/json",
        "data": PURCHASE["data"],
    }


def test_money_stays_as_it_was_written() -> None:
    made = accepted(take(LIVE_ONLY, json.dumps(PURCHASE).replace('"129.90"', "129.90").encode()))
    assert b'"amount":129.90,' in made.value


def test_white_space_between_parts_is_dropped_and_inside_texts_kept() -> None:
    item = json.dumps({**CUSTOM, "data": {"text": "a  b\n"}}, indent=4).encode()
    assert accepted(take(LIVE_ONLY, item)).value.endswith(b'"data":{"text":"a  b\\n"}}')


@pytest.mark.parametrize(
    ("currency", "amount", "advised"),
    [("BRL", "12.505", "129.90"), ("JPY", "12.5", "130"), ("KWD", "1.0001", "129.900")],
)
def test_too_many_decimals_are_laid_to_the_amount_with_an_example(currency: str, amount: str, advised: str) -> None:
    outcome = purchase_data(amount=amount, currency=currency)
    assert isinstance(outcome, Refused)
    (error,) = outcome.errors
    assert error.pointer == "/data/amount"
    assert "decimal places" in error.detail
    assert error.advice == f'write an amount in {currency} like "{advised}"'


def test_left_out_time_is_the_servers() -> None:
    event = decode(accepted(purchase(time=None)).value)
    assert (event.time_ms, event.servertime) == (NOW_MS, True)


def test_left_out_id_is_made_here() -> None:
    made = accepted(post({"type": "signup", "customer_id": "c-1", "data": {}}))
    assert made.id == decode(made.value).id == "made-here"


@pytest.mark.parametrize("event_type", ["purchase", "purchase_refunded"])
def test_orders_and_refunds_need_an_id_of_their_sender(event_type: str) -> None:
    outcome = post({**PURCHASE, "type": event_type, "id": None})
    assert refusal(outcome) == (Reason.ID_NEEDED, "/id")
    assert isinstance(outcome, Refused)
    assert "order-1001-paid" in outcome.errors[0].advice


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"id": ""}, "/id"),
        ({"id": "x" * 201}, "/id"),
        ({"id": "a\nb"}, "/id"),
        ({"id": "a\x00b"}, "/id"),
        ({"id": "a\x7fb"}, "/id"),
        ({"id": 7}, "/id"),
        ({"customer_id": ""}, "/customer_id"),
        ({"customer_id": "a\tb"}, "/customer_id"),
        ({"customer_id": 7}, "/customer_id"),
        ({"customer_id": None}, "/customer_id"),
        ({"type": "Purchase"}, "/type"),
        ({"type": "1st"}, "/type"),
        ({"type": "a" * 65}, "/type"),
        ({"type": "jornada.sweep"}, "/type"),
        ({"type": "customer.stage_changed"}, "/type"),
        ({"type": "x\n"}, "/type"),
        ({"mode": "replay"}, "/mode"),
        ({"customer": "c-42"}, "/customer"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"time": 1763820000}, "/time"),
        ({"time": "yesterday"}, "/time"),
        ({"time": "2026-11-22"}, "/time"),
        ({"time": "2026-W47-7T10:00:00Z"}, "/time"),
    ],
)
def test_wrong_envelope_is_refused_with_a_pointer(changes: dict[str, Any], pointer: str) -> None:
    assert refusal(purchase(**changes)) == (Reason.ENVELOPE, pointer)


@pytest.mark.parametrize("name", ["type", "customer_id"])
def test_missing_envelope_field_is_named(name: str) -> None:
    assert refusal(post({key: value for key, value in PURCHASE.items() if key != name})) == (
        Reason.ENVELOPE,
        f"/{name}",
    )


def test_all_that_is_wrong_with_an_envelope_is_told_at_once() -> None:
    outcome = post({"id": 7, "custmer_id": "c-42", "data": {}})
    assert isinstance(outcome, Refused)
    found = {error.pointer: error for error in outcome.errors}
    assert set(found) == {"/custmer_id", "/type", "/customer_id", "/id"}
    assert found["/custmer_id"].advice == 'did you mean "customer_id"?'


@pytest.mark.parametrize(
    "name", ["x" * 200, "João da Silva", "customer 7", "a:b", "ключ", "\u00a0", "😀", 'quote"back\\slash']
)
def test_unusual_names_are_taken_and_come_back(name: str) -> None:
    event = decode(accepted(purchase(id=name, customer_id=name)).value)
    assert (event.id, event.subject) == (name, name)


@pytest.mark.parametrize(
    ("time", "fine"),
    [
        ("2026-11-22T14:15:00Z", True),
        ("2026-11-22T14:15:00.001Z", False),
        ("2026-11-22T11:15:00-03:00", True),
        ("2027-01-01T00:00:00Z", False),
        ("9999-12-31T23:59:59Z", False),
        ("1970-01-01T00:00:00Z", True),
        ("1969-12-31T23:59:59.999Z", False),
        ("0001-01-01T00:00:00+14:00", False),
        ("2026-11-22T14:00:00", False),
    ],
)
def test_times_from_1970_until_five_minutes_from_now_with_offset(time: str, fine: bool) -> None:
    outcome = purchase(time=time)
    if fine:
        accepted(outcome)
    else:
        assert refusal(outcome) == (Reason.TIME, "/time")


def test_backfill_needs_its_scope() -> None:
    outcome = purchase(mode="backfill")
    assert refusal(outcome) == (Reason.SCOPE, "/mode")
    assert isinstance(outcome, Refused)
    assert outcome.status == 403
    assert decode(accepted(post({**PURCHASE, "mode": "backfill"}, IMPORTER)).value).mode == "backfill"


@pytest.mark.parametrize("name", ["id", "time"])
def test_backfill_needs_id_and_time(name: str) -> None:
    item = {
        "type": "signup",
        "customer_id": "c-1",
        "id": "1",
        "time": "2020-01-01T00:00:00Z",
        "mode": "backfill",
        "data": {},
    }
    accepted(post(item, IMPORTER))
    assert refusal(post({**item, name: None}, IMPORTER)) == (Reason.ENVELOPE, f"/{name}")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"amount": "12.345"}, "/data/amount"),
        ({"amount": "1.0", "currency": "JPY"}, None),
        ({"amount": "1.5", "currency": "JPY"}, "/data/amount"),
        ({"amount": "1.505", "currency": "KWD"}, None),
        ({"amount": "-1"}, "/data/amount"),
        ({"amount": "a lot"}, "/data/amount"),
        ({"amount": "NaN"}, "/data/amount"),
        ({"amount": "1e999999"}, "/data/amount"),
        ({"amount": "99999999999999999999"}, "/data/amount"),
        ({"currency": "XXX"}, "/data/currency"),
        ({"currency": "brl"}, "/data/currency"),
        ({"ammount": "1"}, "/data/ammount"),
        ({"items": [{"sku": "A", "quantity": 0}]}, "/data/items/0/quantity"),
        ({"items": [{"sku": "A", "qty": 1}]}, "/data/items/0/qty"),
        ({"order_id": 1001}, "/data/order_id"),
        ({"order_id": None}, "/data/order_id"),
    ],
)
def test_purchase_data_is_checked_to_the_field(changes: dict[str, Any], pointer: str | None) -> None:
    outcome = purchase_data(**changes)
    if pointer is None:
        accepted(outcome)
    else:
        assert refusal(outcome) == (Reason.PAYLOAD, pointer)


def test_typing_errors_in_data_are_answered_with_what_was_meant() -> None:
    outcome = purchase_data(ammount="1", items=[{"sku": "A", "quantty": 1}])
    assert isinstance(outcome, Refused)
    advice = {error.pointer: error.advice for error in outcome.errors}
    assert 'did you mean "amount"?' in advice["/data/ammount"]
    assert 'did you mean "quantity"?' in advice["/data/items/0/quantty"]


@pytest.mark.parametrize("data", [None, [], "text", 7])
@pytest.mark.parametrize("event_type", ["purchase", "wishlist_shared"])
def test_data_is_an_object(event_type: str, data: object) -> None:
    assert refusal(purchase(type=event_type, data=data)) == (Reason.PAYLOAD, "/data")


def test_data_may_be_left_out_of_custom_types_only() -> None:
    assert decode(accepted(post({"type": "waved", "customer_id": "c-1"})).value).data == {}
    assert refusal(post({"type": "signup", "customer_id": "c-1"})) == (Reason.PAYLOAD, "/data")


def test_undeclared_type_is_taken_with_a_warning() -> None:
    (warning,) = accepted(purchase(type="purchse")).warnings
    assert 'did you mean "purchase"?' in warning


def nested(levels: int) -> bytes:
    """An event of that many levels, itself the first."""
    inner = b"[" * (levels - 2) + b"]" * (levels - 2)
    return b'{"type":"t","customer_id":"c","data":{"a":' + (inner or b"1") + b"}}"


@pytest.mark.parametrize(
    ("levels", "fine"), [(2, True), (19, True), (20, True), (21, False), (300, False), (100_000, False)]
)
def test_twenty_levels_and_no_more(levels: int, fine: bool) -> None:
    outcome = take(LIVE_ONLY, nested(levels))
    if fine:
        accepted(outcome)
    else:
        assert refusal(outcome) == (Reason.TOO_DEEP, "/data")


def test_many_brackets_side_by_side_are_not_depth() -> None:
    accepted(post({**CUSTOM, "data": {"list": [[] for _ in range(100)], "text": "[" * 100}}))


def test_levels_are_counted_in_any_branch() -> None:
    assert refusal(take(LIVE_ONLY, nested(21).replace(b'{"a":', b'{"b":1,"c":{},"a":'))) == (Reason.TOO_DEEP, "/data")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (rb'{"a":"\u0000"}', Reason.PAYLOAD),
        (rb'{"\u0000":1}', Reason.PAYLOAD),
        (rb'{"a":[{"b":["\u0000"]}]}', Reason.PAYLOAD),
        (rb'{"a":"\\u0000"}', None),
        (rb'{"a":"\ud800"}', Reason.MALFORMED),
        (rb'{"a":"\udc00\ud800"}', Reason.MALFORMED),
        (rb'{"a":"\ud83d\ude00"}', None),
        (b'{"a":"\xff"}', Reason.MALFORMED),
        (b'{"a":"\xed\xa0\x80"}', Reason.MALFORMED),
        (b'{"a":NaN}', Reason.MALFORMED),
        (b'{"a":1e999}', Reason.PAYLOAD),
        (b'{"a":1,"a":2}', None),
        (b'{"a":1,}', Reason.MALFORMED),
    ],
)
def test_texts_and_numbers_that_others_choke_on(data: bytes, reason: Reason | None) -> None:
    outcome = take(LIVE_ONLY, b'{"id":"1","type":"t","customer_id":"c","data":' + data + b"}")
    if reason is None:
        accepted(outcome)
    else:
        assert refusal(outcome)[0] == reason


def test_events_up_to_256_kib_as_record() -> None:
    def event(size: int) -> Outcome:
        return post({**CUSTOM, "data": {"text": "x" * size}})

    overhead = len(accepted(event(0)).value)
    assert len(accepted(event(MAX_EVENT_BYTES - overhead)).value) == MAX_EVENT_BYTES
    assert refusal(event(MAX_EVENT_BYTES - overhead + 1))[0] == Reason.TOO_LARGE
    assert refusal(event(MAX_EVENT_BYTES))[0] == Reason.TOO_LARGE


@pytest.mark.parametrize("item", [[], "text", 7, None, True])
def test_item_is_an_object(item: object) -> None:
    assert refusal(post(item)) == (Reason.ENVELOPE, "")


def batch(*items: object) -> list[Outcome]:
    return take_batch(LIVE_ONLY, json.dumps(items).encode())


def test_each_item_of_a_batch_is_judged_alone() -> None:
    outcomes = batch(PURCHASE, {**PURCHASE, "amount": 1}, 7, {**PURCHASE, "id": "2"})
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, False, False, True]


@pytest.mark.parametrize("size", [0, 501])
def test_batch_has_1_to_500_items(size: int) -> None:
    with pytest.raises(Malformed, match="1 to 500"):
        batch(*[CUSTOM] * size)
    assert len(batch(*[CUSTOM] * 500)) == 500


@pytest.mark.parametrize("body", [b"[", b"[1,", b"[1]]", b"[" * 1_000_000, b"[\xff]", b'["\\ud800"]'])
def test_broken_batch_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(Malformed):
        take_batch(LIVE_ONLY, body)


def test_same_id_twice_in_a_batch_only_with_the_same_content() -> None:
    other = {**PURCHASE, "data": {**PURCHASE["data"], "amount": "1.00"}}
    spaced = {**PURCHASE, "data": dict(PURCHASE["data"])}
    outcomes = batch(PURCHASE, spaced, other, {**other, "customer_id": "c-43"})
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, True, False, True]
    assert refusal(outcomes[2]) == (Reason.ID_TWICE, "/id")
    assert isinstance(outcomes[2], Refused)
    assert outcomes[2].id == "order-1001-paid"
