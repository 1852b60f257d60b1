"""What events add up to, worked by hand from the rules of facts."""

from __future__ import annotations

from typing import Any

import pytest

from services.stage_engine.domain.state import FactValue
from shared.contracts.times import MINUTE_MS
from tests.unit.stage_engine.timeline import Step, lifecycle, live, nps, play, purchase, rules, table

EMPTY = lifecycle("a")


def facts(*steps: Step, currency: str = "BRL") -> dict[str, FactValue]:
    return play(rules(EMPTY, currency=currency), *steps).state.facts


def refund(arrival: int, amount: str, currency: str = "BRL", time: int | None = None) -> Step:
    return live(arrival, "purchase_refunded", time, order_id="o", amount=amount, currency=currency)


def complaint(arrival: int, id_: str) -> Step:
    return live(arrival, "complaint", complaint_id=id_)


def resolved(arrival: int, id_: str) -> Step:
    return live(arrival, "complaint_resolved", complaint_id=id_)


def test_counts_and_sums_start_at_zero_and_nothing_else_has_a_value() -> None:
    assert facts(live(3, "cart_updated", cart_id="c", items=[])) == {
        "orders": 0,
        "revenue": 0,
        "refunds": 0,
        "complaints": 0,
        "open_complaints": 0,
        "referrals": 0,
        "engagements": 0,
        "first_seen": 3 * MINUTE_MS,
        "last_seen": 3 * MINUTE_MS,
    }


FIRST_AND_LAST = {
    "first_seen": (("signup", "engagement"), 5),
    "last_seen": (("signup", "engagement"), 20),
    "first_purchase_at": (("purchase",), 5),
    "last_purchase_at": (("purchase",), 20),
    "last_engagement_at": (("engagement",), 20),
    "signed_up_at": (("signup",), 5),
}


@pytest.mark.parametrize("fact", FIRST_AND_LAST)
def test_first_and_last_go_by_event_time(fact: str) -> None:
    types, expected = FIRST_AND_LAST[fact]
    data: dict[str, Any] = {"order_id": "o", "amount": "1", "currency": "BRL", "channel": "visit"}
    came = [(30, 10), (31, 20), (32, 5), (33, 12)]
    steps = [live(a, types[n % len(types)], t, **data) for n, (a, t) in enumerate(came)]
    assert facts(*steps)[fact] == expected * MINUTE_MS


def test_the_last_score_goes_by_event_time_then_by_the_order_of_the_log() -> None:
    assert facts(nps(10, 9), nps(11, 3, time=5))["nps"] == 9
    assert facts(nps(10, 9), nps(11, 3, time=10))["nps"] == 3
    assert facts(nps(10, 9), nps(11, 3, time=5), nps(12, 4, time=7))["nps"] == 9


def test_each_kind_of_survey_has_its_own_score() -> None:
    answers = [live(n, "survey_response", kind=kind, score=n) for n, kind in enumerate(("nps", "csat", "ces"), start=1)]
    known = facts(*answers)
    assert (known["nps"], known["csat"], known["ces"]) == (1, 2, 3)


def test_a_score_of_zero_is_a_score() -> None:
    assert facts(nps(1, 0))["nps"] == 0


def test_referrals_and_engagements_are_counted() -> None:
    known = facts(live(1, "referral"), live(2, "engagement", channel="ad"), live(3, "engagement", channel="visit"))
    assert (known["referrals"], known["engagements"]) == (1, 2)


def test_every_event_counts_as_seen_but_only_purchases_as_orders() -> None:
    known = facts(purchase(1), live(9, "loyalty.card-scanned", points=3))
    assert (known["orders"], known["last_seen"]) == (1, 9 * MINUTE_MS)


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [("BRL", "129.90", 12990), ("JPY", "1500", 1500), ("BHD", "1.234", 1234), ("BRL", 0.29, 29), ("BRL", 7, 700)],
)
def test_money_is_kept_in_minor_units_of_its_currency(currency: str, amount: Any, minor: int) -> None:
    assert (
        facts(live(1, "purchase", order_id="o", amount=amount, currency=currency), currency=currency)["revenue"]
        == minor
    )


@pytest.mark.parametrize(
    ("currency", "amount", "condition"),
    [
        ("BRL", "129.90", "facts.revenue == 129.9 && event.amount == 129.9"),
        ("JPY", "1500", "facts.revenue == 1500.0 && facts.average_order_value == 1500.0"),
        ("BHD", "1.234", "facts.revenue == 1.234 && facts.revenue < 1.2345"),
    ],
)
def test_money_in_conditions_is_in_major_units(currency: str, amount: str, condition: str) -> None:
    text = lifecycle("a b", f'id: up, from: a, to: b, on: purchase, when: "{condition}"')
    played = play(rules(text, currency=currency), purchase(1, amount=amount, currency=currency))
    assert played.table[1:] == table("1 l a b up 1 2 1 s e1")


def test_sums_of_money_are_exact() -> None:
    assert facts(*[purchase(n, amount="0.10") for n in range(1, 301)])["revenue"] == 3000


def test_refunds_reduce_revenue_and_not_orders() -> None:
    known = facts(purchase(1, amount="50.00"), refund(2, "20.00"))
    assert (known["orders"], known["revenue"], known["refunds"]) == (1, 3000, 1)


def test_a_refund_reduces_revenue_at_once_even_before_its_purchase() -> None:
    early = facts(refund(1, "20.00"))
    assert (early["revenue"], early["orders"], early["refunds"]) == (-2000, 0, 1)
    assert facts(refund(1, "20.00"), purchase(2, amount="50.00"))["revenue"] == 3000


def test_average_order_value_is_what_was_paid_by_orders_rounded_to_the_minor_unit() -> None:
    assert "average_order_value" not in facts(refund(1, "20.00"))
    assert facts(purchase(1, amount="10.00"), purchase(2, amount="20.00"))["average_order_value"] == 1500
    thirds = [purchase(1, amount="10.00"), purchase(2, amount="10.00"), purchase(3, amount="10.01")]
    assert facts(*thirds)["average_order_value"] == 1000
    assert facts(*thirds[:2], purchase(3, amount="10.02"))["average_order_value"] == 1001
    assert facts(purchase(1, amount="50.00"), refund(2, "20.00"))["average_order_value"] == 5000


def test_a_foreign_purchase_is_an_order_without_a_value() -> None:
    known = facts(purchase(1, amount="10.00"), purchase(5, amount="99.00", currency="USD"))
    assert (known["orders"], known["revenue"], known["average_order_value"]) == (2, 1000, 1000)
    assert known["last_purchase_at"] == 5 * MINUTE_MS


def test_only_foreign_purchases_leave_the_average_without_a_value() -> None:
    known = facts(purchase(1, currency="USD"))
    assert (known["orders"], known["revenue"], "average_order_value" in known) == (1, 0, False)


def test_a_foreign_refund_reduces_nothing_here() -> None:
    known = facts(purchase(1, amount="10.00"), refund(2, "5.00", "USD"))
    assert (known["revenue"], known["refunds"]) == (1000, 1)


def test_foreign_amounts_are_kept_apart_per_currency() -> None:
    by = rules(EMPTY)
    played = play(
        by,
        purchase(1, amount="1.50", currency="USD"),
        purchase(2, amount="7", currency="JPY"),
        refund(3, "0.25", "USD"),
    )
    assert "125" in str(played.state.notes)
    assert {"USD", "JPY"} <= {word for word in str(played.state.notes).replace("'", " ").split() if word.isupper()}


def test_open_complaints_are_those_opened_and_not_resolved() -> None:
    steps = [complaint(1, "k"), complaint(2, "l"), resolved(3, "k")]
    assert [facts(*steps[:n])["open_complaints"] for n in (1, 2, 3)] == [1, 2, 1]
    assert facts(*steps)["complaints"] == 2


def test_a_complaint_told_twice_is_open_once() -> None:
    assert facts(complaint(1, "k"), complaint(2, "k"))["open_complaints"] == 1


def test_a_resolution_may_come_first_and_keeps_the_complaint_closed() -> None:
    known = facts(resolved(1, "k"), complaint(2, "k"), complaint(3, "l"))
    assert (known["open_complaints"], known["complaints"]) == (1, 2)


def test_a_resolution_of_nothing_opens_no_debt() -> None:
    assert facts(resolved(1, "k"), complaint(2, "l"))["open_complaints"] == 1


def test_a_resolved_complaint_stays_closed() -> None:
    assert facts(complaint(1, "k"), resolved(2, "k"), complaint(3, "k"))["open_complaints"] == 0


def test_the_last_hundred_resolved_are_remembered() -> None:
    settled = [resolved(n, f"k{n}") for n in range(1, 102)]
    assert facts(*settled, complaint(200, "k2"), complaint(201, "k101"))["open_complaints"] == 0
    assert facts(*settled, complaint(200, "k1"))["open_complaints"] == 1


def test_state_is_bounded_whatever_the_customer_does() -> None:
    by = rules(EMPTY)
    sizes = []
    state = play(by, live(0, "signup")).state
    for start in (1, 3_001):
        loud = (complaint(n, f"k{n}") for n in range(start, start + 1_500))
        state = play(by, *loud, *(purchase(n) for n in range(start + 1_500, start + 3_000)), state=state).state
        sizes.append(len(str(state)))
    assert sizes[1] < sizes[0] * 1.2


def test_money_without_a_known_currency_is_a_payload_that_cannot_be_used() -> None:
    played = play(rules(EMPTY), live(0, "signup"), live(1, "purchase", order_id="o", amount="1", currency="???"))
    assert played.state.revision == 1
