"""Timelines of windows that lose their days, worked by hand from the rules of facts, time and edges. Days are those of
UTC unless a zone is said, so day n begins at n × D."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.declaring import declaring
from tests.unit.stage_engine.timeline import D, Step, imported, live, nps, play, purchase, rules, table, tick

ORDERS_2D = {"orders_2d": "count: purchase, within: 2d"}
BOUGHT = "id: bought, from: a, to: b, on: purchase"
QUIET = 'id: quiet, from: b, to: c, when: "facts.orders_2d == 0"'
TWO_DAYS = declaring(ORDERS_2D, "a b c", BOUGHT, QUIET)
ONE_DAY = declaring(
    {"orders_1d": "count: purchase, within: 1d"},
    "a b c",
    BOUGHT,
    'id: quiet, from: b, to: c, when: "facts.orders_1d == 0"',
)
IN_BETWEEN = """600 l - a - 1 1 1 . e1
                600 l a b bought 1 2 1 s e1"""


TIMELINES: dict[str, tuple[list[str], list[Step], str]] = {
    # Which day, and when it leaves
    "a window of two days is today and yesterday: what happened leaves two midnights later, and lateness is waited for": (
        [TWO_DAYS],
        [purchase(600), tick(2 * D + 4), live(2 * D + 6, "referral")],
        f"""{IN_BETWEEN}
            {2 * D} l b c quiet 1 3 2 s due:{2 * D}""",
    ),
    "before it has ripened nothing has left": ([TWO_DAYS], [purchase(600), tick(2 * D + 4)], IN_BETWEEN),
    "a window of one day is today alone": (
        [ONE_DAY],
        [purchase(600), tick(9 * D)],
        f"""{IN_BETWEEN}
            {D} l b c quiet 1 3 2 s due:{D}""",
    ),
    "what happens in the last minute of a day leaves with it": (
        [ONE_DAY],
        [purchase(D - 1), tick(9 * D)],
        f"""{D - 1} l - a - 1 1 1 . e1
            {D - 1} l a b bought 1 2 1 s e1
            {D} l b c quiet 1 3 2 s due:{D}""",
    ),
    "what happens at midnight is of the day that begins": (
        [ONE_DAY],
        [purchase(D), tick(9 * D)],
        f"""{D} l - a - 1 1 1 . e1
            {D} l a b bought 1 2 1 s e1
            {2 * D} l b c quiet 1 3 2 s due:{2 * D}""",
    ),
    "each day leaves at its own midnight": (
        [
            declaring(
                ORDERS_2D,
                "a b c d",
                BOUGHT,
                'id: less, from: b, to: c, when: "facts.orders_2d == 1 && facts.orders == 3"',
                'id: none, from: c, to: d, when: "facts.orders_2d == 0"',
            )
        ],
        [purchase(600), purchase(700), purchase(D + 1), tick(9 * D)],
        f"""{IN_BETWEEN}
            {2 * D} l b c less 1 3 4 s due:{2 * D}
            {3 * D} l c d none 1 4 5 s due:{3 * D}""",
    ),
    # Late events
    "an event that is late by a day counts on its own day, and leaves with it": (
        [
            declaring(
                {"orders_3d": "count: purchase, within: 3d"},
                "a b c d",
                BOUGHT,
                'id: two, from: b, to: c, when: "facts.orders_3d == 2"',
                'id: one, from: c, to: d, when: "facts.orders_3d == 1"',
            )
        ],
        [purchase(2 * D - 60), purchase(2 * D - 30, time=600), tick(9 * D)],
        f"""{2 * D - 60} l - a - 1 1 1 . e1
            {2 * D - 60} l a b bought 1 2 1 s e1
            {2 * D - 60} l b c two 1 3 2 sl e2
            {3 * D} l c d one 1 4 3 s due:{3 * D}""",
    ),
    "an event whose day has left at the clock does not count any more": (
        [declaring(ORDERS_2D, "a b", 'id: up, from: a, to: b, when: "facts.orders_2d >= 1"')],
        [live(5 * D, "referral"), purchase(5 * D + 10, time=4 * D - 1), tick(9 * D)],
        f"{5 * D} l - a - 1 1 1 s e1",
    ),
    "the last day that counts does": (
        [declaring(ORDERS_2D, "a b", 'id: up, from: a, to: b, when: "facts.orders_2d >= 1"')],
        [live(5 * D, "referral"), purchase(5 * D + 10, time=4 * D)],
        f"""{5 * D} l - a - 1 1 1 s e1
            {5 * D} l a b up 1 2 2 sl e2""",
    ),
    "a window is read at the clock, not at the arrival: the event counts there, and its day leaves at once": (
        [declaring(ORDERS_2D, "a b c", 'id: up, from: a, to: b, when: "facts.orders_2d >= 1"', QUIET)],
        [live(600, "referral"), tick(9 * D), purchase(9 * D, time=500), tick(9 * D)],
        f"""600 l - a - 1 1 1 s e1
            600 l a b up 1 2 2 sl e3
            {2 * D} l b c quiet 1 3 3 s due:{2 * D}""",
    ),
    "an event that is in time though it comes late counts at its own time": (
        [declaring(ORDERS_2D, "a b c", 'id: up, from: a, to: b, when: "facts.orders_2d >= 1"', QUIET)],
        [live(600, "referral"), purchase(9 * D, time=D + 7), tick(9 * D)],
        f"""600 l - a - 1 1 1 s e1
            {D + 7} l a b up 1 2 2 s e2
            {3 * D} l b c quiet 1 3 3 s due:{3 * D}""",
    ),
    "a late event may keep a day from having been quiet, not the stage change that was decided": (
        [
            declaring(
                ORDERS_2D,
                "a b c",
                BOUGHT,
                QUIET,
                'id: back, from: c, to: b, when: "facts.orders_2d >= 1", demotion: true',
            )
        ],
        [purchase(600), tick(2 * D + 5), purchase(2 * D + 6, time=D + 600), tick(9 * D)],
        f"""{IN_BETWEEN}
            {2 * D} l b c quiet 1 3 2 s  due:{2 * D}
            {2 * D} l c b back  2 4 3 sl e3
            {3 * D} l b c quiet 2 5 4 s  due:{3 * D}""",
    ),
    # Ripening
    "an event between the midnight and its ripening takes the edge at its own time": (
        [TWO_DAYS],
        [purchase(600), live(2 * D + 3, "referral", 2 * D + 2), tick(9 * D)],
        f"""{IN_BETWEEN}
            {2 * D + 2} l b c quiet 1 3 2 s e2""",
    ),
    "one from before the midnight leaves the wake-up armed": (
        [TWO_DAYS],
        [purchase(600), live(2 * D + 3, "referral", 2 * D - 1), tick(9 * D)],
        f"""{IN_BETWEEN}
            {2 * D} l b c quiet 1 3 3 s due:{2 * D}""",
    ),
    "an order from after the midnight keeps the customer from being quiet": (
        [TWO_DAYS],
        [purchase(600), purchase(2 * D + 3), tick(9 * D)],
        f"""{IN_BETWEEN}
            {4 * D} l b c quiet 1 3 3 s due:{4 * D}""",
    ),
    "an order from before the midnight does too": (
        [TWO_DAYS],
        [purchase(600), purchase(2 * D + 3, time=2 * D - 1), tick(9 * D)],
        f"""{IN_BETWEEN}
            {3 * D} l b c quiet 1 3 3 s due:{3 * D}""",
    ),
    "what was quiet and ripe goes before the order that arrives": (
        [TWO_DAYS],
        [purchase(600), purchase(2 * D + 5)],
        f"""{IN_BETWEEN}
            {2 * D} l b c quiet 1 3 2 s due:{2 * D}""",
    ),
    "a midnight that changes no stage leaves the clock where it was": (
        [TWO_DAYS],
        [purchase(600), purchase(D + 600), tick(2 * D + 60), live(2 * D + 61, "referral", D + 700), tick(9 * D)],
        f"""{IN_BETWEEN}
            {3 * D} l b c quiet 1 3 4 s due:{3 * D}""",
    ),
    "a window that an import filled loses its days as part of the import": (
        [TWO_DAYS],
        [imported(9 * D, 600, "purchase", order_id="o", amount="1", currency="BRL"), tick(9 * D + 1)],
        f"""600 l - a - 1 1 1 b e1
            600 l a b bought 1 2 1 sb e1
            {2 * D} l b c quiet 1 3 2 sb due:{2 * D}""",
    ),
    # Which edges are woken
    "two windows that lose a day at one midnight are one decision": (
        [
            declaring(
                {**ORDERS_2D, "visits_1d": "count: engagement, within: 1d"},
                "a b c",
                BOUGHT,
                'id: quiet, from: b, to: c, when: "facts.orders_2d == 0 && facts.visits_1d == 0"',
            )
        ],
        [purchase(600), live(D + 600, "engagement"), tick(9 * D)],
        f"""{IN_BETWEEN}
            {2 * D} l b c quiet 1 3 3 s due:{2 * D}""",
    ),
    "of two windows the one that loses its day first wakes first": (
        [
            declaring(
                {**ORDERS_2D, "visits_1d": "count: engagement, within: 1d"},
                "a b c d",
                BOUGHT,
                'id: unseen, from: b, to: c, when: "facts.visits_1d == 0"',
                QUIET.replace("from: b, to: c", "from: c, to: d"),
            )
        ],
        [live(500, "engagement"), purchase(600), tick(9 * D)],
        f"""500 l - a - 1 1 1 s e1
            600 l a b bought 1 2 2 s e2
            {D} l b c unseen 1 3 3 s due:{D}
            {2 * D} l c d quiet 1 4 4 s due:{2 * D}""",
    ),
    "an edge with on that reads a window is not woken, and finds it as it is when its event comes": (
        [
            declaring(
                ORDERS_2D,
                "a b c",
                BOUGHT,
                'id: asked, from: b, to: c, on: survey_response, when: "facts.orders_2d == 0"',
            )
        ],
        [purchase(600), nps(2 * D - 1, 5), tick(3 * D), nps(3 * D, 5)],
        f"""{IN_BETWEEN}
            {3 * D} l b c asked 1 3 3 s e4""",
    ),
    "a window may be asked whether it has a value": (
        [
            declaring(
                {"best": "max: score, of: survey_response, within: 1d"},
                "a b c",
                'id: up, from: a, to: b, when: "known.best"',
                'id: forgot, from: b, to: c, when: "!known.best"',
            )
        ],
        [nps(600, 0), tick(9 * D)],
        f"""600 l - a - 1 1 1 . e1
            600 l a b up 1 2 1 s e1
            {D} l b c forgot 1 3 2 s due:{D}""",
    ),
    "without a value a window makes a condition unknown, which does not hold": (
        [
            declaring(
                {"best": "max: score, of: survey_response, within: 1d"},
                "a b",
                'id: up, from: a, to: b, when: "facts.best < 3"',
            )
        ],
        [nps(600, 5), tick(9 * D), live(10 * D, "signup")],
        "600 l - a - 1 1 1 s e1",
    ),
    "the best of a window falls back to the best of the days that are left": (
        [
            declaring(
                {"best": "max: score, of: survey_response, within: 2d"},
                "a b",
                'id: up, from: a, to: b, when: "facts.best < 5"',
            )
        ],
        [nps(600, 9), nps(D + 1, 4), nps(D + 2, 5, time=0), tick(9 * D)],
        f"""600 l - a - 1 1 1 s e1
            {2 * D} l a b up 1 2 4 s due:{2 * D}""",
    ),
    "an after that was over waits for the window": (
        [declaring(ORDERS_2D, "a b c", BOUGHT, QUIET + ", after: 60m")],
        [purchase(600), tick(9 * D)],
        f"""{IN_BETWEEN}
            {2 * D} l b c quiet 1 3 2 s due:{2 * D}""",
    ),
    "a window that was empty waits for the after": (
        [declaring(ORDERS_2D, "a b c", BOUGHT, QUIET + ", after: 5d")],
        [purchase(600), tick(9 * D)],
        f"""{IN_BETWEEN}
            {5 * D + 600} l b c quiet 1 3 2 s due:{5 * D + 600}""",
    ),
    "a stage that is entered when the window has long been empty is left at once": (
        [declaring(ORDERS_2D, "a b c", "id: asked, from: a, to: b, on: survey_response", QUIET)],
        [purchase(600), nps(5 * D, 5)],
        f"""600 l - a - 1 1 1 s e1
            {5 * D} l a b asked 1 2 2 . e2
            {5 * D} l b c quiet 1 3 2 s e2""",
    ),
    "a day that is added again before it was missed changes nothing": (
        [
            declaring(
                ORDERS_2D,
                "a b",
                'id: one, from: a, to: b, on: referral, when: "facts.orders_2d == 1"',
                'id: back, from: b, to: a, when: "facts.orders_2d == 1", demotion: true',
            )
        ],
        [purchase(600), live(700, "referral"), purchase(2 * D + 1), tick(3 * D)],
        """600 l - a - 1 1 1 s e1
           700 l a b one 1 2 2 s e2""",
    ),
    # Arithmetic over windows
    "arithmetic over windows is woken by each of them": (
        [
            declaring(
                {
                    **ORDERS_2D,
                    "visits_1d": "count: engagement, within: 1d",
                    "doings": 'expr: "facts.orders_2d + facts.visits_1d"',
                },
                "a b c d",
                BOUGHT,
                'id: less, from: b, to: c, when: "facts.doings <= 1"',
                'id: none, from: c, to: d, when: "facts.doings <= 0"',
            )
        ],
        [live(500, "engagement"), purchase(600), tick(9 * D)],
        f"""500 l - a - 1 1 1 s e1
            600 l a b bought 1 2 2 s e2
            {D} l b c less 1 3 3 s due:{D}
            {2 * D} l c d none 1 4 4 s due:{2 * D}""",
    ),
    "so is arithmetic over arithmetic, in whatever order the file has them": (
        [
            declaring(
                {"twice": 'expr: "2 * facts.more"', "more": 'expr: "facts.orders_2d + facts.referrals"', **ORDERS_2D},
                "a b c",
                BOUGHT,
                'id: none, from: b, to: c, when: "facts.twice == 2"',
            )
        ],
        [live(500, "referral"), purchase(600), tick(9 * D)],
        f"""500 l - a - 1 1 1 s e1
            600 l a b bought 1 2 2 s e2
            {2 * D} l b c none 1 3 3 s due:{2 * D}""",
    ),
}


@pytest.mark.parametrize("name", TIMELINES)
def test_timeline(name: str) -> None:
    lifecycles, steps, expected = TIMELINES[name]
    assert play(rules(*lifecycles), *steps).table == table(expected)
