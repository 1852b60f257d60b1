"""The shipped product_life lifecycle: what a customer earns, and the signals that it will end. Amounts are in BRL."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.stories import (
    Stories,
    Way,
    answered,
    bought,
    complained,
    engaged,
    from_each,
    happens,
    refunded,
    shipped,
    solved,
    until,
    way,
)
from tests.unit.stage_engine.timeline import D, Step, play, table

LIFECYCLE = "product_life"
RULES = shipped(LIFECYCLE)


def sold(*days: float, margin: str = "30.00", amount: str = "100.00") -> list[Step]:
    return bought(*days, amount=amount, margin=margin)


def kinds(day: float, *categories: str) -> list[Step]:
    return [happens(day, "product_bought", order_id="o", category=category) for category in categories]


GROWTH = "introduction paid_back:growth"
MATURITY = f"{GROWTH} earns_most:maturity"
EARNS = [*sold(0, 10, 20, margin="100.00"), *kinds(20, "books", "toys", "tea")]
"""300.00 by three orders, ten days apart, in three categories."""
DECLINE = f"{GROWTH} slower_than_usual:decline"
WAYS = {
    "introduction": Way(bought(0), "introduction", 1),
    "growth": Way(sold(0), GROWTH, 1),
    "maturity": Way(EARNS, MATURITY, 21),
}

STORIES: Stories = {
    "who only costs": ([*engaged("ad", 0, cost="12.00"), *engaged("visit", 1)], "introduction"),
    # Introduction and growth
    "an order that pays for the advertising": ([*engaged("ad", 0, cost="12.00"), *sold(1)], GROWTH),
    "one that does not": ([*engaged("ad", 0, 1, 2, cost="12.00"), *sold(3)], "introduction"),
    "the second one does": ([*engaged("ad", 0, 1, 2, cost="12.00"), *sold(3, 4)], GROWTH),
    "support costs too": ([*sold(0), *engaged("support", 1, cost="40.00")], f"{GROWTH} costs_more_again:introduction"),
    "the smallest order earns": (sold(0, margin="0.01", amount="0.50"), GROWTH),
    "a gift does not": (sold(0, margin="0.00", amount="0.00"), "introduction"),
    "without a margin there is no profit": (bought(0, 1, 2), "introduction"),
    "what is given back takes its margin along": (
        [*sold(0), refunded(1, "100.00")],
        f"{GROWTH} costs_more_again:introduction",
    ),
    "half of it takes half": ([*sold(0), refunded(1, "50.00"), *engaged("support", 2, cost="14.00")], GROWTH),
    "and no more": (
        [*sold(0), refunded(1, "50.00"), *engaged("support", 2, cost="15.00")],
        f"{GROWTH} costs_more_again:introduction",
    ),
    # Maturity
    "much profit, often, on many kinds of products": (EARNS, MATURITY),
    "on few kinds": ([*sold(0, 10, 20, margin="100.00"), *kinds(20, "books", "toys", "toys")], GROWTH),
    "eight orders make up for that": (sold(0, 1, 2, 3, 4, 5, 6, 7, margin="40.00"), MATURITY),
    "seven do not": (sold(0, 1, 2, 3, 4, 5, 6, margin="50.00"), GROWTH),
    "two large orders are not often": ([*sold(0, 10, margin="200.00"), *kinds(10, "books", "toys", "tea")], GROWTH),
    "less profit than that": ([*sold(0, 10, 20, margin="99.00"), *kinds(20, "books", "toys", "tea")], GROWTH),
    "a cent less": (
        [*sold(0, 10, margin="100.00"), *sold(20, margin="99.99"), *kinds(20, "books", "toys", "tea")],
        GROWTH,
    ),
    # 00:00 UTC of day 0 is local day -1: it counts until the end of local day 178, which is 03:00 UTC of day 179.
    "three orders in half a year": (
        [*sold(0, 100, 179.1, margin="100.00"), *kinds(179.1, "books", "toys", "tea")],
        MATURITY,
    ),
    "in a little more": ([*sold(0, 100, 179.2, margin="100.00"), *kinds(179.2, "books", "toys", "tea")], GROWTH),
    "a mature customer may cost something": ([*EARNS, *engaged("support", 21, cost="100.00")], MATURITY),
    "but not too much": ([*EARNS, *engaged("support", 21, cost="100.01")], f"{MATURITY} earns_less:growth"),
    # Signals of decline
    "two and a half times the usual gap": ([*sold(0, 20), until(70)], DECLINE),
    "a day less": ([*sold(0, 20), until(69)], GROWTH),
    "three weeks at least": ([*sold(0, 1), until(21.9)], GROWTH),
    "of somebody who buys every day": ([*sold(0, 1), until(22)], DECLINE),
    "after one order half a year": ([*sold(0), until(180)], f"{GROWTH} stopped_buying:decline"),
    "half a year at most": ([*sold(0, 100), until(280)], DECLINE),
    "and a day less": ([*sold(0, 100), until(279)], GROWTH),
    "who never earned anything can be lost as well": (
        [*bought(0), until(180)],
        "introduction stopped_buying:decline",
    ),
    "two complaints in a quarter": (
        [*sold(0), complained(1), solved(2), complained(90.1, "l")],
        f"{GROWTH} complaints_pile_up:decline",
    ),
    "two in a little more": ([*sold(0), complained(1), solved(2), complained(90.2, "l")], GROWTH),
    **from_each(
        "a serious complaint",
        "introduction growth maturity",
        WAYS,
        lambda day: complained(day, severity="high"),
        "complaints_pile_up:decline",
    ),
    "of a stranger": ([complained(1, severity="high")], "introduction"),
    "an answer two points below the customer's own average": (
        [*sold(0), answered(1, "nps", 10), answered(2, "nps", 10), answered(3, "nps", 7)],
        f"{GROWTH} nps_falls:decline",
    ),
    "one point below": ([*sold(0), answered(1, "nps", 10), answered(2, "nps", 8)], GROWTH),
    "always the same": ([*sold(0), answered(1, "nps", 7), answered(2, "nps", 7)], GROWTH),
    **from_each(
        "a bad word",
        "introduction growth maturity",
        WAYS,
        lambda day: answered(day, "nps", 6),
        "nps_falls:decline",
    ),
    "a stranger's bad word": ([answered(0, "nps", 0)], "introduction"),
    "another kind of survey says nothing about it": (
        [*sold(0), answered(1, "nps", 3), *sold(10), answered(11, "csat", 1)],
        f"{GROWTH} nps_falls:decline bought_after_all:growth",
    ),
    "a mature customer declines like any other": (
        [*EARNS, until(45)],
        f"{MATURITY} slower_than_usual:decline",
    ),
    # Averted
    "bought after all": ([*sold(0, 20, 75)], f"{DECLINE} bought_after_all:growth"),
    "and mature again at once": (
        [*EARNS, *sold(50)],
        f"{MATURITY} slower_than_usual:decline bought_after_all:growth earns_most:maturity",
    ),
    "bought, and still at a loss": (
        [*sold(0, 20), *engaged("support", 21, cost="200.00"), *sold(90)],
        f"{GROWTH} costs_more_again:introduction slower_than_usual:decline bought_after_all:growth costs_more_again:introduction",
    ),
    "a complaint put right": (
        [*sold(0), complained(1, severity="high"), solved(2, satisfied=True)],
        f"{GROWTH} complaints_pile_up:decline put_right:growth",
    ),
    "solved, and not said to be right": (
        [*sold(0), complained(1, severity="high"), solved(2)],
        f"{GROWTH} complaints_pile_up:decline",
    ),
    "trust that returns": (
        [*sold(0), answered(1, "nps", 3), answered(30, "nps", 9)],
        f"{GROWTH} nps_falls:decline trusts_again:growth",
    ),
    "trust that almost returns": (
        [*sold(0), answered(1, "nps", 3), answered(30, "nps", 8)],
        f"{GROWTH} nps_falls:decline",
    ),
    "too late: the last order is more than half a year ago": (
        [*sold(0), until(180), answered(181, "nps", 9), complained(182), solved(183, satisfied=True)],
        f"{GROWTH} stopped_buying:decline",
    ),
    "kept by an answer, still mature, and still not buying": (
        [*EARNS, until(45), answered(50, "nps", 9), until(200)],
        f"{MATURITY} slower_than_usual:decline trusts_again:growth earns_most:maturity stopped_buying:decline",
    ),
    "kept by an answer, and still not buying": (
        [*sold(0, 20), until(70), answered(80, "nps", 9), until(200)],
        f"{DECLINE} trusts_again:growth stopped_buying:decline",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert way(RULES, LIFECYCLE, steps) == expected


def test_maturity_says_what_it_rests_on_and_decline_how_long_the_silence_was() -> None:
    played = play(RULES, *EARNS, until(45))
    assert dict(played.changes[2].facts) == {"categories": 3, "orders": 3, "orders_180d": 3, "profit": 300.0}
    # Ten days apart: 25 days after day 20.
    assert played.table[-1:] == table(f"{45 * D} {LIFECYCLE} maturity decline slower_than_usual 1 4 7 s due:{45 * D}")


def test_no_customer_causes_an_error_whatever_is_missing() -> None:
    steps = [happens(0, "signup"), *engaged("ad", 1), *bought(2), refunded(3, "10.00"), *kinds(4, "books")]
    assert play(RULES, *steps).errors == []
