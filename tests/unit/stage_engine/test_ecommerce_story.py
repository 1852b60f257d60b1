"""The shipped e-commerce lifecycle, told as stories. Times are minutes; a day is `D`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.stage_engine.stories import shipped
from tests.unit.stage_engine.timeline import D, Step, imported, live, nps, play, purchase, table, tick

RULES = shipped("ecommerce")

SIGNUP = live(0, "signup")
REFERRAL = live(40 * D, "referral")


def complaint(day: int, id_: str = "k", **data: Any) -> Step:
    return live(day * D, "complaint", complaint_id=id_, **data)


def settled(day: int, id_: str = "k", satisfied: bool | None = None) -> Step:
    if satisfied is None:
        return live(day * D, "complaint_resolved", complaint_id=id_)
    return live(day * D, "complaint_resolved", complaint_id=id_, satisfied=satisfied)


def bought(*days: int) -> list[Step]:
    return [purchase(day * D) for day in days]


def path(*steps: Step) -> str:
    """Stages in the order in which they were entered."""
    return " ".join(change.to for change in play(RULES, *steps).changes)


FIRST = "prospect first_time_customer"
REPEAT = f"{FIRST} repeat_customer"
LOYAL = f"{REPEAT} loyal"

STORIES: dict[str, tuple[list[Step], str]] = {
    "a visit makes a prospect": ([live(0, "engagement", channel="visit")], "prospect"),
    "who signs up is a lead": ([SIGNUP], "prospect lead"),
    "a purchase without an account skips the lead": (bought(0), FIRST),
    "the whole way up": (
        [SIGNUP, *bought(1, 10, 20, 30), REFERRAL],
        "prospect lead first_time_customer repeat_customer loyal advocate",
    ),
    "three orders are not yet loyal": (bought(1, 10, 20), REPEAT),
    "three orders and a nine are": ([*bought(1, 10, 20), nps(21 * D, 9)], LOYAL),
    "the nine may have come before": ([purchase(D), nps(2 * D, 9), *bought(10, 20)], LOYAL),
    "two orders and a nine are not": ([*bought(1, 10), nps(21 * D, 9)], REPEAT),
    "nor three with a complaint open": ([*bought(1, 10, 20), complaint(20), nps(21 * D, 9)], REPEAT),
    "an eight is not enough": ([*bought(1, 10, 20), nps(21 * D, 8)], REPEAT),
    "who complains is not made loyal until it is settled": (
        [*bought(1, 10), complaint(11), *bought(20, 30)],
        REPEAT,
    ),
    "settling lets the orders count": ([*bought(1, 10), complaint(11), *bought(20, 30), settled(31)], LOYAL),
    "a first customer who refers is an advocate": ([purchase(D), live(2 * D, "referral")], f"{FIRST} advocate"),
    "a lead who refers is still a lead": ([SIGNUP, live(D, "referral")], "prospect lead"),
    "who has a complaint open does not become an advocate": (
        [purchase(D), complaint(2), live(3 * D, "referral")],
        FIRST,
    ),
    # Silence
    "nothing before sixty days": ([purchase(0), tick(60 * D + 4)], FIRST),
    "at risk after sixty days": ([purchase(0), tick(60 * D + 5)], f"{FIRST} at_risk"),
    "visits do not break the silence": (
        [purchase(0), live(59 * D, "engagement", channel="visit"), tick(61 * D)],
        f"{FIRST} at_risk",
    ),
    "a purchase does": ([*bought(0, 59), tick(61 * D)], REPEAT),
    "not churned before one hundred and eighty": ([purchase(0), tick(180 * D + 4)], f"{FIRST} at_risk"),
    "churned after one hundred and eighty": ([purchase(0), tick(181 * D)], f"{FIRST} at_risk churned"),
    "advocates go quiet too": ([purchase(0), live(D, "referral"), tick(61 * D)], f"{FIRST} advocate at_risk"),
    "a lead never goes quiet": ([SIGNUP, tick(400 * D)], "prospect lead"),
    "won back from at risk": (bought(0, 70), f"{FIRST} at_risk won_back"),
    "won back from churned": (bought(0, 200), f"{FIRST} at_risk churned won_back"),
    "who was won back and keeps buying is a repeat customer": (
        bought(0, 70, 80),
        f"{FIRST} at_risk won_back repeat_customer",
    ),
    "and loyal at once, with orders enough": (
        bought(0, 10, 80, 90),
        f"{REPEAT} at_risk won_back repeat_customer loyal",
    ),
    "who was won back can go quiet again": (
        [*bought(0, 70), tick(131 * D)],
        f"{FIRST} at_risk won_back at_risk",
    ),
    "but not before sixty days": ([*bought(0, 70), tick(130 * D + 4)], f"{FIRST} at_risk won_back"),
    "who was won back by a settled complaint goes quiet, however old the last purchase is": (
        [purchase(0), tick(61 * D), complaint(70), settled(71, satisfied=True), tick(131 * D + 5)],
        f"{FIRST} at_risk won_back at_risk",
    ),
    "and is lost when that is older than half a year": (
        [purchase(0), tick(61 * D), complaint(150), settled(151, satisfied=True), tick(211 * D + 5)],
        f"{FIRST} at_risk won_back at_risk churned",
    ),
    # Dissatisfaction
    "one complaint alone is no risk": ([purchase(0), complaint(1)], FIRST),
    "a mild one neither": ([purchase(0), complaint(1, severity="low")], FIRST),
    "a serious one is": ([purchase(0), complaint(1, severity="high")], f"{FIRST} at_risk"),
    "two open ones are": ([purchase(0), complaint(1, "k"), complaint(2, "l")], f"{FIRST} at_risk"),
    "two of which one is settled are not": (
        [purchase(0), complaint(1, "k"), settled(2, "k"), complaint(3, "l")],
        FIRST,
    ),
    "the same complaint told twice is one": ([purchase(0), complaint(1, "k"), complaint(2, "k")], FIRST),
    "a prospect's complaint moves nobody": ([complaint(1, severity="high")], "prospect"),
    "a satisfied customer is won back": (
        [purchase(0), complaint(1, severity="high"), settled(2, satisfied=True)],
        f"{FIRST} at_risk won_back",
    ),
    "one who is not satisfied stays at risk": (
        [purchase(0), complaint(1, severity="high"), settled(2, satisfied=False)],
        f"{FIRST} at_risk",
    ),
    "not said is not satisfied": ([purchase(0), complaint(1, severity="high"), settled(2)], f"{FIRST} at_risk"),
    "all complaints must be settled": (
        [purchase(0), complaint(1, "k"), complaint(1, "l"), settled(2, "k", satisfied=True)],
        f"{FIRST} at_risk",
    ),
    "a detractor is at risk": ([purchase(0), nps(D, 6)], f"{FIRST} at_risk"),
    "a passive is not": ([purchase(0), nps(D, 7)], FIRST),
    "a low csat is no nps": ([purchase(0), live(D, "survey_response", kind="csat", score=1)], FIRST),
    "a detractor of old who buys no more is lost": (
        [purchase(0), nps(D, 0), tick(181 * D)],
        f"{FIRST} at_risk churned",
    ),
    "who cancels is churned": ([purchase(0), live(D, "subscription_cancelled")], f"{FIRST} churned"),
}

WAYS: dict[str, tuple[list[Step], str]] = {
    "first_time_customer": (bought(0), FIRST),
    "repeat_customer": (bought(0, 10), REPEAT),
    "won_back": (bought(0, 70), f"{FIRST} at_risk won_back"),
    "loyal": (bought(0, 10, 20, 30), LOYAL),
    "advocate": ([purchase(0), live(D, "referral")], f"{FIRST} advocate"),
    "at_risk": ([purchase(0), nps(D, 0)], f"{FIRST} at_risk"),
}
"""How customers come to a stage, in the order of days; none of them goes quiet before day 50, or 120 for who was won back."""


def from_each(told: str, stages: str, then: str, *steps: Step) -> dict[str, tuple[list[Step], str]]:
    """A story for each of some stages: the way there, and what happens then."""
    return {f"{told} of {stage}": ([*WAYS[stage][0], *steps], f"{WAYS[stage][1]} {then}") for stage in stages.split()}


CUSTOMERS = "first_time_customer repeat_customer loyal advocate"
STORIES |= from_each("a serious complaint", CUSTOMERS, "at_risk", complaint(40, severity="high"))
STORIES |= from_each("a serious complaint", "won_back", "at_risk", complaint(80, severity="high"))
STORIES |= from_each("a bad word", CUSTOMERS, "at_risk", nps(40 * D, 6))
STORIES |= from_each("a bad word", "won_back", "at_risk", nps(80 * D, 6))
STORIES |= from_each("the cancellation", f"{CUSTOMERS} at_risk", "churned", live(40 * D, "subscription_cancelled"))
STORIES |= from_each("the cancellation", "won_back", "churned", live(80 * D, "subscription_cancelled"))
STORIES |= from_each("a friend", "first_time_customer repeat_customer loyal", "advocate", REFERRAL)
STORIES |= from_each("a friend", "won_back", "advocate", live(80 * D, "referral"))
STORIES |= from_each("the silence", CUSTOMERS, "at_risk", tick(95 * D))


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert path(*steps) == expected


def test_silence_counts_from_the_last_purchase_to_the_minute() -> None:
    played = play(RULES, SIGNUP, *bought(1, 10), tick(200 * D))
    assert played.table == table(f"""0         ecommerce -                   prospect            -               1 1 1 .  e1
        0         ecommerce prospect            lead                signed_up       1 2 1 s  e1
        {1 * D}   ecommerce lead                first_time_customer first_purchase  1 3 2 s  e2
        {10 * D}  ecommerce first_time_customer repeat_customer     second_purchase 1 4 3 s  e3
        {70 * D}  ecommerce repeat_customer     at_risk             went_quiet      1 5 4 s  due:{70 * D}
        {190 * D} ecommerce at_risk             churned             lost            1 6 5 s  due:{190 * D}""")
    assert [dict(change.facts) for change in played.changes[4:]] == [{"last_purchase_at": 10 * D * 60_000}] * 2


def test_an_imported_history_is_backfill_and_its_running_silence_ends_live() -> None:
    import_at = 60 * D
    played = play(
        RULES, imported(import_at, 0, "signup"), imported(import_at + 1, 2, "purchase", **ORDER), tick(61 * D)
    )
    assert played.table[2:] == table(f"""2 ecommerce lead first_time_customer first_purchase 1 3 2 sb e2
        {60 * D + 2} ecommerce first_time_customer at_risk went_quiet 1 4 3 s due:{60 * D + 2}""")


ORDER = {"order_id": "o", "amount": "10.00", "currency": "BRL"}


def test_a_late_purchase_from_before_the_silence_corrects_facts_and_wins_back_late() -> None:
    played = play(RULES, purchase(0), tick(61 * D), purchase(62 * D, time=30 * D))
    assert played.table[-1:] == table(f"{60 * D} ecommerce at_risk won_back reactivated 1 4 3 sl e3")
    assert played.state.facts["last_purchase_at"] == 30 * D * 60_000
