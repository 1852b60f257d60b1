"""What events add up to in the facts that a lifecycle declares, worked by hand."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.times import MINUTE_MS
from tests.unit.stage_engine.declaring import declaring, own_facts, together
from tests.unit.stage_engine.timeline import D, Step, live, play, purchase, rules, table

Happened = tuple[int, str, dict[str, Any]]
"""Minute, type, data."""


def steps(*happened: Happened) -> list[Step]:
    """Events that come a while later, in the order given."""
    return [live(10 * D + number, type_, time, **data) for number, (time, type_, data) in enumerate(happened)]


def fact(content: str, *happened: Step, currency: str = "BRL", zone: str = "UTC") -> Any:
    """The value of one fact after some events; None without one."""
    by = together(declaring({"it": content}, "a", time_zone=zone), currency=currency)
    return own_facts(by, play(by, live(0, "profile_updated"), *happened)).get("it")


def gift(time: int, **data: Any) -> Happened:
    return time, "gift", data


def paid(time: int, amount: Any, currency: str = "BRL") -> Happened:
    return time, "purchase", {"order_id": "o", "amount": amount, "currency": currency}


def visit(time: int, channel: str = "visit") -> Happened:
    return time, "engagement", {"channel": channel}


SCORES = [(time, "survey_response", {"kind": "nps", "score": score}) for time, score in ((5, 7), (3, 2), (9, 4))]
POINTS = [gift(4, points=3), gift(2, points=1), gift(8, points=6)]
TABLE: dict[str, tuple[str, list[Happened], Any]] = {
    # Before the first event
    "nothing was counted": ("count: purchase", [visit(1)], 0),
    "nothing was added up": ("sum: amount, of: purchase", [visit(1)], 0),
    "nothing was told apart": ("distinct: channel, of: engagement", [paid(1, "1")], 0),
    **{
        f"no {kind} of nothing": (f"{kind}: score, of: survey_response", [visit(1)], None)
        for kind in ("min", "max", "average", "first", "last")
    },
    "no gap of nothing": ("average_gap: purchase", [visit(1)], None),
    # Counting
    "events of a type": ("count: engagement", [visit(1), paid(2, "1"), visit(3)], 2),
    "events of several types": ("count: [engagement, purchase]", [visit(1), paid(2, "1"), visit(3)], 3),
    "two events at one instant are two": ("count: engagement", [visit(1), visit(1)], 2),
    # Adding up
    "whole numbers": ("sum: score, of: survey_response", SCORES, 13),
    "money in minor units": ("sum: amount, of: purchase", [paid(1, "10.00"), paid(2, "0.10"), paid(3, 5)], 1510),
    "decimals": ("sum: weight, of: gift, type: number", [gift(1, weight=0.25), gift(2, weight=2)], 2.25),
    "fields of several types": (
        "sum: amount, of: [purchase, purchase_refunded]",
        [paid(1, "10.00"), (2, "purchase_refunded", {"order_id": "o", "amount": "1.00", "currency": "BRL"})],
        1100,
    ),
    "negative numbers": ("sum: points, of: gift, type: int", [gift(1, points=-3), gift(2, points=1)], -2),
    # Least and most
    "the least": ("min: score, of: survey_response", SCORES, 2),
    "the most": ("max: score, of: survey_response", SCORES, 7),
    "the least money": ("min: amount, of: purchase", [paid(1, "9.99"), paid(2, "10")], 999),
    "the earliest time": ("min: time, of: engagement", [visit(7), visit(3), visit(5)], 3 * MINUTE_MS),
    "the latest time": ("max: time, of: engagement", [visit(3), visit(7), visit(5)], 7 * MINUTE_MS),
    "nothing is a least": (
        "min: score, of: survey_response",
        [*SCORES, (1, "survey_response", {"kind": "nps", "score": 0})],
        0,
    ),
    # First and last
    "the first by the event's time": ("first: score, of: survey_response", SCORES, 2),
    "the last by the event's time": ("last: score, of: survey_response", SCORES, 4),
    "of equal times the first in the log": (
        "first: channel, of: engagement",
        [visit(5, "ad"), visit(5, "social")],
        "ad",
    ),
    "of equal times the last in the log": (
        "last: channel, of: engagement",
        [visit(5, "ad"), visit(5, "social")],
        "social",
    ),
    "an earlier one is not the last": ("last: channel, of: engagement", [visit(5, "ad"), visit(4, "social")], "ad"),
    "a later one is not the first": ("first: channel, of: engagement", [visit(5, "ad"), visit(6, "social")], "ad"),
    "the time of the last": (
        "last: time, of: [engagement, purchase]",
        [visit(5), paid(9, "1"), visit(7)],
        9 * MINUTE_MS,
    ),
    # Averages
    "an average of whole numbers is a decimal": (
        "average: points, of: gift, type: int",
        [gift(1, points=1), gift(2, points=2)],
        1.5,
    ),
    "of decimals": ("average: weight, of: gift, type: number", [gift(1, weight=0.5), gift(2, weight=1)], 0.75),
    "of money, half up": ("average: amount, of: purchase", [paid(1, "10.00"), paid(2, "10.01")], 1001),
    "of money, below the half": (
        "average: amount, of: purchase",
        [paid(1, "10.00"), paid(2, "10.00"), paid(3, "10.01")],
        1000,
    ),
    "of money, above the half": (
        "average: amount, of: purchase",
        [paid(1, "10.00"), paid(2, "10.00"), paid(3, "10.02")],
        1001,
    ),
    # Gaps
    "one event has no gap": ("average_gap: purchase", [paid(1, "1")], None),
    "two have one": ("average_gap: purchase", [paid(10, "1"), paid(110, "1")], 100 * MINUTE_MS),
    "three have their mean, in whatever order they come": (
        "average_gap: purchase",
        [paid(110, "1"), paid(10, "1"), paid(30, "1")],
        50 * MINUTE_MS,
    ),
    "two at one instant have one of nothing": ("average_gap: purchase", [paid(1, "1"), paid(1, "1")], 0),
    "over several types": ("average_gap: [purchase, engagement]", [paid(1, "1"), visit(4)], 3 * MINUTE_MS),
    # Telling apart
    "different values": ("distinct: channel, of: engagement", [visit(1), visit(2, "ad"), visit(3)], 2),
    "money is told apart by what it is worth": (
        "distinct: amount, of: purchase",
        [paid(1, "10.0"), paid(2, "10.00"), paid(3, 10)],
        1,
    ),
    "a number and its text are not both taken": (
        "distinct: points, of: gift, type: int",
        [gift(1, points=1), gift(2, points="1"), gift(3, points=True), gift(4, points=1.0)],
        1,
    ),
    "texts are told apart by their case": (
        "distinct: word, of: gift, type: text",
        [gift(1, word="a"), gift(2, word="A")],
        2,
    ),
    # Which events
    "those for which `where` holds": (
        "count: engagement, where: \"event.channel == 'ad'\"",
        [visit(1, "ad"), visit(2), visit(3, "ad")],
        2,
    ),
    "`where` takes money in major units": (
        'count: purchase, where: "event.amount >= 10.0"',
        [paid(1, "9.99"), paid(2, "10.00")],
        1,
    ),
    "an event without the field that `where` names is passed over": (
        'count: gift, where: "!(event.points > 3)"',
        [gift(1), gift(2, points=2)],
        1,
    ),
    "an event without the field is passed over": ("sum: points, of: gift, type: int", [gift(1), *POINTS], 10),
    "for counting it needs none": ("count: gift", [gift(1), *POINTS], 4),
    "`where` and a window": (
        "count: engagement, where: \"event.channel == 'ad'\", within: 2d",
        [visit(10 * D, "ad"), visit(9 * D, "ad"), visit(9 * D - 1, "ad"), visit(10 * D, "visit")],
        2,
    ),
    # Windows: the clock is at the last of day 10
    "a window adds up the days that count": (
        "sum: amount, of: purchase, within: 2d",
        [paid(10 * D, "1"), paid(9 * D, "2"), paid(8 * D, "4")],
        300,
    ),
    "its first": (
        "first: channel, of: engagement, within: 2d",
        [visit(10 * D, "ad"), visit(9 * D, "social"), visit(8 * D)],
        "social",
    ),
    "its last": (
        "last: channel, of: engagement, within: 2d",
        [visit(10 * D, "ad"), visit(9 * D, "social"), visit(8 * D)],
        "ad",
    ),
    "its gap": (
        "average_gap: engagement, within: 2d",
        [visit(10 * D), visit(9 * D + 7), visit(8 * D)],
        (D - 7) * MINUTE_MS,
    ),
    "its gap, of one event": ("average_gap: engagement, within: 2d", [visit(10 * D), visit(8 * D)], None),
    "its average": (
        "average: amount, of: purchase, within: 2d",
        [paid(10 * D, "1"), paid(9 * D, "2"), paid(8 * D, "9")],
        150,
    ),
    "its different values": (
        "distinct: channel, of: engagement, within: 2d",
        [visit(10 * D), visit(9 * D), visit(9 * D, "ad"), visit(1, "social")],
        2,
    ),
    "its least": ("min: score, of: survey_response, within: 1w", SCORES, None),
    "an empty window counts nothing": ("count: survey_response, within: 1w", SCORES, 0),
    "nor does it add up anything": ("sum: score, of: survey_response, within: 400d", SCORES, 13),
}


@pytest.mark.parametrize("name", TABLE)
def test_value(name: str) -> None:
    content, happened, expected = TABLE[name]
    value = fact(content, *steps(*happened), live(11 * D - 1, "profile_updated"))
    assert (value, type(value)) == (expected, type(expected))


class TestWhere:
    FAILS = 'count: gift, where: "12 / event.points > 3"'

    def test_one_that_cannot_be_computed_passes_the_event_over_and_says_so(self) -> None:
        text = declaring({"it": self.FAILS, "all": "count: gift"}, "a b", "id: up, from: a, to: b, on: gift")
        by = together(text)
        played = play(by, live(3, "gift", points=0), live(4, "gift", points=1))
        assert own_facts(by, played) == {"it": 1, "all": 2}
        assert played.table[1:] == table("3 l a b up 1 2 1 s e1")
        (error,) = played.errors
        assert (error.lifecycle, error.at_ms, error.expression) == ("l", 3 * MINUTE_MS, "12 / event.points > 3")
        assert "it" in error.transition
        assert "zero" in error.detail


def test_facts_of_one_name_in_two_lifecycles_are_two_facts() -> None:
    one = declaring({"it": "count: purchase"}, "a", name="one")
    other = declaring({"it": "last: channel, of: engagement"}, "a", name="other")
    by = together(one, other)
    played = play(by, purchase(1), live(2, "engagement", channel="ad"))
    assert own_facts(by, played, "one") == {"it": 1}
    assert own_facts(by, played, "other") == {"it": "ad"}


def test_own_facts_are_no_facts_of_the_customer() -> None:
    by = together(declaring({"it": "count: purchase"}, "a"))
    assert "it" not in play(by, purchase(1)).state.facts


def test_facts_of_a_new_lifecycle_count_from_the_first_event_that_it_sees() -> None:
    known = play(rules("lifecycle: old\nstart: a\nstages: {a: {order: 1}}\n"), purchase(1), purchase(2)).state
    by = together(declaring({"it": "count: purchase"}, "a"))
    assert own_facts(by, play(by, purchase(3), state=known)) == {"it": 1}


ALL_KINDS = {
    "counted": "count: gift",
    "summed": "sum: points, of: gift, type: int",
    "weighed": "sum: weight, of: gift, type: number",
    "least": "min: points, of: gift, type: int",
    "most": "max: weight, of: gift, type: number",
    "mean": "average: points, of: gift, type: int",
    "mean_spent": "average: amount, of: purchase",
    "gap": "average_gap: [gift, purchase]",
    "first": "first: word, of: gift, type: text",
    "last": "last: word, of: gift, type: text",
    "different": "distinct: word, of: gift, type: text",
}
IN_ANY_ORDER = together(
    declaring({**ALL_KINDS, **{f"{name}_3d": f"{content}, within: 3d" for name, content in ALL_KINDS.items()}}, "a")
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_order_of_arrival_matters_to_none_but_for_first_and_last_at_one_instant(data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(0, 6 * D), min_size=1, max_size=12, unique=True))
    random = Random(data.draw(st.integers(0, 9)))
    happened = [
        gift(time, points=random.randrange(-3, 9), weight=random.randrange(40) / 8, word=random.choice("abc"))
        if random.random() < 0.8
        else paid(time, f"{random.randrange(900)}.{random.randrange(10, 100)}")
        for time in times
    ]
    in_order = own_facts(IN_ANY_ORDER, play(IN_ANY_ORDER, *steps(*sorted(happened, key=lambda each: each[0]))))
    shuffled = own_facts(IN_ANY_ORDER, play(IN_ANY_ORDER, *steps(*data.draw(st.permutations(happened)))))
    assert shuffled == in_order
