"""What windows and arithmetic leave behind: the wake-up that is armed, what a change carries, errors."""

from __future__ import annotations

import pytest

from shared.contracts.times import MINUTE_MS
from tests.unit.stage_engine.declaring import declaring, together
from tests.unit.stage_engine.timeline import D, Step, live, nps, play, purchase, table, tick

ORDERS_2D = {"orders_2d": "count: purchase, within: 2d"}
BOUGHT = "id: bought, from: a, to: b, on: purchase"
QUIET = 'id: quiet, from: b, to: c, when: "facts.orders_2d == 0"'
TWO_DAYS = declaring(ORDERS_2D, "a b c", BOUGHT, QUIET)
SHARE = {**ORDERS_2D, "share": 'expr: "12 / facts.orders_2d"'}


class TestWhatIsArmed:
    """The wake-up that waits, in minutes, or none."""

    def wake(self, text: str, *steps: Step) -> int | None:
        due = play(together(text), *steps).state.lifecycles["l"].wake_ms
        return None if due is None else due // MINUTE_MS

    def test_the_midnight_of_the_earliest_day_that_counts(self) -> None:
        assert self.wake(TWO_DAYS, purchase(600), purchase(D + 1)) == 2 * D

    def test_the_next_one_when_that_has_changed_nothing(self) -> None:
        assert self.wake(TWO_DAYS, purchase(600), purchase(D + 1), tick(2 * D + 5)) == 3 * D

    def test_nothing_while_the_window_is_empty(self) -> None:
        asked = declaring(ORDERS_2D, "a b", 'id: up, from: a, to: b, when: "facts.orders_2d >= 1"')
        assert self.wake(asked, live(600, "referral")) is None

    def test_nothing_where_no_edge_out_of_the_stage_reads_the_window(self) -> None:
        assert self.wake(TWO_DAYS, live(600, "referral")) is None
        bought_before = declaring(ORDERS_2D, "a b c", QUIET, "id: asked, from: a, to: b, on: survey_response")
        assert self.wake(bought_before, purchase(600)) is None
        assert self.wake(bought_before, purchase(600), nps(700, 5)) == 2 * D

    def test_nothing_for_an_edge_with_on(self) -> None:
        asked = 'id: asked, from: a, to: b, on: survey_response, when: "facts.orders_2d == 0"'
        assert self.wake(declaring(ORDERS_2D, "a b", asked), purchase(600)) is None

    def test_nothing_after_the_last_day_has_left(self) -> None:
        assert self.wake(TWO_DAYS, purchase(600), tick(9 * D)) is None

    def test_only_midnights_after_the_clock(self) -> None:
        unread = declaring(ORDERS_2D, "a b", 'id: up, from: a, to: b, when: "facts.orders_2d >= 3"')
        assert self.wake(unread, purchase(600), purchase(D + 1), live(2 * D + 1, "referral")) == 3 * D

    def test_the_midnight_of_a_fact_that_arithmetic_reads_or_that_is_only_asked_for(self) -> None:
        value = {**ORDERS_2D, "twice": 'expr: "2 * facts.orders_2d"'}
        assert (
            self.wake(declaring(value, "a b", 'id: up, from: a, to: b, when: "facts.twice > 9"'), purchase(1)) == 2 * D
        )
        best = {"best": "max: amount, of: purchase, within: 3d"}
        assert self.wake(declaring(best, "a b", 'id: up, from: a, to: b, when: "!known.best"'), purchase(1)) == 3 * D


class TestArithmeticThatFails:
    """A division by zero is an evaluation error; what reads it does not hold."""

    def test_it_does_not_hold_and_the_next_edge_is_tried(self) -> None:
        edges = (
            'id: less, from: a, to: b, when: "facts.share < 99"',
            'id: other, from: a, to: c, when: "facts.orders == 0"',
        )
        played = play(together(declaring(SHARE, "a b c", *edges)), live(3, "signup"))
        assert played.table == table("""3 l - a - 1 1 1 . e1
                                        3 l a c other 1 2 1 s e1""")
        (error,) = played.errors
        assert (error.lifecycle, error.transition, error.at_ms) == ("l", "less", 3 * MINUTE_MS)
        assert error.expression == "facts.share < 99"
        assert "zero" in error.detail
        assert "12 / facts.orders_2d" in error.detail

    def test_nor_does_its_negation(self) -> None:
        edge = 'id: no, from: a, to: b, when: "!(facts.share >= 4)"'
        assert len(play(together(declaring(SHARE, "a b", edge)), live(3, "signup")).table) == 1

    def test_a_day_that_leaves_makes_it_fail_once(self) -> None:
        edge = 'id: less, from: a, to: b, when: "facts.share < 4"'
        played = play(together(declaring(SHARE, "a b", edge)), purchase(600), tick(3 * D), tick(9 * D))
        assert [error.at_ms for error in played.errors] == [2 * D * MINUTE_MS]
        assert len(played.table) == 1

    def test_a_day_that_comes_makes_it_right_again(self) -> None:
        edge = 'id: more, from: a, to: b, when: "facts.share >= 12"'
        played = play(together(declaring(SHARE, "a b", edge)), live(3, "signup"), purchase(600))
        assert played.table[1:] == table("600 l a b more 1 2 2 s e2")
        assert dict(played.changes[1].facts) == {"share": 12}

    @pytest.mark.parametrize("first", [purchase(3, amount="5.00"), live(3, "signup")], ids=["infinite", "nothing"])
    def test_a_decimal_divided_by_zero_is_no_number_either(self, first: Step) -> None:
        value = {"value": 'expr: "facts.revenue / double(facts.referrals)"'}
        edge = 'id: any, from: a, to: b, when: "facts.value >= 0.0 || !(facts.value >= 0.0)"'
        played = play(together(declaring(value, "a b", edge)), first, live(4, "referral"))
        assert played.table[1:] == table("4 l a b any 1 2 2 s e2")
        assert [error.at_ms for error in played.errors] == [3 * MINUTE_MS]


def test_a_change_carries_own_facts_and_stages_that_its_condition_and_its_wait_name() -> None:
    shop = declaring({}, "x y", "id: go, from: x, to: y, on: purchase", name="shop")
    said = {
        **ORDERS_2D,
        "gap": "average_gap: purchase",
        "seen": "last: time, of: engagement",
        "unread": "count: signup",
        "twice": 'expr: "2 * facts.orders_2d"',
    }
    edge = """id: w, from: a, to: b, after: {fact: gap, times: 1.5}, since: facts.seen,
              when: "stages.shop == 'y' && facts.twice >= 4 && !known.orders_2d == false" """
    by = together(shop.replace("facts:\n", ""), declaring(said, "a b", edge))
    played = play(by, purchase(10), live(20, "engagement"), purchase(30), tick(D))
    assert played.table[-1:] == table("50 l a b w 1 4 4 s due:50")
    assert dict(played.changes[-1].facts) == {
        "orders_2d": 2,
        "twice": 4,
        "gap": 20 * MINUTE_MS,
        "seen": 20 * MINUTE_MS,
        "stages.shop": "y",
    }


def test_a_window_is_carried_as_it_was_when_the_edge_was_taken() -> None:
    played = play(together(TWO_DAYS), purchase(600), tick(9 * D))
    assert dict(played.changes[-1].facts) == {"orders_2d": 0}
