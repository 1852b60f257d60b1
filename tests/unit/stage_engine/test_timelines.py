"""Timelines of events and ripe wake-ups, worked by hand from the rules of time."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.timeline import D, Step, lifecycle, live, nps, play, purchase, rules, table, tick

UP = lifecycle("a b c", "id: up, from: a, to: b, on: signup")
SILENCE = lifecycle("a b", "id: quiet, from: a, to: b, after: 60m, since: facts.last_engagement_at")
WAIT = lifecycle("a b", "id: wait, from: a, to: b, after: 60m")
WAIT_OR_ANSWER = lifecycle(
    "a b c", "id: answered, from: a, to: c, on: survey_response", "id: wait, from: a, to: b, after: 60m"
)
TIMELINES: dict[str, tuple[list[str], list[Step], str]] = {
    # Entering
    "the first event enters the start stage, then takes edges": (
        [UP],
        [live(0, "signup")],
        """0 l - a -  1 1 1 . e1
           0 l a b up 1 2 1 s e1""",
    ),
    "a first event that no edge wants still enters the start stage, settled": (
        [UP],
        [live(7, "engagement")],
        "7 l - a - 1 1 1 s e1",
    ),
    "the start stage is entered when the event happened, not when it came": (
        [UP],
        [live(10, "engagement", 4)],
        "4 l - a - 1 1 1 s e1",
    ),
    "entering the start stage lets its pure edges be looked at": (
        [lifecycle("a b", 'id: none_yet, from: a, to: b, when: "facts.orders == 0"')],
        [live(0, "signup")],
        """0 l - a -        1 1 1 . e1
           0 l a b none_yet 1 2 1 s e1""",
    ),
    "a tick for somebody who was never heard of does nothing": ([WAIT], [tick(10 * D)], ""),
    "sequence runs over all lifecycles in their order, settled is said of each": (
        [lifecycle("a b", "id: up, from: a, to: b, on: signup", name="z"), lifecycle("a", name="m")],
        [live(0, "signup")],
        """0 z - a -  1 1 1 . e1
           0 z a b up 1 2 1 s e1
           0 m - a -  1 3 1 s e1""",
    ),
    # Live events: arrival, clamping, equal times
    "an event from the future is clamped to its arrival": (
        [UP],
        [live(0, "engagement"), live(10, "signup", 13)],
        """0  l - a -  1 1 1 s e1
           10 l a b up 1 2 2 s e2""",
    ),
    "a late event takes its edge at the clock and says so": (
        [UP],
        [live(50, "engagement"), live(51, "signup", 20)],
        """50 l - a -  1 1 1 s  e1
           50 l a b up 1 2 2 sl e2""",
    ),
    "an event older than others but not below the clock is not late": (
        [UP],
        [live(50, "engagement", 10), live(60, "signup", 40)],
        """10 l - a -  1 1 1 s e1
           40 l a b up 1 2 2 s e2""",
    ),
    "an event at the clock is not late": (
        [UP],
        [live(50, "engagement"), live(52, "signup", 50)],
        """50 l - a -  1 1 1 s e1
           50 l a b up 1 2 2 s e2""",
    ),
    "every hop of a late decision says late": (
        [lifecycle("a b c", "id: up, from: a, to: b, on: signup", 'id: on, from: b, to: c, when: "facts.orders == 0"')],
        [live(50, "engagement"), live(51, "signup", 20)],
        """50 l - a -  1 1 1 s  e1
           50 l a b up 1 2 2 l  e2
           50 l b c on 1 3 2 sl e2""",
    ),
    "lateness of an event is a lifecycle's own": (
        [
            lifecycle("a b", "id: up, from: a, to: b, on: signup", name="plain"),
            lifecycle(
                "a b", "id: wait, from: a, to: b, after: 60m", "id: up, from: b, to: a, on: signup, demotion: true"
            ),
        ],
        [live(0, "engagement"), live(100, "signup", 30)],
        """0  plain - a -    1 1 1 s  e1
           0  l     - a -    1 2 1 s  e1
           60 l     a b wait 1 3 2 s  due:60
           30 plain a b up   1 4 3 s  e2
           60 l     b a up   2 5 3 sl e2""",
    ),
    # Wake-ups of live records
    "a tick before due and lateness fires nothing": ([WAIT], [live(0, "signup"), tick(64)], "0 l - a - 1 1 1 s e1"),
    "a tick at due and lateness fires, effective when it was due": (
        [WAIT],
        [live(0, "signup"), tick(65)],
        """0  l - a -    1 1 1 s e1
           60 l a b wait 1 2 2 s due:60""",
    ),
    "a timer fires once": (
        [WAIT],
        [live(0, "signup"), tick(65), tick(65), tick(9 * D)],
        """0  l - a -    1 1 1 s e1
           60 l a b wait 1 2 2 s due:60""",
    ),
    "a ripe wake-up goes before the event that arrives, which is late then": (
        [WAIT_OR_ANSWER],
        [live(0, "signup"), nps(65, 9, time=30)],
        """0  l - a -    1 1 1 s e1
           60 l a b wait 1 2 2 s due:60""",
    ),
    "an event that arrives before ripe goes first, though it happened after due": (
        [WAIT_OR_ANSWER],
        [live(0, "signup"), nps(64, 9, time=62), tick(D)],
        """0  l - a -        1 1 1 s e1
           62 l a c answered 1 2 2 s e2""",
    ),
    "an event between due and ripe takes the waiting edge at its own time": (
        [WAIT],
        [live(0, "signup"), live(63, "engagement", 62), tick(D)],
        """0  l - a -    1 1 1 s e1
           62 l a b wait 1 2 2 s e2""",
    ),
    "an event exactly at due takes the waiting edge": (
        [WAIT],
        [live(0, "signup"), live(60, "engagement"), tick(D)],
        """0  l - a -    1 1 1 s e1
           60 l a b wait 1 2 2 s e2""",
    ),
    "an event of before due that arrives between due and ripe leaves the timer armed": (
        [WAIT],
        [live(0, "signup"), live(63, "engagement", 59), tick(65)],
        """0  l - a -    1 1 1 s e1
           60 l a b wait 1 2 3 s due:60""",
    ),
    "an event between due and ripe that ends the silence leaves nothing to fire": (
        [SILENCE],
        [live(0, "engagement"), live(63, "engagement", 55), tick(119), tick(120)],
        """0   l - a -     1 1 1 s e1
           115 l a b quiet 1 2 3 s due:115""",
    ),
    "several ripe wake-ups go off in order of due time over the lifecycles": (
        [
            lifecycle("a b", "id: slow, from: a, to: b, after: 90m", name="first"),
            lifecycle(
                "a b c", "id: one, from: a, to: b, after: 60m", "id: two, from: b, to: c, after: 60m", name="second"
            ),
        ],
        [live(0, "signup"), tick(D)],
        """0   first  - a -    1 1 1 s e1
           0   second - a -    1 2 1 s e1
           60  second a b one  1 3 2 s due:60
           90  first  a b slow 1 4 3 s due:90
           120 second b c two  1 5 4 s due:120""",
    ),
    "wake-ups due at once go off in the order in which lifecycles run, each a revision of its own": (
        [
            lifecycle("a b", "id: w, from: a, to: b, after: 60m", name="z"),
            lifecycle("a b", "id: w, from: a, to: b, after: 60m", name="m"),
        ],
        [live(0, "signup"), tick(D)],
        """0  z - a - 1 1 1 s e1
           0  m - a - 1 2 1 s e1
           60 z a b w 1 3 2 s due:60
           60 m a b w 1 4 3 s due:60""",
    ),
    "with different latenesses, what is ripe first goes first, whether or not a tick came in between": (
        [
            lifecycle("a b", "id: w, from: a, to: b, after: 60m", name="patient", lateness="30m"),
            lifecycle("a b", "id: w, from: a, to: b, after: 70m", name="prompt"),
        ],
        [live(0, "signup"), tick(D)],
        """0  patient - a - 1 1 1 s e1
           0  prompt  - a - 1 2 1 s e1
           70 prompt  a b w 1 3 2 s due:70
           60 patient a b w 1 4 3 s due:60""",
    ),
    "what ripens at one instant goes by due time, whatever the order of the lifecycles": (
        [
            lifecycle("a b", "id: w, from: a, to: b, after: 80m", name="prompt"),
            lifecycle("a b", "id: w, from: a, to: b, after: 60m", name="patient", lateness="25m"),
        ],
        [live(0, "signup"), tick(D)],
        """0  prompt  - a - 1 1 1 s e1
           0  patient - a - 1 2 1 s e1
           60 patient a b w 1 3 2 s due:60
           80 prompt  a b w 1 4 3 s due:80""",
    ),
    "a wake-up that changes nothing leaves the clock alone: an event from before it is not late": (
        [lifecycle("a b", 'id: w, from: a, to: b, after: 60m, when: "facts.nps >= 9"')],
        [live(0, "signup"), tick(D), nps(2 * D, 9, time=61)],
        """0  l - a - 1 1 1 s e1
           61 l a b w 1 2 2 s e3""",
    ),
    "after a late answer the timer goes off again, and now its condition holds": (
        [lifecycle("a b", 'id: w, from: a, to: b, after: 60m, when: "facts.nps >= 9"')],
        [live(0, "signup"), tick(D), nps(2 * D, 9, time=30), tick(2 * D)],
        """0  l - a - 1 1 1 s e1
           60 l a b w 1 2 3 s due:60""",
    ),
    "a correction that lets the silence have begun earlier takes its edge at the clock": (
        [lifecycle("a b", "id: w, from: a, to: b, after: 60m, since: facts.first_purchase_at")],
        [purchase(100), purchase(110, time=10)],
        """100 l - a - 1 1 1 s  e1
           100 l a b w 1 2 2 sl e2""",
    ),
}


@pytest.mark.parametrize("name", TIMELINES)
def test_timeline(name: str) -> None:
    lifecycles, steps, expected = TIMELINES[name]
    assert play(rules(*lifecycles), *steps).table == table(expected)
