"""What a fact of a lifecycle's own takes and what it passes over, where it ends, and how much room it needs."""

from __future__ import annotations

from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.stage_engine.domain import aggregation
from services.stage_engine.domain.state import decode_state, encode_state
from tests.unit.stage_engine.declaring import declaring, own_facts, together
from tests.unit.stage_engine.test_own_facts import fact, gift, paid, steps
from tests.unit.stage_engine.timeline import D, Step, live, nps, play, purchase, table

OTHER_TYPES: dict[str, tuple[str, list[Any], Any]] = {
    "int": ("sum: it, of: gift, type: int", ["3", 3.0, 2.5, True, None, [1], {"a": 1}, 1 << 60, 4], 4),
    "number": ("sum: it, of: gift, type: number", ["3", True, None, [1], {}, 1.5, 2], 3.5),
    "text": ("last: it, of: gift, type: text", ["yes", 3, 2.5, False, None, ["no"], {}], "yes"),
    "money": (
        "sum: it, of: gift, type: money",
        ["much", "", "1.234", "NaN", "Infinity", True, None, [1], {}, "1e30", "2.50", 3],
        550,
    ),
}


@pytest.mark.parametrize("type_", OTHER_TYPES)
def test_values_of_another_type_are_passed_over(type_: str) -> None:
    content, values, expected = OTHER_TYPES[type_]
    assert fact(content, *steps(*(gift(number, it=value) for number, value in enumerate(values)))) == expected


def test_an_event_with_a_number_that_nothing_can_hold_is_applied_without_it() -> None:
    by = together(declaring({"it": "sum: weight, of: gift, type: number"}, "a b", "id: up, from: a, to: b, on: gift"))
    played = play(by, live(0, "signup"), live(1, "gift", weight=10**400), live(2, "gift", weight=2.0))
    assert played.table[1:] == table("1 l a b up 1 2 2 s e2")
    assert own_facts(by, played) == {"it": 2.0}


@pytest.mark.parametrize("content", ["sum: weight", "average: weight", "max: weight"])
@pytest.mark.parametrize("within", ["", ", within: 2d"])
def test_numbers_too_large_to_add_up_leave_a_state_that_can_be_stored_and_used(content: str, within: str) -> None:
    text = declaring(
        {"it": f"{content}, of: gift, type: number{within}"}, "a b", 'id: up, from: a, to: b, when: "facts.it < 0.0"'
    )
    by = together(text)
    state = play(by, live(0, "gift", weight=1e308), live(1, "gift", weight=1e308)).state
    again = decode_state(encode_state(state))
    assert again == state
    assert play(by, live(2, "gift", weight=1.0), live(9 * D, "gift", weight=1.0), state=again).errors == []


def test_whole_numbers_too_large_to_add_up_leave_a_state_that_can_be_stored() -> None:
    by = together(declaring({"it": "sum: points, of: gift, type: int"}, "a"))
    state = play(by, *(live(number, "gift", points=(1 << 53) - 1) for number in range(2_100))).state
    assert decode_state(encode_state(state)) == state


def test_what_was_sold_at_a_loss_reduces_the_margin() -> None:
    sold = [
        live(n, "purchase", order_id=f"o{n}", amount="10", currency="BRL", margin=m)
        for n, m in enumerate(("3.00", "-5.00"))
    ]
    assert fact("sum: margin, of: purchase", *sold) == -200


class TestMoney:
    def test_an_amount_in_another_currency_than_the_tenants_is_passed_over(self) -> None:
        happened = steps(paid(1, "10.00"), paid(2, "99.00", "USD"), paid(3, "5"))
        assert fact("sum: amount, of: purchase", *happened) == 1500
        assert fact("average: amount, of: purchase", *happened) == 750
        assert fact("max: amount, of: purchase", *happened) == 1000
        assert fact("distinct: amount, of: purchase", *happened) == 2
        assert fact("count: purchase", *happened) == 3

    def test_of_two_tenants_each_has_its_own(self) -> None:
        happened = steps(paid(1, "10.00"), paid(2, "99", "JPY"))
        assert fact("sum: amount, of: purchase", *happened, currency="JPY") == 99
        assert fact("sum: amount, of: purchase", *happened, currency="BRL") == 1000

    @pytest.mark.parametrize(
        ("currency", "amount", "minor"), [("BRL", "1.20", 120), ("JPY", "120", 120), ("BHD", "1.234", 1234)]
    )
    def test_it_is_kept_in_minor_units_and_read_in_major_ones(self, currency: str, amount: str, minor: int) -> None:
        edge = f'id: up, from: a, to: b, when: "facts.spent == {float(amount)}"'
        by = together(declaring({"spent": "sum: amount, of: purchase"}, "a b", edge), currency=currency)
        played = play(by, purchase(1, amount=amount, currency=currency))
        assert dict(played.changes[-1].facts) == {"spent": minor}

    def test_arithmetic_reads_it_in_major_units(self) -> None:
        by = together(
            declaring({"spent": "sum: amount, of: purchase", "it": 'expr: "facts.spent / 2.0 + facts.revenue"'}, "a")
        )
        assert own_facts(by, play(by, purchase(1, amount="5.00")))["it"] == 7.5


class TestTexts:
    def test_they_count_with_their_first_200_characters(self) -> None:
        assert fact("last: word, of: gift, type: text", *steps(gift(1, word="é" * 250))) == "é" * 200
        happened = steps(gift(1, word="a" * 200 + "b"), gift(2, word="a" * 200 + "c"), gift(3, word="a" * 199))
        assert fact("distinct: word, of: gift, type: text", *happened) == 2


class TestDistinct:
    @pytest.mark.parametrize(("different", "counted"), [(999, 999), (1_000, 1_000), (1_001, 1_000), (1_500, 1_000)])
    def test_it_is_exact_to_a_thousand_and_stays_there(self, different: int, counted: int) -> None:
        happened = [live(number, "gift", points=number) for number in range(different)]
        assert fact("distinct: points, of: gift, type: int", *happened, *happened[:5]) == counted

    @pytest.mark.parametrize(("different", "told"), [(1_000, []), (1_001, ["it"])])
    def test_it_says_when_it_means_at_least(self, different: int, told: list[str]) -> None:
        by = together(declaring({"it": "distinct: points, of: gift, type: int"}, "a"))
        lived = play(by, *(live(number, "gift", points=number) for number in range(different))).state
        lifecycle = by.lifecycles[0]
        assert lifecycle.own.saturated(lived.lifecycles[lifecycle.name].tallies, different) == told

    def test_what_comes_again_after_saturation_changes_nothing(self) -> None:
        by = together(declaring({"it": "distinct: points, of: gift, type: int"}, "a"))
        full = play(by, *(live(number, "gift", points=number) for number in range(1_200))).state
        more = play(by, *(live(2_000 + number, "gift", points=5 * number) for number in range(600)), state=full)
        assert own_facts(by, more) == {"it": 1_000}
        assert len(encode_state(more.state)) < 1.05 * len(encode_state(full))

    def test_a_window_counts_a_value_of_several_days_once(self) -> None:
        happened = [live(day * D + number, "gift", points=number) for day in (1, 2) for number in range(600)]
        assert fact("distinct: points, of: gift, type: int, within: 2d", *happened) == 600

    def test_a_window_saturates_and_comes_down_again(self) -> None:
        happened = [
            live(day * D + number, "gift", points=1_000 * day + number) for day in (1, 2) for number in range(600)
        ]
        assert fact("distinct: points, of: gift, type: int, within: 2d", *happened) == 1_000
        assert fact("distinct: points, of: gift, type: int, within: 2d", *happened, live(3 * D, "signup")) == 600

    @given(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 9)), max_size=60),
        st.randoms(use_true_random=False),
    )
    def test_a_window_is_exact_whatever_comes_late_and_in_whatever_order(
        self, happened: list[tuple[int, int, int]], chance: Random
    ) -> None:
        """Against counting them all: days of arrival go on, events are up to five days late, six can be told apart."""
        text = declaring({"it": "distinct: points, of: gift, type: int, within: 4d"}, "a")
        steps_, counts, today = [live(0, "signup")], list[tuple[int, int]](), 10
        for onward, late, points in happened:
            today += onward
            counts.append((today - late, points))
            steps_.append(live(today * D, "gift", (today - late) * D, points=points))
        with patch.object(aggregation, "MOST_DISTINCT", 6):
            by = together(text)
            played = play(by, *steps_)
            (window,) = (each.tallies.get("it", []) for each in played.state.lifecycles.values())
            assert sum(len(partial) for _, partial in window) <= 7
            for later in range(6):
                counted = {points for day, points in counts if today + later - 4 < day}
                at_ms = (today + later) * D * 60_000
                own, tallies = by.lifecycles[0].own, {"it": window} if window else {}
                assert own.value("it", tallies, at_ms) == min(len(counted), 6)

    def test_a_window_of_a_year_with_many_values_a_day_stays_small(self) -> None:
        by = together(declaring({"it": "distinct: points, of: gift, type: int, within: 365d"}, "a"))
        happened = [live(day * D, "gift", points=100 * day + number) for day in range(60) for number in range(100)]
        played = play(by, *happened)
        assert own_facts(by, played) == {"it": 1_000}
        assert len(encode_state(played.state)) < 20_000


class TestSize:
    """What a customer takes in the database."""

    TEN = {  # noqa: RUF012  # never changed
        "orders_90d": "count: purchase, within: 90d",
        "spent_90d": "sum: amount, of: purchase, within: 90d",
        "average_30d": "average: amount, of: purchase, within: 30d",
        "usual_interval": "average_gap: purchase",
        "severe_90d": "count: complaint, where: \"event.severity == 'high'\", within: 90d",
        "visits_30d": "count: engagement, within: 30d",
        "last_channel": "last: channel, of: engagement",
        "first_visit": "first: time, of: engagement",
        "channels_7d": "distinct: channel, of: engagement, within: 7d",
        "best_score_60d": "max: score, of: survey_response, within: 60d",
    }

    def sizes(self, events: int, every: int) -> list[int]:
        by = together(declaring(self.TEN, "a b", 'id: never, from: a, to: b, when: "facts.orders_90d > 100000"'))
        random, state, found, minute = Random(7), play(by, live(0, "signup")).state, [], 0
        for number in range(1, events + 1):
            minute += random.randrange(200)
            state = play(by, _anything(random, minute), state=state).state
            if number % every == 0:
                found.append(len(encode_state(state)))
        return found

    def test_ten_facts_with_windows_of_up_to_ninety_days_stay_below_8_kb(self) -> None:
        sizes = self.sizes(5_000, 500)
        assert max(sizes) <= 8 * 1024
        assert sizes[-1] < 1.1 * sizes[4]


def _anything(random: Random, minute: int) -> Step:
    kind = random.choice(("purchase", "engagement", "complaint", "survey_response"))
    late = minute - random.choice((0, 0, 0, 60, 3 * D))
    if kind == "purchase":
        return purchase(minute, late, amount=f"{random.randrange(1, 2_000)}.{random.randrange(10, 100)}")
    if kind == "engagement":
        return live(minute, kind, late, channel=random.choice(("visit", "ad", "social", "support")))
    if kind == "complaint":
        return live(minute, kind, late, complaint_id=f"k{minute % 50}", severity=random.choice(("low", "high")))
    return nps(minute, random.randrange(11), late)
