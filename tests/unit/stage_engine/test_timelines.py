"""Timelines worked by hand from the rules of time and edges: what arrives, and the stage changes that must come of it."""

from __future__ import annotations

import pytest

from services.stage_engine.domain.decision import Applied, BehindClock, Unapplicable
from services.stage_engine.domain.state import encode_state
from shared.contracts.times import MINUTE_MS
from tests.unit.stage_engine.timeline import D, Step, imported, lifecycle, live, nps, play, purchase, rules, table, tick

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
            lifecycle("a b", "id: wait, from: a, to: b, after: 60m", "id: up, from: b, to: a, on: signup, demotion: true"),
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
            lifecycle("a b c", "id: one, from: a, to: b, after: 60m", "id: two, from: b, to: c, after: 60m", name="second"),
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
        [lifecycle("a b c", "id: up, from: a, to: b, on: survey_response",
                   "id: w, from: b, to: c, after: 60m, since: facts.first_seen")],
        [live(0, "signup"), nps(80, 5)],
        """0  l - a -  1 1 1 s e1
           80 l a b up 1 2 2 . e2
           80 l b c w  1 3 2 s e2""",
    ),  # fmt: skip
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
    # Edges: order, one on edge, fixpoint
    "of several edges with on the first in the file that holds is taken, and no other": (
        [lifecycle("a b c d", 'id: no, from: a, to: b, on: survey_response, when: "event.score >= 9"',
                   "id: yes, from: a, to: c, on: survey_response", "id: more, from: c, to: d, on: survey_response",
                   "id: other, from: a, to: d, on: survey_response")],
        [live(0, "signup"), nps(1, 5)],
        """0 l - a -   1 1 1 s e1
           1 l a c yes 1 2 2 s e2""",
    ),  # fmt: skip
    "an edge with on goes before a pure edge that stands above it": (
        [lifecycle("a b c", 'id: pure, from: a, to: b, when: "facts.orders >= 1"', "id: on, from: a, to: c, on: purchase")],
        [live(0, "signup"), purchase(1)],
        """0 l - a -  1 1 1 s e1
           1 l a c on 1 2 2 s e2""",
    ),
    "when no edge with on holds, pure edges are still tried": (
        [lifecycle("a b c", 'id: pure, from: a, to: b, when: "facts.orders >= 1"',
                   'id: on, from: a, to: c, on: purchase, when: "facts.orders >= 2"')],
        [live(0, "signup"), purchase(1)],
        """0 l - a -    1 1 1 s e1
           1 l a b pure 1 2 2 s e2""",
    ),  # fmt: skip
    "the edge with on is of the stage where the event finds the customer, not of one entered by it": (
        [lifecycle("a b c", "id: up, from: a, to: b, on: signup", "id: on, from: b, to: c, on: signup")],
        [live(0, "engagement"), live(1, "signup"), live(2, "signup")],
        """0 l - a -  1 1 1 s e1
           1 l a b up 1 2 2 s e2
           2 l b c on 1 3 3 s e3""",
    ),
    "no edge with on is taken after pure edges": (
        [lifecycle("a b c", 'id: pure, from: a, to: b, when: "facts.orders >= 1"', "id: on, from: b, to: c, on: purchase")],
        [live(0, "signup"), purchase(1)],
        """0 l - a -    1 1 1 s e1
           1 l a b pure 1 2 2 s e2""",
    ),
    "pure edges run to a fixpoint, first in the file first, the last hop settled": (
        [lifecycle("a b c d", 'id: one, from: a, to: b, when: "facts.orders >= 1"',
                   'id: two, from: b, to: c, when: "facts.orders >= 1"', 'id: not, from: b, to: d, when: "facts.orders >= 1"',
                   'id: three, from: c, to: d, when: "facts.orders >= 1"')],
        [live(0, "signup"), purchase(1)],
        """0 l - a -     1 1 1 s e1
           1 l a b one   1 2 2 . e2
           1 l b c two   1 3 2 . e2
           1 l c d three 1 4 2 s e2""",
    ),  # fmt: skip
    "no stage is visited twice in one decision, the origin counts": (
        [lifecycle("a b", 'id: there, from: a, to: b, when: "facts.orders >= 1"',
                   'id: back, from: b, to: a, when: "facts.orders >= 1", demotion: true')],
        [live(0, "signup"), purchase(1), live(2, "engagement"), purchase(3)],
        """0 l - a -     1 1 1 s e1
           1 l a b there 1 2 2 s e2
           3 l b a back  2 3 4 s e4""",
    ),  # fmt: skip
    "a blocked edge is passed over and the next in the file is tried": (
        [lifecycle("a b c", 'id: there, from: a, to: b, when: "facts.orders >= 1"',
                   'id: back, from: b, to: a, when: "facts.orders >= 1", demotion: true',
                   'id: on, from: b, to: c, when: "facts.orders >= 1"')],
        [live(0, "signup"), purchase(1)],
        """0 l - a -     1 1 1 s e1
           1 l a b there 1 2 2 . e2
           1 l b c on    1 3 2 s e2""",
    ),  # fmt: skip
    "a stage that was passed in the decision is blocked too": (
        [lifecycle("a b c", "id: up, from: a, to: b, on: purchase", 'id: on, from: b, to: c, when: "facts.orders >= 1"',
                   'id: back, from: c, to: b, when: "facts.orders >= 1", demotion: true')],
        [live(0, "signup"), purchase(1), tick(D)],
        """0 l - a -  1 1 1 s e1
           1 l a b up 1 2 2 . e2
           1 l b c on 1 3 2 s e2""",
    ),  # fmt: skip
    "a pure edge that holds is not considered when no fact of its own has changed": (
        [lifecycle("a b", 'id: there, from: a, to: b, when: "facts.orders >= 1"',
                   'id: back, from: b, to: a, when: "facts.orders >= 1", demotion: true')],
        [live(0, "signup"), purchase(1), nps(2, 9), live(3, "engagement"), tick(D)],
        """0 l - a -     1 1 1 s e1
           1 l a b there 1 2 2 s e2""",
    ),  # fmt: skip
    "an answer with the same score changes no fact": (
        [lifecycle("a b", 'id: there, from: a, to: b, when: "facts.nps == 9"',
                   'id: back, from: b, to: a, when: "facts.nps == 9", demotion: true')],
        [nps(0, 9), nps(1, 9), nps(2, 8), nps(3, 9)],
        """0 l - a -     1 1 1 . e1
           0 l a b there 1 2 1 s e1
           3 l b a back  2 3 4 s e4""",
    ),  # fmt: skip
    "the wake-up of one edge does not consider another": (
        [lifecycle("a b c", 'id: there, from: a, to: b, when: "facts.orders >= 1"',
                   'id: back, from: b, to: a, when: "facts.orders >= 1", demotion: true',
                   "id: w, from: b, to: c, after: 60m")],
        [purchase(0), tick(65)],
        """0  l - a -     1 1 1 . e1
           0  l a b there 1 2 1 s e1
           60 l b c w     1 3 2 s due:60""",
    ),  # fmt: skip
    "entry counts how often a stage was entered": (
        [lifecycle("a b", "id: there, from: a, to: b, on: purchase",
                   "id: back, from: b, to: a, on: survey_response, demotion: true")],
        [purchase(0), nps(1, 5), purchase(2), nps(3, 5)],
        """0 l - a -     1 1 1 . e1
           0 l a b there 1 2 1 s e1
           1 l b a back  2 3 2 s e2
           2 l a b there 2 4 3 s e3
           3 l b a back  3 5 4 s e4""",
    ),  # fmt: skip
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
        [lifecycle("a b", 'id: yes, from: a, to: b, when: "facts.nps >= 9"', 'id: no, from: a, to: b, when: "!(facts.nps >= 9)"')],
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
}  # fmt: skip


@pytest.mark.parametrize("name", TIMELINES)
def test_timeline(name: str) -> None:
    lifecycles, steps, expected = TIMELINES[name]
    assert play(rules(*lifecycles), *steps).table == table(expected)


def test_a_late_event_corrects_facts_without_rewriting_history() -> None:
    played = play(rules(SILENCE), live(0, "engagement"), tick(65), live(70, "engagement", 20))
    assert played.table == table("""0 l - a - 1 1 1 s e1
                                    60 l a b quiet 1 2 2 s due:60""")
    assert played.state.facts["engagements"] == 2
    assert played.state.facts["last_engagement_at"] == 20 * MINUTE_MS
    assert played.clock() == 60


def test_every_event_moves_the_clock_of_every_lifecycle_and_none_moves_it_back() -> None:
    by = rules(UP, lifecycle("a", name="m"))
    assert [play(by, live(50, "signup")).clock(name) for name in "lm"] == [50, 50]
    played = play(by, live(50, "signup"), live(70, "engagement"), live(80, "engagement", 60))
    assert [played.clock(name) for name in "lm"] == [70, 70]
    assert played.state.revision == 3


def test_a_wake_up_that_changes_nothing_leaves_no_trace() -> None:
    by = rules(lifecycle("a b", 'id: w, from: a, to: b, after: 60m, when: "facts.nps >= 9"'))
    before = play(by, live(0, "signup"))
    after = play(by, tick(D), state=before.state)
    assert (after.state.revision, after.clock(), after.changes) == (1, 0, [])


def test_a_wake_up_that_changes_nothing_is_done_with() -> None:
    by = rules(lifecycle("a b", 'id: w, from: a, to: b, after: 60m, when: "facts.nps >= 9"'))
    played = play(by, live(0, "signup"), tick(D))
    assert played.state.lifecycles["l"].wake_ms is None


def test_the_next_wake_up_is_the_first_that_is_due_after_the_clock() -> None:
    edges = ("id: w, from: a, to: b, after: 60m", "id: v, from: a, to: b, after: 30m, since: facts.first_seen")
    played = play(rules(lifecycle("a b", *edges)), live(10, "signup"))
    assert played.state.lifecycles["l"].wake_ms == 40 * MINUTE_MS


def test_nothing_is_armed_for_an_edge_with_on() -> None:
    by = rules(lifecycle("a b", "id: w, from: a, to: b, on: engagement, after: 60m"))
    assert play(by, live(0, "signup")).state.lifecycles["l"].wake_ms is None


def test_a_backfill_behind_a_clock_is_refused_and_changes_nothing() -> None:
    before = play(rules(WAIT), imported(D, 50, "signup"))
    after = play(rules(WAIT), imported(D + 1, 49, "engagement"), state=before.state)
    assert after.decisions == [BehindClock("l", 50 * MINUTE_MS)]
    assert after.state == before.state


def test_a_backfill_behind_the_clock_of_one_lifecycle_is_refused_for_all() -> None:
    by = rules(lifecycle("a", name="plain"), WAIT)
    before = play(by, live(0, "signup"), tick(65))
    refused = play(by, imported(D, 30, "engagement"), state=before.state)
    assert refused.decisions == [BehindClock("l", 60 * MINUTE_MS)]


def test_a_payload_that_cannot_be_used_applies_nothing_not_even_wake_ups() -> None:
    before = play(rules(WAIT), live(0, "signup"))
    refused = play(rules(WAIT), live(D, "purchase", order_id="o", amount="a lot", currency="BRL"), state=before.state)
    assert isinstance(refused.decisions[0], Unapplicable)
    assert refused.state == before.state


def test_direction_goes_by_order_and_is_same_between_equals() -> None:
    text = lifecycle(
        "a b c", "id: up, from: a, to: b, on: signup", "id: over, from: b, to: c, on: referral",
        "id: down, from: c, to: a, on: survey_response, demotion: true",
    ).replace("c: {order: 20}", "c: {order: 10}")  # fmt: skip
    played = play(rules(text), live(0, "signup"), live(1, "referral"), nps(2, 5))
    assert [c.lifecycle.direction(c.from_, c.to) for c in played.changes] == ["up", "up", "same", "down"]


def test_a_change_says_when_the_stage_before_was_entered() -> None:
    edges = ("id: up, from: a, to: b, on: referral", 'id: on, from: b, to: c, when: "facts.referrals >= 1"')
    played = play(rules(lifecycle("a b c", *edges)), live(3, "signup"), live(8, "referral"))
    assert [change.previous_entered_ms for change in played.changes] == [None, 3 * MINUTE_MS, 8 * MINUTE_MS]


def test_the_state_in_a_change_is_that_after_the_whole_decision() -> None:
    edges = ("id: up, from: a, to: b, on: referral", 'id: on, from: b, to: c, when: "facts.referrals >= 1"')
    played = play(rules(lifecycle("a b c", *edges)), live(3, "signup"), live(8, "referral"))
    assert [change.after for change in played.changes[1:]] == [played.state, played.state]


def test_a_change_carries_the_facts_that_its_condition_and_its_since_name() -> None:
    edge = (
        "id: w, from: a, to: b, after: 1d, since: facts.last_purchase_at, "
        'when: "facts.orders >= 1 && !known.nps && (facts.csat >= 4 || facts.revenue >= 10.0)"'
    )
    played = play(rules(lifecycle("a b", edge)), purchase(7, amount="12.34"), tick(2 * D))
    assert dict(played.changes[0].facts) == {}
    assert dict(played.changes[1].facts) == {"orders": 1, "revenue": 1234, "last_purchase_at": 7 * MINUTE_MS}


def test_an_edge_with_on_carries_the_facts_as_the_event_has_left_them() -> None:
    edge = 'id: up, from: a, to: b, on: purchase, when: "facts.orders >= 1 && event.amount >= 5.0"'
    played = play(rules(lifecycle("a b", edge)), purchase(7))
    assert dict(played.changes[1].facts) == {"orders": 1}


class TestConditionsThatFail:
    """A division by zero: the facts still apply, the edge does not hold, an error says which and with what."""

    EDGE = 'id: ratio, from: a, to: b, when: "12 / facts.engagements >= 4"'

    def test_facts_apply_the_edge_does_not_hold_and_the_next_one_is_tried(self) -> None:
        text = lifecycle("a b c", self.EDGE, 'id: other, from: a, to: c, when: "facts.orders >= 0"')
        played = play(rules(text), purchase(3))
        assert played.table == table("""3 l - a - 1 1 1 . e1
                                        3 l a c other 1 2 1 s e1""")
        assert played.state.facts["orders"] == 1

    def test_the_error_names_lifecycle_transition_expression_facts_and_time(self) -> None:
        (error,) = play(rules(lifecycle("a b", self.EDGE)), purchase(3)).errors
        assert (error.lifecycle, error.transition, error.at_ms) == ("l", "ratio", 3 * MINUTE_MS)
        assert error.expression == "12 / facts.engagements >= 4"
        assert dict(error.facts) == {"engagements": 0}
        assert "zero" in error.detail

    def test_something_unknown_is_no_error(self) -> None:
        assert not play(rules(lifecycle("a b", 'id: u, from: a, to: b, when: "facts.nps >= 9"')), purchase(3)).errors

    def test_the_timer_is_consumed_and_its_error_reported_once(self) -> None:
        text = lifecycle("a b", self.EDGE + ", after: 60m")
        played = play(rules(text), live(0, "signup"), tick(64), tick(65), tick(D), tick(2 * D))
        assert [error.at_ms for error in played.errors] == [60 * MINUTE_MS]
        assert played.state.lifecycles["l"].wake_ms is None

    @pytest.mark.parametrize("ticks", [[65, 95], [95], [D]])
    def test_a_later_wake_up_does_not_evaluate_the_edge_again(self, ticks: list[int]) -> None:
        text = lifecycle(
            "a b c", self.EDGE + ", after: 60m", 'id: w, from: a, to: c, after: 90m, when: "facts.nps >= 9"'
        )
        played = play(rules(text), live(0, "signup"), *map(tick, ticks))
        assert [error.at_ms for error in played.errors] == [60 * MINUTE_MS]

    def test_an_edge_that_fails_before_its_time_is_not_evaluated(self) -> None:
        played = play(rules(lifecycle("a b", self.EDGE + ", after: 60m")), live(0, "signup"), live(1, "engagement"))
        assert not played.errors


def test_the_input_state_is_left_as_it_was() -> None:
    by = rules(WAIT_OR_ANSWER)
    before = play(by, live(0, "signup"), purchase(3), live(4, "complaint", complaint_id="k")).state
    stored = encode_state(before)
    play(by, purchase(20), nps(30, 9), live(31, "complaint_resolved", complaint_id="k"), tick(D), state=before)
    assert encode_state(before) == stored


def test_a_lifecycle_that_is_new_to_a_known_customer_starts_at_the_next_event() -> None:
    before = play(rules(UP), live(0, "signup"))
    by = rules(UP, lifecycle("x y", "id: go, from: x, to: y, on: referral", name="m"))
    played = play(by, tick(D), live(2 * D, "referral"), state=before.state)
    assert played.table == table(f"""{2 * D} m - x - 1 3 2 . e2
                                     {2 * D} m x y go 1 4 2 s e2""")


def test_ticks_never_run_ahead_of_what_they_are_told() -> None:
    decision = play(rules(WAIT), live(0, "signup"), tick(64)).decisions[-1]
    assert isinstance(decision, Applied)
    assert decision.state == play(rules(WAIT), live(0, "signup")).state
