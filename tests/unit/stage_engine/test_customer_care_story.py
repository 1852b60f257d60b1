"""The shipped customer_care lifecycle: complaints opened, answered, overdue, escalated, reopened, resolved.

It runs after ecommerce, which says who is first in line. Times are days; an hour is `H`.
"""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.stories import Stories, answered, bought, complained, happens, shipped, solved, until, way
from tests.unit.stage_engine.timeline import D, Step, live, play, table

LIFECYCLE = "customer_care"
RULES = shipped("ecommerce", LIFECYCLE)
H = 1 / 24


def replied(day: float) -> Step:
    return happens(day, "complaint_answered", complaint_id="k", waited_minutes=90)


def reopened(day: float) -> Step:
    return happens(day, "complaint_reopened", complaint_id="k")


OPEN = "no_complaint complaint_opened:complaint_open"
ANSWERED = f"{OPEN} first_answer:answered"
RESOLVED = f"{OPEN} settled:resolved"
OVERDUE = f"{OPEN} too_late:overdue"
LOYAL = bought(0, 1, 2, 3)
"""Four orders: loyal in ecommerce, and so first in line."""
LATE_FOR_THE_LOYAL = f"{OPEN} too_late_first_in_line:overdue"
FIRST_IN_LINE = {
    "loyal": LOYAL,
    "advocate": [*bought(0), happens(1, "referral")],
    "at_risk": [*bought(0), answered(1, "nps", 3)],
}


def first_in_line() -> Stories:
    """The three promises to those who come first, kept to the hour."""
    told: dict[str, tuple[list[Step], str]] = {}
    for who, steps in FIRST_IN_LINE.items():
        answer = [*steps, complained(10), replied(10.1)]
        told |= {
            f"eight hours for {who}": ([*steps, complained(10), until(10 + 7.9 * H)], OPEN),
            f"and no more for {who}": ([*steps, complained(10), until(10 + 8 * H)], LATE_FOR_THE_LOYAL),
            f"two days to solve it for {who}": ([*answer, until(10.1 + 47.9 * H)], ANSWERED),
            f"and not longer for {who}": ([*answer, until(12.1)], f"{ANSWERED} unsolved_first_in_line:overdue"),
            f"a day overdue for {who}": ([*steps, complained(10), until(10 + 31.9 * H)], LATE_FOR_THE_LOYAL),
            f"and then escalated for {who}": (
                [*steps, complained(10), until(10 + 32 * H)],
                f"{LATE_FOR_THE_LOYAL} escalated_first_in_line:escalated",
            ),
        }
    return told


STORIES: Stories = {
    "nobody has complained": ([happens(0, "signup")], "no_complaint"),
    "a complaint": ([complained(0)], OPEN),
    "resolved in time": ([complained(0), solved(1), until(9)], RESOLVED),
    "one of two resolved is still open": ([complained(0), complained(0.1, "l"), solved(0.2)], OPEN),
    "both resolved": ([complained(0), complained(0.1, "l"), solved(0.2), solved(0.3, "l")], RESOLVED),
    "a resolution that came first leaves nothing open": ([solved(0), complained(1)], "no_complaint"),
    "a resolved one told again stays resolved": ([complained(0), solved(1), complained(2)], RESOLVED),
    "the next one opens anew": (
        [complained(0), solved(1), complained(2, "l")],
        f"{RESOLVED} complaint_opened:complaint_open",
    ),
    # First answer, 48 hours
    "not overdue before 48 hours": ([complained(0), until(47.9 * H)], OPEN),
    "overdue after": ([complained(0), until(48 * H)], OVERDUE),
    "resolved when overdue": ([complained(0), solved(3)], f"{OVERDUE} settled:resolved"),
    "resolved between 48 hours and the lateness, at 47": (
        [complained(0), live(2 * D + 4, "complaint_resolved", 2 * D - 60, complaint_id="k"), until(9)],
        RESOLVED,
    ),
    "answered in time": ([complained(0), replied(1)], ANSWERED),
    "answered when overdue": ([complained(0), replied(3)], f"{OVERDUE} first_answer:answered"),
    # First in line: 8 hours
    **first_in_line(),
    "somebody with two orders has not": ([*bought(0, 1), complained(10), until(10 + 47.9 * H)], OPEN),
    "a serious complaint puts a buyer first in line": (
        [*bought(0, 1), complained(10, severity="high"), until(10 + 8 * H)],
        LATE_FOR_THE_LOYAL,
    ),
    "but not a visitor": ([complained(10, severity="high"), until(10 + 47.9 * H)], OPEN),
    "who comes to be at risk after ten hours has waited too long by then": (
        [*bought(0), complained(10), answered(10 + 10 * H, "nps", 3)],
        LATE_FOR_THE_LOYAL,
    ),
    # Solution
    "solved in time after the answer": ([complained(0), replied(1), solved(5)], f"{ANSWERED} settled:resolved"),
    "not solved within five days": ([complained(0), replied(1), until(6)], f"{ANSWERED} unsolved:overdue"),
    "a little less": ([complained(0), replied(1), until(5.9)], ANSWERED),
    "a second complaint waits for an answer of its own": (
        [complained(0), replied(1), complained(2, "l"), until(4)],
        f"{ANSWERED} another_complaint:complaint_open too_late:overdue",
    ),
    "the same one told again does not": ([complained(0), replied(1), complained(2)], ANSWERED),
    # Escalation
    "overdue for three days": ([complained(0), until(5)], f"{OVERDUE} escalated:escalated"),
    "a little less than that": ([complained(0), until(5 - 0.1 * H)], OVERDUE),
    "an answer does not bring it back": ([complained(0), until(5), replied(6)], f"{OVERDUE} escalated:escalated"),
    "a solution does": ([complained(0), until(5), solved(6)], f"{OVERDUE} escalated:escalated settled:resolved"),
    # Reopened
    "not really solved": ([complained(0), solved(1), reopened(2)], f"{RESOLVED} not_really_solved:reopened"),
    "long after": (
        [complained(0), solved(1), reopened(40)],
        f"{RESOLVED} closed:no_complaint not_really_solved:reopened",
    ),
    "solved at last": (
        [complained(0), solved(1), reopened(2), solved(2.5)],
        f"{RESOLVED} not_really_solved:reopened settled:resolved",
    ),
    "answered again": (
        [complained(0), solved(1), reopened(2), replied(2.5), until(7.5)],
        f"{RESOLVED} not_really_solved:reopened first_answer:answered unsolved:overdue",
    ),
    "a reopened one waits a day, whoever it is": (
        [complained(0), solved(1), reopened(2), until(3)],
        f"{RESOLVED} not_really_solved:reopened reopened_too_long:overdue",
    ),
    "a little less than a day": (
        [complained(0), solved(1), reopened(2), until(3 - 0.1 * H)],
        f"{RESOLVED} not_really_solved:reopened",
    ),
    "solved when overdue, though it is not among the open ones": (
        [complained(0), solved(1), reopened(2), until(3), solved(4)],
        f"{RESOLVED} not_really_solved:reopened reopened_too_long:overdue settled:resolved",
    ),
    "reopened twice": (
        [complained(0), solved(1), reopened(2), solved(2.5), reopened(3)],
        f"{RESOLVED} not_really_solved:reopened settled:resolved reopened_again:escalated",
    ),
    # 00:00 UTC of day 2 is local day 1: it counts until the end of local day 90, which is 03:00 UTC of day 91.
    "reopened twice in ninety days, long after": (
        [complained(0), solved(1), reopened(2), solved(2.5), reopened(91.1)],
        f"{RESOLVED} not_really_solved:reopened settled:resolved closed:no_complaint reopened_again:escalated",
    ),
    "in a little more": (
        [complained(0), solved(1), reopened(2), solved(2.5), reopened(91.2)],
        f"{RESOLVED} not_really_solved:reopened settled:resolved closed:no_complaint not_really_solved:reopened",
    ),
    "twice in a year": (
        [complained(0), solved(1), reopened(2), solved(2.5), complained(200, "l"), solved(201, "l"), reopened(202)],
        f"{RESOLVED} not_really_solved:reopened settled:resolved closed:no_complaint "
        "complaint_opened:complaint_open settled:resolved not_really_solved:reopened",
    ),
    # Closed
    "a month after the solution": ([complained(0), solved(1), until(31)], f"{RESOLVED} closed:no_complaint"),
    "a day less is not": ([complained(0), solved(1), until(30)], RESOLVED),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert way(RULES, LIFECYCLE, steps) == expected


def care(*steps: Step) -> list[str]:
    return [row for row in play(RULES, *steps).table if f" {LIFECYCLE} " in row]


def test_overdue_counts_from_entering_and_says_when_that_was() -> None:
    steps = [happens(0, "signup"), complained(1), complained(1.5, "l"), until(4), solved(5), solved(5.5, "l")]
    assert care(*steps) == table(f"""
        0 customer_care - no_complaint - 1 3 1 s e1
        {1 * D} customer_care no_complaint complaint_open complaint_opened 1 4 2 s e2
        {3 * D} customer_care complaint_open overdue too_late 1 5 4 s due:{3 * D}
        {int(5.5 * D)} customer_care overdue resolved settled 1 6 6 s e6""")
    changes = [change for change in play(RULES, *steps).changes if change.lifecycle.name == LIFECYCLE]
    assert [change.previous_entered_ms for change in changes[2:]] == [1 * D * 60_000, 3 * D * 60_000]
    assert [dict(change.facts) for change in changes[1:3]] == [{"open_complaints": 1}, {}]


def test_the_second_complaint_gets_its_own_48_hours() -> None:
    assert care(complained(0), solved(1), complained(2, "l"), until(5))[-1:] == table(
        f"{4 * D} customer_care complaint_open overdue too_late 1 6 4 s due:{4 * D}"
    )


def test_a_change_says_which_stage_put_the_customer_first_in_line() -> None:
    played = play(RULES, *LOYAL, complained(10), until(11))
    assert dict(played.changes[-1].facts) == {"stages.ecommerce": "loyal"}


def test_both_lifecycles_count_one_sequence_and_care_sees_what_the_shop_has_just_decided() -> None:
    played = play(RULES, *bought(0), complained(0.1, severity="high"), until(0.1 + 8 * H))
    assert [(c.sequence, c.after.revision, c.lifecycle.name, c.to, c.settled) for c in played.changes] == [
        (1, 1, "ecommerce", "prospect", False),
        (2, 1, "ecommerce", "first_time_customer", True),
        (3, 1, "customer_care", "no_complaint", True),
        (4, 2, "ecommerce", "at_risk", True),
        (5, 2, "customer_care", "complaint_open", True),
        (6, 3, "customer_care", "overdue", True),
    ]
