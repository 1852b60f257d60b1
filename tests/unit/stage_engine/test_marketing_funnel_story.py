"""The shipped marketing_funnel lifecycle, told as stories: an interest score, a sales team, and carts beside them."""

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

LIFECYCLE = "marketing_funnel"
RULES = shipped(LIFECYCLE)

SIGNUP = happens(0, "signup")
LEAD = "subscriber left_details:lead"
QUALIFIED = f"{LEAD} qualified_by_interest:marketing_qualified"
FOUR_ARTICLES = engaged("content", 1, 2, 3, 4)
"""Twenty points."""
CUSTOMER = "subscriber bought:customer"
RECOMMENDS = [*bought(0, 1, 2), answered(3, "nps", 9)]
EVANGELIST = f"{CUSTOMER} recommends:evangelist"
WAYS = {
    "subscriber": Way([], "subscriber", 0),
    "lead": Way([SIGNUP], LEAD, 5),
    "marketing_qualified": Way([SIGNUP, *FOUR_ARTICLES], QUALIFIED, 5),
    "sales_qualified": Way([SIGNUP, happens(1, "lead_qualified")], f"{LEAD} accepted_by_sales:sales_qualified", 5),
    "opportunity": Way([SIGNUP, happens(1, "deal_opened")], f"{LEAD} deal_opened:opportunity", 5),
}

STORIES: Stories = {
    "who has done no more than look is a subscriber": (engaged("visit", 0), "subscriber"),
    # Marketing
    "an account makes a lead": ([SIGNUP], LEAD),
    "a form does too": ([happens(0, "form_submitted", form="newsletter")], LEAD),
    "five points without either do": (
        [*engaged("visit", 0, 1), *engaged("email_click", 2)],
        "subscriber showed_interest:lead",
    ),
    # 00:00 UTC of day 0 is local day -1: it counts until the end of local day 28, which is 03:00 UTC of day 29.
    "a look counts for thirty days": (
        [*engaged("visit", 0, 1), *engaged("email_click", 29.1)],
        "subscriber showed_interest:lead",
    ),
    "and no longer": ([*engaged("visit", 0, 1), *engaged("email_click", 29.2)], "subscriber"),
    "a click too": ([*engaged("ad", 0), *engaged("visit", 5, 29.1)], "subscriber showed_interest:lead"),
    "and not longer either": ([*engaged("ad", 0), *engaged("visit", 5, 29.2)], "subscriber"),
    "four do not": ([*engaged("visit", 0), *engaged("email_click", 2)], "subscriber"),
    "points are a month's": ([*engaged("visit", 0, 1), *engaged("email_click", 40)], "subscriber"),
    "twenty points are worth a call": ([SIGNUP, *FOUR_ARTICLES], QUALIFIED),
    "clicks count three, looks one": (
        [SIGNUP, *engaged("ad", 1, 2, 3), *engaged("social", 4, 5, 6), *engaged("email_open", 7)],
        LEAD,
    ),
    "nineteen and one": (
        [SIGNUP, *engaged("ad", 1, 2, 3), *engaged("social", 4, 5, 6), *engaged("email_open", 7, 8)],
        QUALIFIED,
    ),
    "three articles and four looks are nineteen": (
        [SIGNUP, *engaged("content", 1, 2, 3), *engaged("visit", 4, 5, 6, 7)],
        LEAD,
    ),
    "interest of four points is no interest": (
        [SIGNUP, *FOUR_ARTICLES, *engaged("visit", 20, 21, 22, 23), until(40)],
        f"{QUALIFIED} interest_cooled:lead",
    ),
    "of five it is": ([SIGNUP, *FOUR_ARTICLES, *engaged("visit", 20, 21, 22, 23, 24), until(40)], QUALIFIED),
    "interest that is a month old has cooled": (
        [SIGNUP, *FOUR_ARTICLES, until(40)],
        f"{QUALIFIED} interest_cooled:lead",
    ),
    "a little is left after thirty days": ([SIGNUP, *FOUR_ARTICLES, until(33)], QUALIFIED),
    # Sales
    **from_each(
        "the good word of sales",
        "lead marketing_qualified",
        WAYS,
        lambda day: happens(day, "lead_qualified"),
        "accepted_by_sales:sales_qualified",
    ),
    **from_each(
        "the raised hand",
        "subscriber lead marketing_qualified",
        WAYS,
        lambda day: happens(day, "quote_requested"),
        "asked_for_an_offer:sales_qualified",
    ),
    "sales says no": (
        [SIGNUP, happens(1, "lead_qualified"), happens(2, "lead_disqualified")],
        f"{LEAD} accepted_by_sales:sales_qualified turned_down:lead",
    ),
    "sales says nothing for two months": (
        [SIGNUP, happens(1, "lead_qualified"), until(61)],
        f"{LEAD} accepted_by_sales:sales_qualified talks_went_nowhere:lead",
    ),
    "a little less": (
        [SIGNUP, happens(1, "lead_qualified"), until(60.9)],
        f"{LEAD} accepted_by_sales:sales_qualified",
    ),
    "who was turned down is left in peace, however much they read": (
        [SIGNUP, *FOUR_ARTICLES, happens(5, "lead_disqualified"), *engaged("content", 6, 7)],
        f"{QUALIFIED} turned_down:lead",
    ),
    "for a month": (
        [SIGNUP, *FOUR_ARTICLES, happens(5, "lead_disqualified"), *engaged("content", 30, 31, 32, 33), until(34.2)],
        f"{QUALIFIED} turned_down:lead qualified_by_interest:marketing_qualified",
    ),
    "to the day": (
        [SIGNUP, *FOUR_ARTICLES, happens(5, "lead_disqualified"), *engaged("content", 30, 31, 32, 33), until(34.1)],
        f"{QUALIFIED} turned_down:lead",
    ),
    **from_each(
        "the deal",
        "subscriber lead marketing_qualified sales_qualified",
        WAYS,
        lambda day: happens(day, "deal_opened"),
        "deal_opened:opportunity",
    ),
    "lost": (
        [SIGNUP, happens(1, "deal_opened"), happens(2, "deal_lost")],
        f"{LEAD} deal_opened:opportunity deal_lost:lead",
    ),
    "lost by somebody who is still interested": (
        [SIGNUP, *FOUR_ARTICLES, happens(5, "deal_opened"), happens(6, "deal_lost")],
        f"{QUALIFIED} deal_opened:opportunity deal_lost:lead qualified_by_interest:marketing_qualified",
    ),
    "won": (
        [SIGNUP, happens(1, "deal_opened"), happens(2, "deal_won")],
        f"{LEAD} deal_opened:opportunity bought:customer",
    ),
    # Without a sales team
    **from_each(
        "the cart",
        "subscriber lead marketing_qualified sales_qualified",
        WAYS,
        lambda day: cart(day, "a"),
        "filled_a_cart:opportunity",
    ),
    "an empty one is not": ([cart(0)], "subscriber"),
    "that goes cold": ([cart(0, "a"), until(30)], "subscriber filled_a_cart:opportunity offer_went_cold:lead"),
    "but not before thirty days": ([cart(0, "a"), until(29.9)], "subscriber filled_a_cart:opportunity"),
    **from_each(
        "the order",
        "subscriber lead marketing_qualified sales_qualified opportunity",
        WAYS,
        lambda day: bought(day)[0],
        "bought:customer",
    ),
    "a customer stays one, whatever they read or put in a cart": (
        [*bought(0), *FOUR_ARTICLES, cart(5, "a"), until(400)],
        CUSTOMER,
    ),
    # Evangelists
    "who brings a friend": ([*bought(0), happens(1, "referral")], f"{CUSTOMER} brought_a_friend:evangelist"),
    "not with a complaint open": ([*bought(0), complained(1), happens(2, "referral")], CUSTOMER),
    "who would recommend, and buys": (RECOMMENDS, EVANGELIST),
    "who would, after two orders": ([*bought(0, 1), answered(3, "nps", 9)], CUSTOMER),
    "who would perhaps": ([*bought(0, 1, 2), answered(3, "nps", 8)], CUSTOMER),
    "who would no more": ([*RECOMMENDS, answered(4, "nps", 6)], f"{EVANGELIST} stopped_recommending:customer"),
    "a passive answer leaves them where they are": ([*RECOMMENDS, answered(4, "nps", 7)], EVANGELIST),
    "a serious complaint ends it until it is solved": (
        [*RECOMMENDS, complained(4, severity="high"), solved(5)],
        f"{EVANGELIST} seriously_let_down:customer recommends:evangelist",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert way(RULES, LIFECYCLE, steps) == expected


def test_interest_cools_when_the_last_article_leaves_the_window_at_midnight_in_sao_paulo() -> None:
    # 00:00 UTC of day 4 is 21:00 of local day 3; it counts on that day and 29 more.
    played = play(RULES, SIGNUP, *FOUR_ARTICLES, until(40))
    midnight = (3 + 30) * D + 180
    assert played.table[-1:] == table(
        f"{midnight} {LIFECYCLE} marketing_qualified lead interest_cooled 2 4 6 s due:{midnight}"
    )
    assert dict(played.changes[-1].facts) == {"interest": 0}
