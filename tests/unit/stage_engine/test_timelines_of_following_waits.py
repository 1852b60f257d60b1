"""Timelines of waits that are as long as a fact says, worked by hand: value × times, not below min, not above max."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.declaring import declaring, together
from tests.unit.stage_engine.timeline import D, Step, imported, live, play, purchase, table, tick

GAP = {"gap": "average_gap: purchase"}


def waiting(wait: str, more: str = ", since: facts.last_purchase_at") -> list[str]:
    """A lifecycle that waits after orders."""
    return [declaring(GAP, "a b", f"id: quiet, from: a, to: b, after: {{fact: gap{wait}}}{more}")]


BOUNDED = waiting(", times: 2, min: 2h, max: 1d")
TIMELINES: dict[str, tuple[list[str], list[Step], str]] = {
    "twice the usual gap after the last order": (
        BOUNDED,
        [purchase(0), purchase(100), tick(304), tick(305)],
        """0   l - a -     1 1 1 s e1
           300 l a b quiet 1 2 3 s due:300""",
    ),
    "before that time, nothing": (BOUNDED, [purchase(0), purchase(100), tick(304)], "0 l - a - 1 1 1 s e1"),
    "one order makes no gap: a wait without a length does not end": (
        BOUNDED,
        [purchase(0), tick(400 * D), live(401 * D, "engagement")],
        "0 l - a - 1 1 1 s e1",
    ),
    "not shorter than min": (
        BOUNDED,
        [purchase(0), purchase(10), tick(D)],
        """0   l - a -     1 1 1 s e1
           130 l a b quiet 1 2 3 s due:130""",
    ),
    "two orders at one instant have a gap of nothing": (
        BOUNDED,
        [purchase(7), purchase(7), tick(D)],
        """7   l - a -     1 1 1 s e1
           127 l a b quiet 1 2 3 s due:127""",
    ),
    "not longer than max": (
        BOUNDED,
        [purchase(0), purchase(D), tick(9 * D)],
        f"""0       l - a -     1 1 1 s e1
            {2 * D} l a b quiet 1 2 3 s due:{2 * D}""",
    ),
    "the length itself where no times is said": (
        waiting(""),
        [purchase(0), purchase(100), tick(D)],
        """0   l - a -     1 1 1 s e1
           200 l a b quiet 1 2 3 s due:200""",
    ),
    "times may be a fraction": (
        waiting(", times: 0.5"),
        [purchase(0), purchase(100), tick(D)],
        """0   l - a -     1 1 1 s e1
           150 l a b quiet 1 2 3 s due:150""",
    ),
    "each order makes the wait anew: the mean of the gaps, counted from the last": (
        BOUNDED,
        [purchase(0), purchase(100), purchase(160), tick(D)],
        """0   l - a -     1 1 1 s e1
           320 l a b quiet 1 2 4 s due:320""",
    ),
    "a late order shortens a wait that was armed": (
        BOUNDED,
        [purchase(0), purchase(200), purchase(210, time=100), tick(D)],
        """0   l - a -     1 1 1 s e1
           400 l a b quiet 1 2 4 s due:400""",
    ),
    "shortened to before the clock, its edge is taken at the clock": (
        BOUNDED,
        [purchase(0), purchase(400), live(1000, "engagement"), purchase(1001, time=200), tick(D)],
        """0    l - a -     1 1 1 s  e1
           1000 l a b quiet 1 2 4 sl e4""",
    ),
    "an earlier first order lengthens it": (
        BOUNDED,
        [purchase(400), purchase(500), purchase(510, time=0), tick(D)],
        """400  l - a -     1 1 1 s e1
           1000 l a b quiet 1 2 4 s due:1000""",
    ),
    "without since it counts from entering the stage": (
        waiting("", more=""),
        [purchase(0), purchase(100), purchase(220), tick(D)],
        """0   l - a -     1 1 1 s e1
           100 l a b quiet 1 2 2 s e2""",
    ),
    "since may be a time of its own": (
        [
            declaring(
                {**GAP, "visit": "last: time, of: engagement, where: \"event.channel == 'visit'\""},
                "a b",
                "id: quiet, from: a, to: b, after: {fact: gap}, since: facts.visit",
            )
        ],
        [
            purchase(0),
            purchase(100),
            live(110, "engagement", channel="ad"),
            live(130, "engagement", channel="visit"),
            tick(D),
        ],
        """0   l - a -     1 1 1 s e1
           230 l a b quiet 1 2 5 s due:230""",
    ),
    "a since without a value does not hold, whatever the length": (
        [
            declaring(
                {**GAP, "visit": "last: time, of: engagement"},
                "a b",
                "id: quiet, from: a, to: b, after: {fact: gap}, since: facts.visit",
            )
        ],
        [purchase(0), purchase(100), tick(9 * D)],
        "0 l - a - 1 1 1 s e1",
    ),
    "with on it is not woken, and holds when the event comes late enough": (
        waiting("", more=", since: facts.last_purchase_at, on: engagement"),
        [purchase(0), purchase(100), live(199, "engagement"), tick(D), live(2 * D, "engagement")],
        f"""0 l - a - 1 1 1 s e1
            {2 * D} l a b quiet 1 2 4 s e5""",
    ),
    "an event between the end of the wait and its ripening takes the edge": (
        BOUNDED,
        [purchase(0), purchase(100), live(303, "engagement", 301)],
        """0   l - a -     1 1 1 s e1
           301 l a b quiet 1 2 3 s e3""",
    ),
    "in an import": (
        BOUNDED,
        [
            imported(9 * D, 0, "purchase", order_id="o", amount="1", currency="BRL"),
            imported(9 * D, 100, "purchase", order_id="p", amount="1", currency="BRL"),
            tick(9 * D + 5),
        ],
        """0   l - a -     1 1 1 sb e1
           300 l a b quiet 1 2 3 sb due:300""",
    ),
}


@pytest.mark.parametrize("name", TIMELINES)
def test_timeline(name: str) -> None:
    lifecycles, steps, expected = TIMELINES[name]
    assert play(together(*lifecycles), *steps).table == table(expected)
