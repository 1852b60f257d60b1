"""The shipped activation_journey lifecycle: a good first experience, the customer's own rhythm, and ways back."""

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
    refunded,
    shipped,
    solved,
    until,
    way,
)
from tests.unit.stage_engine.timeline import D, play, table

LIFECYCLE = "activation_journey"
RULES = shipped(LIFECYCLE)

NEW = "acquisition"
CONTENT = f"{NEW} said_it_was_good:activation"
FIRST_WEEKS = [*bought(0), answered(2, "csat", 4)]
RETAINED = f"{CONTENT} stays:retention"
BOUGHT_TWICE = [*FIRST_WEEKS, *bought(20)]
"""Twenty days apart, so silence is long after forty."""
AT_RISK = f"{RETAINED} slower_than_usual:at_risk"
WAYS = {
    "acquisition": Way(bought(0), NEW, 1),
    "activation": Way(FIRST_WEEKS, CONTENT, 3),
    "retention": Way(BOUGHT_TWICE, RETAINED, 21),
    "at_risk": Way([*BOUGHT_TWICE, until(60)], AT_RISK, 61),
    "reactivation": Way([*BOUGHT_TWICE, *bought(70)], f"{AT_RISK} came_back:reactivation", 71),
}

STORIES: Stories = {
    "the first order is not yet activation": ([happens(0, "signup"), *bought(1)], NEW),
    # A good first experience
    "the customer says that it was good": (FIRST_WEEKS, CONTENT),
    "or easy": ([*bought(0), answered(2, "ces", 6)], CONTENT),
    "or worth recommending": ([*bought(0), answered(2, "nps", 9)], CONTENT),
    "neither good nor bad": ([*bought(0), answered(2, "csat", 3)], NEW),
    "neither easy nor hard": ([*bought(0), answered(2, "ces", 5)], NEW),
    "perhaps worth recommending": ([*bought(0), answered(2, "nps", 8)], NEW),
    "good, but for a complaint that is open": ([*bought(0), complained(1), answered(2, "csat", 5)], NEW),
    "an answer from before the order speaks of something else": ([answered(0, "csat", 5), *bought(1)], NEW),
    "two weeks without trouble": ([*bought(0), until(14)], f"{NEW} nothing_went_wrong:activation"),
    "a day less": ([*bought(0), until(13)], NEW),
    "with a complaint they say nothing": ([*bought(0), complained(1), solved(2), until(20)], NEW),
    "with a refund neither": ([*bought(0), refunded(1, "5.00"), until(20)], NEW),
    "a bad start made good": (
        [*bought(0), complained(1), solved(2, satisfied=True)],
        f"{NEW} bad_start_made_good:activation",
    ),
    "a complaint from before the order": ([complained(0), solved(1, satisfied=True), *bought(2)], NEW),
    "one of two": ([complained(0), complained(1, "l"), *bought(2), solved(3, satisfied=True)], NEW),
    "solved, but not to their satisfaction": ([*bought(0), complained(1), solved(2, satisfied=False)], NEW),
    "who orders again at once has said enough": (
        bought(0, 3),
        f"{NEW} ordered_again_at_once:activation stays:retention",
    ),
    "but not who complains meanwhile": ([*bought(0), complained(1), *bought(3)], NEW),
    # Retention
    "an activated customer who buys again": (BOUGHT_TWICE, RETAINED),
    "not while a complaint is open": ([*FIRST_WEEKS, complained(10), *bought(20)], CONTENT),
    "from when it is solved": ([*FIRST_WEEKS, complained(10), *bought(20), solved(21)], RETAINED),
    # Risk
    "twice the usual gap": ([*BOUGHT_TWICE, until(60)], AT_RISK),
    "a day less than that": ([*BOUGHT_TWICE, until(59)], RETAINED),
    "who buys every day is missed after thirty": (
        [*bought(0, 1, 2), until(32)],
        f"{NEW} ordered_again_at_once:activation stays:retention slower_than_usual:at_risk",
    ),
    "and no day before": ([*bought(0, 1, 2), until(31)], f"{NEW} ordered_again_at_once:activation stays:retention"),
    "who buys twice a year is missed after one hundred and twenty": (
        [*FIRST_WEEKS, *bought(80), until(200)],
        AT_RISK,
    ),
    "and no day before that": ([*FIRST_WEEKS, *bought(80), until(199)], RETAINED),
    "who complains, buys again and goes quiet before it is solved": (
        [*FIRST_WEEKS, complained(10), *bought(20), until(60)],
        f"{CONTENT} slower_than_usual:at_risk",
    ),
    "a second order may take a quarter": ([*FIRST_WEEKS, until(89)], CONTENT),
    "no second order": ([*FIRST_WEEKS, until(90)], f"{CONTENT} no_second_order:at_risk"),
    "no second order after a bad start": ([*bought(0), complained(1), until(90)], f"{NEW} no_second_order:at_risk"),
    **from_each(
        "a serious complaint",
        "acquisition activation reactivation retention",
        WAYS,
        lambda day: complained(day, severity="high"),
        "serious_complaint:at_risk",
    ),
    "a mild one": ([*BOUGHT_TWICE, complained(21, severity="low")], RETAINED),
    "two mild ones": (
        [*BOUGHT_TWICE, complained(21), complained(22, "l")],
        f"{RETAINED} serious_complaint:at_risk",
    ),
    **from_each(
        "a bad word",
        "acquisition activation reactivation retention",
        WAYS,
        lambda day: answered(day, "nps", 6),
        "detractor:at_risk",
    ),
    "a lukewarm word": ([*BOUGHT_TWICE, answered(21, "nps", 7)], RETAINED),
    "who has never bought is no customer to lose": (
        [complained(0, severity="high"), answered(1, "nps", 0), until(400)],
        NEW,
    ),
    # Churn
    "half a year without an order": ([*BOUGHT_TWICE, until(200)], f"{AT_RISK} lost:churn"),
    "a day less is still a risk": ([*BOUGHT_TWICE, until(199)], AT_RISK),
    **from_each(
        "the cancellation",
        "acquisition activation reactivation retention at_risk",
        WAYS,
        lambda day: happens(day, "subscription_cancelled"),
        "cancelled:churn",
    ),
    # Reactivation
    "back from risk": ([*BOUGHT_TWICE, *bought(70)], f"{AT_RISK} came_back:reactivation"),
    "back from churn": ([*BOUGHT_TWICE, *bought(300)], f"{AT_RISK} lost:churn came_back:reactivation"),
    "reassured": (
        [*BOUGHT_TWICE, complained(21, severity="high"), solved(22, satisfied=True)],
        f"{RETAINED} serious_complaint:at_risk reassured:reactivation",
    ),
    "not reassured": (
        [*BOUGHT_TWICE, complained(21, severity="high"), solved(22, satisfied=False)],
        f"{RETAINED} serious_complaint:at_risk",
    ),
    "not by one of two": (
        [*BOUGHT_TWICE, complained(21), complained(22, "l"), solved(23, satisfied=True)],
        f"{RETAINED} serious_complaint:at_risk",
    ),
    "one order more is retention again": (
        [*BOUGHT_TWICE, *bought(70, 80)],
        f"{AT_RISK} came_back:reactivation stays_again:retention",
    ),
    "quiet again": (
        [*BOUGHT_TWICE, *bought(70), until(130)],
        f"{AT_RISK} came_back:reactivation quiet_again:at_risk",
    ),
    "a day less than that is not quiet": (
        [*BOUGHT_TWICE, *bought(70), until(129)],
        f"{AT_RISK} came_back:reactivation",
    ),
    "reassured after long silence, and still not buying": (
        [*BOUGHT_TWICE, until(100), complained(101), solved(102, satisfied=True), until(162)],
        f"{AT_RISK} reassured:reactivation quiet_again:at_risk",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert way(RULES, LIFECYCLE, steps) == expected


def test_silence_is_measured_by_the_customers_own_rhythm_and_says_so() -> None:
    played = play(RULES, *BOUGHT_TWICE, until(400))
    assert played.table[-2:] == table(f"""
        {60 * D} {LIFECYCLE} retention at_risk slower_than_usual 1 4 4 s due:{60 * D}
        {200 * D} {LIFECYCLE} at_risk churn lost 1 5 5 s due:{200 * D}""")
    assert dict(played.changes[-2].facts) == {
        "last_purchase_at": 20 * D * 60_000,
        "usual_interval": 20 * D * 60_000,
    }


def test_every_order_moves_the_end_of_the_silence_and_its_length() -> None:
    # Gaps of 20 and 60 days: 40 on average, so 80 days from day 80.
    played = play(RULES, *BOUGHT_TWICE, *bought(59.9), until(400))
    due = round(59.9 * D) + 2 * (round(59.9 * D) // 2)
    assert f"{due} {LIFECYCLE} retention at_risk slower_than_usual" in played.table[-2]
