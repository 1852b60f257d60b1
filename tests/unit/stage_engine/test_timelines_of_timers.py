"""Timelines of timers and of imports, worked by hand from the rules of time and edges."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.timeline import D, Step, imported, lifecycle, live, nps, play, purchase, rules, table, tick

UP = lifecycle("a b c", "id: up, from: a, to: b, on: signup")
WAIT = lifecycle("a b", "id: wait, from: a, to: b, after: 60m")
TIMELINES: dict[str, tuple[list[str], list[Step], str]] = {
    # Timers: since, on + after, armed after the clock
    "after without since counts from entering the stage": (
        [lifecycle("a b c", "id: up, from: a, to: b, on: signup", "id: w, from: b, to: c, after: 60m")],
        [live(0, "engagement"), live(30, "signup"), tick(94), tick(95)],
        """0  l - a -  1 1 1 s e1
           30 l a b up 1 2 2 s e2
           90 l b c w  1 3 3 s due:90""",
    ),
    "since: entered says the same": (
        [lifecycle("a b", "id: w, from: a, to: b, after: 60m, since: entered")],
        [live(0, "engagement"), tick(65)],
        """0  l - a - 1 1 1 s e1
           60 l a b w 1 2 2 s due:60""",
    ),
    "after with a since fact that has no value does not hold": (
        [lifecycle("a b", "id: w, from: a, to: b, after: 60m, since: facts.last_purchase_at")],
        [live(0, "signup"), tick(100 * D), live(200 * D, "engagement")],
        "0 l - a - 1 1 1 s e1",
    ),
    "after that was over when the stage was entered holds at once": (
        [
            lifecycle(
                "a b c",
                "id: up, from: a, to: b, on: survey_response",
                "id: w, from: b, to: c, after: 60m, since: facts.first_seen",
            )
        ],
        [live(0, "signup"), nps(80, 5)],
        """0  l - a -  1 1 1 s e1
           80 l a b up 1 2 2 . e2
           80 l b c w  1 3 2 s e2""",
    ),
    "an edge with on and after arms no timer": (
        [lifecycle("a b", "id: w, from: a, to: b, on: engagement, after: 60m")],
        [live(0, "signup"), tick(D)],
        "0 l - a - 1 1 1 s e1",
    ),
    "an edge with on and after does not hold too early": (
        [lifecycle("a b", "id: w, from: a, to: b, on: engagement, after: 60m")],
        [live(0, "signup"), live(59, "engagement"), live(70, "signup")],
        "0 l - a - 1 1 1 s e1",
    ),
    "an edge with on and after holds when the event happens late enough": (
        [lifecycle("a b", "id: w, from: a, to: b, on: engagement, after: 60m")],
        [live(0, "signup"), live(60, "engagement")],
        """0  l - a - 1 1 1 s e1
           60 l a b w 1 2 2 s e2""",
    ),
    "60d is sixty times 24 hours": (
        [lifecycle("a b", "id: w, from: a, to: b, after: 60d")],
        [live(0, "signup"), tick(60 * D + 4), tick(60 * D + 5)],
        f"""0         l - a - 1 1 1 s e1
            {60 * D} l a b w 1 2 2 s due:{60 * D}""",
    ),
    "after and when: the timer passes when the condition fails, and its fact decides later": (
        [lifecycle("a b", 'id: w, from: a, to: b, after: 60m, when: "facts.orders >= 1"')],
        [live(0, "signup"), tick(D), purchase(2 * D)],
        f"""0        l - a - 1 1 1 s e1
            {2 * D} l a b w 1 2 2 s e3""",
    ),
    "after and when: a fact that decides too early waits for the timer": (
        [lifecycle("a b", 'id: w, from: a, to: b, after: 60m, when: "facts.orders >= 1"')],
        [live(0, "signup"), purchase(30), tick(65)],
        """0  l - a - 1 1 1 s e1
           60 l a b w 1 2 3 s due:60""",
    ),
    # Backfill
    "a backfill is applied when it happened, and wakes what was ripe by then": (
        [lifecycle("a b", "id: w, from: a, to: b, after: 60m", "id: up, from: b, to: a, on: purchase, demotion: true")],
        [
            imported(9 * D, 0, "signup"),
            imported(9 * D + 1, 64, "purchase", order_id="o", amount="1", currency="BRL"),
            imported(9 * D + 2, 200, "purchase", order_id="p", amount="1", currency="BRL"),
        ],
        """0   l - a -  1 1 1 sb e1
           64  l a b w  1 2 2 sb e2
           200 l b a up 2 3 3 sb e3""",
    ),
    "a wake-up that was ripe before the next backfilled event fires as backfill": (
        [WAIT],
        [imported(9 * D, 0, "signup"), imported(9 * D + 1, 65, "engagement")],
        """0  l - a -    1 1 1 sb e1
           60 l a b wait 1 2 2 sb due:60""",
    ),
    "a timer that was ripe before the import's end fires as backfill, by a tick too": (
        [WAIT],
        [imported(9 * D, 0, "signup"), tick(9 * D + 1)],
        """0  l - a -    1 1 1 sb e1
           60 l a b wait 1 2 2 sb due:60""",
    ),
    "a timer that was ripe before the import's end fires as backfill, by a live event too": (
        [WAIT],
        [imported(9 * D, 0, "signup"), live(20 * D, "engagement")],
        """0  l - a -    1 1 1 sb e1
           60 l a b wait 1 2 2 sb due:60""",
    ),
    "a timer that gets ripe after the import's end is live": (
        [WAIT],
        [imported(64, 0, "signup"), tick(65)],
        """0  l - a -    1 1 1 sb e1
           60 l a b wait 1 2 2 s  due:60""",
    ),
    "a backfill that claims to be from after its logging is clamped": (
        [UP],
        [imported(10, 12, "engagement"), imported(11, 11, "signup")],
        """10 l - a -  1 1 1 sb e1
           11 l a b up 1 2 2 sb e2""",
    ),
    "a backfill at the clock is applied, not late": (
        [UP],
        [imported(D, 10, "engagement"), imported(D, 10, "signup")],
        """10 l - a -  1 1 1 sb e1
           10 l a b up 1 2 2 sb e2""",
    ),
}


@pytest.mark.parametrize("name", TIMELINES)
def test_timeline(name: str) -> None:
    lifecycles, steps, expected = TIMELINES[name]
    assert play(rules(*lifecycles), *steps).table == table(expected)
