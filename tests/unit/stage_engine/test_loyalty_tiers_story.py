"""The shipped loyalty_tiers lifecycle: tiers by what was spent within 365 days, lost as that grows old."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.stories import Stories, Way, bought, from_each, happens, refunded, shipped, until, way
from tests.unit.stage_engine.timeline import D, Step, live, play, table

LIFECYCLE = "loyalty_tiers"
RULES = shipped(LIFECYCLE)


def spent(day: float, amount: str) -> Step:
    return bought(day, amount=amount)[0]


SIGNUP = happens(0, "signup")
MEMBER = "guest joined:member"
SILVER = f"{MEMBER} reached_silver:silver"
GOLD = f"{MEMBER} reached_gold:gold"

STORIES: Stories = {
    "who has no account takes no part": ([spent(0, "9000.00")], "guest"),
    "an account is a membership": ([SIGNUP], MEMBER),
    "so is joining at the till": ([happens(0, "membership_joined", programme="club")], MEMBER),
    "what was spent before counts": ([spent(0, "9000.00"), happens(1, "signup")], GOLD),
    # Up
    "a thousand is silver": ([SIGNUP, spent(1, "400.00"), spent(2, "600.00")], SILVER),
    "a cent less is not": ([SIGNUP, spent(1, "400.00"), spent(2, "599.99")], MEMBER),
    "five thousand is gold": (
        [SIGNUP, spent(1, "1000.00"), spent(2, "4000.00")],
        f"{SILVER} reached_gold:gold",
    ),
    "a cent less is silver": ([SIGNUP, spent(1, "1000.00"), spent(2, "3999.99")], SILVER),
    "one large order passes silver by": ([SIGNUP, spent(1, "5000.00")], GOLD),
    "a year counts, not a life": ([SIGNUP, spent(1, "600.00"), spent(367, "600.00")], MEMBER),
    "another currency has no value here": (
        [SIGNUP, live(D, "purchase", order_id="o", amount="9000.00", currency="EUR")],
        MEMBER,
    ),
    # Down
    "silver for a year": ([SIGNUP, spent(1, "1000.00"), until(365)], SILVER),
    "and no longer": ([SIGNUP, spent(1, "1000.00"), until(366)], f"{SILVER} lost_silver:member"),
    "an order in between keeps it": (
        [SIGNUP, spent(1, "1000.00"), spent(200, "1000.00"), until(400)],
        SILVER,
    ),
    "gold falls to silver by what is left": (
        [SIGNUP, spent(1, "4000.00"), spent(100, "1000.00"), until(366)],
        f"{SILVER} reached_gold:gold lost_gold:silver",
    ),
    "or through it": ([SIGNUP, spent(1, "5000.00"), until(366)], f"{GOLD} lost_gold:silver lost_silver:member"),
    "what is given back was not spent": (
        [SIGNUP, spent(1, "1000.00"), refunded(2, "0.01")],
        f"{SILVER} lost_silver:member",
    ),
    "not even a cent of it": ([SIGNUP, spent(1, "5000.00"), refunded(2, "0.01")], f"{GOLD} lost_gold:silver"),
    "what was given back more than a year ago is forgotten too": (
        [SIGNUP, refunded(1, "10.00"), spent(300, "1000.00"), until(366)],
        SILVER,
    ),
    "but not before": ([SIGNUP, refunded(1, "10.00"), spent(300, "1000.00"), until(365)], MEMBER),
    # Out, and in again
    **from_each(
        "the leaving",
        "member silver gold",
        {
            "member": Way([SIGNUP], MEMBER, 2),
            "silver": Way([SIGNUP, spent(1, "1000.00")], SILVER, 2),
            "gold": Way([SIGNUP, spent(1, "5000.00")], GOLD, 2),
        },
        lambda day: happens(day, "membership_left"),
        "left:guest",
    ),
    "and comes back is where the money says": (
        [SIGNUP, spent(1, "5000.00"), happens(2, "membership_left"), happens(3, "membership_joined")],
        f"{GOLD} left:guest joined:member reached_gold:gold",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert way(RULES, LIFECYCLE, steps) == expected


def test_a_tier_is_lost_at_midnight_in_sao_paulo_a_year_after_the_order() -> None:
    # 00:00 UTC of day 1 is 21:00 of local day 0; the order counts on that day and 364 more.
    midnight = 365 * D + 180
    played = play(RULES, SIGNUP, spent(1, "5000.00"), until(400))
    assert played.table[-2:] == table(f"""
        {midnight} {LIFECYCLE} gold silver lost_gold 1 4 3 . due:{midnight}
        {midnight} {LIFECYCLE} silver member lost_silver 2 5 3 s due:{midnight}""")
    assert [dict(change.facts) for change in played.changes[-2:]] == [{"net_spend_365d": 0.0}] * 2


def test_it_runs_beside_the_shop_without_touching_it() -> None:
    beside = shipped("ecommerce", LIFECYCLE)
    steps = [SIGNUP, spent(1, "1000.00"), spent(2, "4000.00"), until(70)]
    assert way(beside, LIFECYCLE, steps) == way(RULES, LIFECYCLE, steps)
    assert way(beside, "ecommerce", steps) == way(shipped("ecommerce"), "ecommerce", steps)
