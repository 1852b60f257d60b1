"""The shipped retention_journey lifecycle: from being aware of a shop to bringing it friends."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.stories import (
    Stories,
    Way,
    answered,
    bought,
    cart,
    complained,
    engaged,
    from_each,
    happens,
    shipped,
    solved,
    until,
    way,
)
from tests.unit.stage_engine.timeline import D, play, table

LIFECYCLE = "retention_journey"
RULES = shipped(LIFECYCLE)

CONVERTED = "awareness converted:conversion"
DELIGHTED = f"{CONVERTED} content:delight"
LIKED_IT = [*bought(0), answered(5, "csat", 4)]
RETAINED = f"{DELIGHTED} bought_again:retention"
LOYAL = f"{RETAINED} brought_a_friend:loyalty"
BROUGHT_A_FRIEND = [*LIKED_IT, *bought(20), happens(30, "referral")]
WAYS = {
    "conversion": Way(bought(0), CONVERTED, 40),
    "delight": Way(LIKED_IT, DELIGHTED, 40),
    "retention": Way([*LIKED_IT, *bought(20)], RETAINED, 40),
    "loyalty": Way(BROUGHT_A_FRIEND, LOYAL, 40),
}

STORIES: Stories = {
    # Awareness and engagement
    "an ad that was seen": (engaged("ad", 0), "awareness"),
    "ten of them, and e-mails opened": ([*engaged("ad", *range(10)), *engaged("email_open", 11, 12)], "awareness"),
    "a visit, a comment, an article": (
        [*engaged("visit", 0), *engaged("social", 1), *engaged("content", 2)],
        "awareness took_interest:engagement",
    ),
    "three clicks in e-mails": (engaged("email_click", 0, 1, 2), "awareness took_interest:engagement"),
    # 00:00 UTC of day 0 is local day -1: it counts until the end of local day 28, which is 03:00 UTC of day 29.
    "in thirty days": (engaged("visit", 0, 1, 29.1), "awareness took_interest:engagement"),
    "in a little more": (engaged("visit", 0, 1, 29.2), "awareness"),
    "in a month": ([*engaged("visit", 0), *engaged("email_click", 1), *engaged("visit", 40)], "awareness"),
    "an account": ([happens(0, "signup")], "awareness came_closer:engagement"),
    "a cart": ([cart(0, "a")], "awareness filled_a_cart:engagement"),
    "an empty cart": ([cart(0)], "awareness"),
    "sixty days without a sign": (
        [happens(0, "signup"), until(60)],
        "awareness came_closer:engagement forgot_us:awareness",
    ),
    "any sign keeps the interest alive": (
        [happens(0, "signup"), *engaged("email_open", 59), until(118)],
        "awareness came_closer:engagement",
    ),
    # Conversion and delight
    "an order": (bought(0), CONVERTED),
    "an order after all that": (
        [happens(0, "signup"), *bought(1)],
        "awareness came_closer:engagement converted:conversion",
    ),
    "content": (LIKED_IT, DELIGHTED),
    "with little effort": ([*bought(0), answered(5, "ces", 6)], DELIGHTED),
    "worth recommending": ([*bought(0), answered(5, "nps", 9)], DELIGHTED),
    "neither good nor bad": ([*bought(0), answered(5, "csat", 3)], CONVERTED),
    "with some effort": ([*bought(0), answered(5, "ces", 5)], CONVERTED),
    "not quite": ([*bought(0), answered(5, "nps", 8)], CONVERTED),
    "not with a complaint open": ([*bought(0), complained(1), answered(5, "csat", 5)], CONVERTED),
    "praise before the order is not about it": ([answered(0, "csat", 5), *bought(1)], CONVERTED),
    "helped within the hour": (
        [*bought(0), happens(1, "question_answered", waited_minutes=60)],
        f"{CONVERTED} helped_at_once:delight",
    ),
    "helped a little later": ([*bought(0), happens(1, "question_answered", waited_minutes=61)], CONVERTED),
    "a fault made good": (
        [*bought(0), complained(1), solved(2, satisfied=True)],
        f"{CONVERTED} made_good:delight",
    ),
    "a fault repaired": ([*bought(0), complained(1), solved(2)], CONVERTED),
    # Retention and loyalty
    "bought again": ([*LIKED_IT, *bought(20)], RETAINED),
    "without a word": (bought(0, 20), f"{CONVERTED} bought_again:retention"),
    **from_each(
        "a friend",
        "conversion delight retention",
        WAYS,
        lambda day: happens(day, "referral"),
        "brought_a_friend:loyalty",
    ),
    "a friend before it": ([happens(0, "referral"), *bought(1)], CONVERTED),
    "a friend in spite of a complaint": ([*bought(0), complained(1), happens(2, "referral")], CONVERTED),
    # Let down
    **from_each(
        "a serious complaint",
        "delight retention loyalty",
        WAYS,
        lambda day: complained(day, severity="high"),
        "serious_complaint:conversion",
    ),
    "a mild one": ([*LIKED_IT, complained(40)], DELIGHTED),
    "two mild ones": (
        [*LIKED_IT, complained(40), complained(41, "l")],
        f"{DELIGHTED} serious_complaint:conversion",
    ),
    **from_each(
        "a bad answer",
        "delight retention loyalty",
        WAYS,
        lambda day: answered(day, "nps", 6),
        "disappointed:conversion",
    ),
    "a lukewarm one": ([*LIKED_IT, answered(25, "nps", 7)], DELIGHTED),
    "of another kind": ([*LIKED_IT, answered(25, "csat", 2)], f"{DELIGHTED} disappointed:conversion"),
    "a middling one of that kind": ([*LIKED_IT, answered(25, "csat", 3)], DELIGHTED),
    "delighted again": (
        [*LIKED_IT, complained(40, severity="high"), solved(41, satisfied=True)],
        f"{DELIGHTED} serious_complaint:conversion made_good:delight",
    ),
    # Lapsed
    "a day less than half a year": ([*LIKED_IT, until(179)], DELIGHTED),
    "half a year after the second order": (
        [*LIKED_IT, *bought(20), *engaged("visit", 199), until(200)],
        f"{RETAINED} lapsed:engagement",
    ),
    "half a year without an order": (
        [*LIKED_IT, *engaged("visit", 170), until(180)],
        f"{DELIGHTED} lapsed:engagement",
    ),
    "half a year without anything": ([*LIKED_IT, until(180)], f"{DELIGHTED} lapsed:engagement forgot_us:awareness"),
    "friends do not replace orders": (
        [*BROUGHT_A_FRIEND, *engaged("visit", 190), until(200)],
        f"{LOYAL} lapsed:engagement",
    ),
    "back": (
        [*bought(0, 200, 210)],
        f"{CONVERTED} lapsed:engagement forgot_us:awareness converted:conversion bought_again:retention",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert way(RULES, LIFECYCLE, steps) == expected


def test_who_lapsed_in_silence_passes_engagement_at_the_same_moment() -> None:
    played = play(RULES, *bought(0), until(180))
    assert played.table[-2:] == table(f"""
        {180 * D} {LIFECYCLE} conversion engagement lapsed 1 3 2 . due:{180 * D}
        {180 * D} {LIFECYCLE} engagement awareness forgot_us 2 4 2 s due:{180 * D}""")
