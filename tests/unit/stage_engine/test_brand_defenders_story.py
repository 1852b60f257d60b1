"""The shipped brand_defenders lifecycle: loyalty is a friend brought, an NPS of nine, and purchases that go on."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.stories import (
    Stories,
    Way,
    answered,
    bought,
    complained,
    from_each,
    happens,
    shipped,
    solved,
    until,
    way,
)
from tests.unit.stage_engine.timeline import D, play, table

LIFECYCLE = "brand_defenders"
RULES = shipped(LIFECYCLE)

ACQUIRED = "attraction won_by_an_order:acquisition"
RETAINED = f"{ACQUIRED} bought_again:retention"
LOYAL = f"{RETAINED} defends_the_brand:loyalty"
FRIEND = happens(11, "referral")
DEFENDS = [*bought(0, 10), FRIEND, answered(12, "nps", 9)]
WAYS = {
    "acquisition": Way(bought(0), ACQUIRED, 20),
    "retention": Way(bought(0, 10), RETAINED, 20),
    "loyalty": Way(DEFENDS, LOYAL, 20),
}

STORIES: Stories = {
    "an account alone wins nobody": ([happens(0, "signup")], "attraction"),
    "an order does": (bought(0), ACQUIRED),
    "the second one keeps": (bought(0, 10), RETAINED),
    # Loyalty: all three signs
    "deed, word and money": (DEFENDS, LOYAL),
    "in any order": ([answered(0, "nps", 10), happens(1, "referral"), *bought(2, 3)], LOYAL),
    "buying often is not yet loyalty": (bought(0, 1, 2, 3, 4, 5, 6, 7, 8), RETAINED),
    "without a friend": ([*bought(0, 10), answered(12, "nps", 10)], RETAINED),
    "without a word": ([*bought(0, 10), FRIEND], RETAINED),
    "with a word that is no praise": ([*bought(0, 10), FRIEND, answered(12, "nps", 8)], RETAINED),
    "with one order in half a year": (
        [*bought(0, 10), happens(184, "referral"), answered(185, "nps", 9)],
        RETAINED,
    ),
    "with one order": ([*bought(0), FRIEND, answered(12, "nps", 9)], ACQUIRED),
    "not with a complaint open": ([*bought(0, 10), complained(10.5), FRIEND, answered(12, "nps", 9)], RETAINED),
    "until it is solved": ([*bought(0, 10), complained(10.5), FRIEND, answered(12, "nps", 9), solved(13)], LOYAL),
    # It ends with any of its signs
    "who would no longer recommend": ([*DEFENDS, answered(20, "nps", 8)], f"{LOYAL} stopped_recommending:retention"),
    "and changes their mind again": (
        [*DEFENDS, answered(20, "nps", 8), answered(30, "nps", 9)],
        f"{LOYAL} stopped_recommending:retention defends_the_brand:loyalty",
    ),
    "a little less praise is still praise": ([*DEFENDS, answered(20, "nps", 10), answered(21, "nps", 9)], LOYAL),
    "two orders in half a year are enough": ([*DEFENDS, *bought(20), until(180)], LOYAL),
    "who buys too rarely": ([*DEFENDS, until(180)], f"{LOYAL} buys_too_rarely:retention"),
    "a serious complaint": (
        [*DEFENDS, complained(20, severity="high")],
        f"{LOYAL} seriously_let_down:retention",
    ),
    "two mild ones": (
        [*DEFENDS, complained(20), complained(21, "l")],
        f"{LOYAL} seriously_let_down:retention",
    ),
    "one mild one does not": ([*DEFENDS, complained(20)], LOYAL),
    "what was solved is forgiven": (
        [*DEFENDS, complained(20, severity="high"), solved(21)],
        f"{LOYAL} seriously_let_down:retention defends_the_brand:loyalty",
    ),
    # Lost, and won anew
    "half a year without an order": ([*bought(0), until(180)], f"{ACQUIRED} lapsed:attraction"),
    "a day less": ([*bought(0), until(179)], ACQUIRED),
    "of a retained customer": ([*bought(0, 10), until(190)], f"{RETAINED} lapsed:attraction"),
    "the loyal lapse by way of retention": (
        [*DEFENDS, until(190)],
        f"{LOYAL} buys_too_rarely:retention lapsed:attraction",
    ),
    "a lapsed customer is won, then kept, like a new one": (
        bought(0, 200, 210),
        f"{ACQUIRED} lapsed:attraction won_by_an_order:acquisition bought_again:retention",
    ),
    **from_each(
        "the cancellation",
        "acquisition retention loyalty",
        WAYS,
        lambda day: happens(day, "subscription_cancelled"),
        "cancelled:attraction",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert way(RULES, LIFECYCLE, steps) == expected


def test_loyalty_says_which_signs_it_rests_on_and_which_one_went() -> None:
    played = play(RULES, *DEFENDS, until(190))
    assert dict(played.changes[3].facts) == {"nps": 9, "open_complaints": 0, "orders_180d": 2, "referrals": 1}
    # The order of 00:00 UTC of day 0 is one of local day -1, and leaves a window of 180 days at midnight of day 179.
    midnight = 179 * D + 180
    assert played.table[4:] == table(f"""
        {midnight} {LIFECYCLE} loyalty retention buys_too_rarely 2 5 5 s due:{midnight}
        {190 * D} {LIFECYCLE} retention attraction lapsed 2 6 6 s due:{190 * D}""")
    assert dict(played.changes[4].facts) == {"orders_180d": 1}
