"""Timelines of edges and their conditions, worked by hand from the rules of edges."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.timeline import D, Step, lifecycle, live, nps, play, purchase, rules, table, tick

TIMELINES: dict[str, tuple[list[str], list[Step], str]] = {
    # Edges: order, one on edge, fixpoint
    "of several edges with on the first in the file that holds is taken, and no other": (
        [
            lifecycle(
                "a b c d",
                'id: no, from: a, to: b, on: survey_response, when: "event.score >= 9"',
                "id: yes, from: a, to: c, on: survey_response",
                "id: more, from: c, to: d, on: survey_response",
                "id: other, from: a, to: d, on: survey_response",
            )
        ],
        [live(0, "signup"), nps(1, 5)],
        """0 l - a -   1 1 1 s e1
           1 l a c yes 1 2 2 s e2""",
    ),
    "an edge with on goes before a pure edge that stands above it": (
        [
            lifecycle(
                "a b c", 'id: pure, from: a, to: b, when: "facts.orders >= 1"', "id: on, from: a, to: c, on: purchase"
            )
        ],
        [live(0, "signup"), purchase(1)],
        """0 l - a -  1 1 1 s e1
           1 l a c on 1 2 2 s e2""",
    ),
    "when no edge with on holds, pure edges are still tried": (
        [
            lifecycle(
                "a b c",
                'id: pure, from: a, to: b, when: "facts.orders >= 1"',
                'id: on, from: a, to: c, on: purchase, when: "facts.orders >= 2"',
            )
        ],
        [live(0, "signup"), purchase(1)],
        """0 l - a -    1 1 1 s e1
           1 l a b pure 1 2 2 s e2""",
    ),
    "the edge with on is of the stage where the event finds the customer, not of one entered by it": (
        [lifecycle("a b c", "id: up, from: a, to: b, on: signup", "id: on, from: b, to: c, on: signup")],
        [live(0, "engagement"), live(1, "signup"), live(2, "signup")],
        """0 l - a -  1 1 1 s e1
           1 l a b up 1 2 2 s e2
           2 l b c on 1 3 3 s e3""",
    ),
    "no edge with on is taken after pure edges": (
        [
            lifecycle(
                "a b c", 'id: pure, from: a, to: b, when: "facts.orders >= 1"', "id: on, from: b, to: c, on: purchase"
            )
        ],
        [live(0, "signup"), purchase(1)],
        """0 l - a -    1 1 1 s e1
           1 l a b pure 1 2 2 s e2""",
    ),
    "pure edges run to a fixpoint, first in the file first, the last hop settled": (
        [
            lifecycle(
                "a b c d",
                'id: one, from: a, to: b, when: "facts.orders >= 1"',
                'id: two, from: b, to: c, when: "facts.orders >= 1"',
                'id: not, from: b, to: d, when: "facts.orders >= 1"',
                'id: three, from: c, to: d, when: "facts.orders >= 1"',
            )
        ],
        [live(0, "signup"), purchase(1)],
        """0 l - a -     1 1 1 s e1
           1 l a b one   1 2 2 . e2
           1 l b c two   1 3 2 . e2
           1 l c d three 1 4 2 s e2""",
    ),
    "no stage is visited twice in one decision, the origin counts": (
        [
            lifecycle(
                "a b",
                'id: there, from: a, to: b, when: "facts.orders >= 1"',
                'id: back, from: b, to: a, when: "facts.orders >= 1", demotion: true',
            )
        ],
        [live(0, "signup"), purchase(1), live(2, "engagement"), purchase(3)],
        """0 l - a -     1 1 1 s e1
           1 l a b there 1 2 2 s e2
           3 l b a back  2 3 4 s e4""",
    ),
    "a blocked edge is passed over and the next in the file is tried": (
        [
            lifecycle(
                "a b c",
                'id: there, from: a, to: b, when: "facts.orders >= 1"',
                'id: back, from: b, to: a, when: "facts.orders >= 1", demotion: true',
                'id: on, from: b, to: c, when: "facts.orders >= 1"',
            )
        ],
        [live(0, "signup"), purchase(1)],
        """0 l - a -     1 1 1 s e1
           1 l a b there 1 2 2 . e2
           1 l b c on    1 3 2 s e2""",
    ),
    "a stage that was passed in the decision is blocked too": (
        [
            lifecycle(
                "a b c",
                "id: up, from: a, to: b, on: purchase",
                'id: on, from: b, to: c, when: "facts.orders >= 1"',
                'id: back, from: c, to: b, when: "facts.orders >= 1", demotion: true',
            )
        ],
        [live(0, "signup"), purchase(1), tick(D)],
        """0 l - a -  1 1 1 s e1
           1 l a b up 1 2 2 . e2
           1 l b c on 1 3 2 s e2""",
    ),
    "a pure edge that holds is not considered when no fact of its own has changed": (
        [
            lifecycle(
                "a b",
                'id: there, from: a, to: b, when: "facts.orders >= 1"',
                'id: back, from: b, to: a, when: "facts.orders >= 1", demotion: true',
            )
        ],
        [live(0, "signup"), purchase(1), nps(2, 9), live(3, "engagement"), tick(D)],
        """0 l - a -     1 1 1 s e1
           1 l a b there 1 2 2 s e2""",
    ),
    "an answer with the same score changes no fact": (
        [
            lifecycle(
                "a b",
                'id: there, from: a, to: b, when: "facts.nps == 9"',
                'id: back, from: b, to: a, when: "facts.nps == 9", demotion: true',
            )
        ],
        [nps(0, 9), nps(1, 9), nps(2, 8), nps(3, 9)],
        """0 l - a -     1 1 1 . e1
           0 l a b there 1 2 1 s e1
           3 l b a back  2 3 4 s e4""",
    ),
    "the wake-up of one edge does not consider another": (
        [
            lifecycle(
                "a b c",
                'id: there, from: a, to: b, when: "facts.orders >= 1"',
                'id: back, from: b, to: a, when: "facts.orders >= 1", demotion: true',
                "id: w, from: b, to: c, after: 60m",
            )
        ],
        [purchase(0), tick(65)],
        """0  l - a -     1 1 1 . e1
           0  l a b there 1 2 1 s e1
           60 l b c w     1 3 2 s due:60""",
    ),
    "entry counts how often a stage was entered": (
        [
            lifecycle(
                "a b",
                "id: there, from: a, to: b, on: purchase",
                "id: back, from: b, to: a, on: survey_response, demotion: true",
            )
        ],
        [purchase(0), nps(1, 5), purchase(2), nps(3, 5)],
        """0 l - a -     1 1 1 . e1
           0 l a b there 1 2 1 s e1
           1 l b a back  2 3 2 s e2
           2 l a b there 2 4 3 s e3
           3 l b a back  3 5 4 s e4""",
    ),
    "event.x is the event's field; one that is missing is unknown": (
        [lifecycle("a b", "id: high, from: a, to: b, on: complaint, when: \"event.severity == 'high'\"")],
        [live(0, "complaint", complaint_id="k"), live(1, "complaint", complaint_id="l", severity="high")],
        """0 l - a -    1 1 1 s e1
           1 l a b high 1 2 2 s e2""",
    ),
    "an or with something unknown holds when the other side does": (
        [lifecycle("a b", 'id: either, from: a, to: b, when: "facts.nps >= 9 || facts.orders >= 1"')],
        [live(0, "signup"), purchase(1)],
        """0 l - a -      1 1 1 s e1
           1 l a b either 1 2 2 s e2""",
    ),
    "neither an unknown condition nor its negation holds": (
        [
            lifecycle(
                "a b",
                'id: yes, from: a, to: b, when: "facts.nps >= 9"',
                'id: no, from: a, to: b, when: "!(facts.nps >= 9)"',
            )
        ],
        [live(0, "signup"), purchase(1), nps(2, 3)],
        """0 l - a -  1 1 1 s e1
           2 l a b no 1 2 3 s e3""",
    ),
    "known asks whether a fact has a value": (
        [lifecycle("a b", 'id: asked, from: a, to: b, when: "known.nps && !known.csat"')],
        [live(0, "signup"), nps(1, 0)],
        """0 l - a -     1 1 1 s e1
           1 l a b asked 1 2 2 s e2""",
    ),
}


@pytest.mark.parametrize("name", TIMELINES)
def test_timeline(name: str) -> None:
    lifecycles, steps, expected = TIMELINES[name]
    assert play(rules(*lifecycles), *steps).table == table(expected)
