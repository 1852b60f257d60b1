"""The shipped service_journey lifecycle: answers in time, surveys, and membership."""

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
    shipped,
    solved,
    until,
    way,
)
from tests.unit.stage_engine.timeline import D, Step, play, table

LIFECYCLE = "service_journey"
RULES = shipped(LIFECYCLE)


def asked(day: float, type_: str = "question_asked") -> Step:
    return happens(day, type_)


def replied(day: float, minutes: float, type_: str = "question_answered") -> Step:
    return happens(day, type_, waited_minutes=minutes)


JOINED = happens(30, "membership_joined", programme="club")
LEFT = happens(40, "membership_left", programme="club")
ACTIVE = "acquisition first_order:activation"
SERVED = f"{ACTIVE} well_served:retention"
SERVED_WELL = [*bought(0), asked(1), replied(1.5, 720), answered(2, "csat", 4)]
RETAINED = f"{ACTIVE} bought_again:retention"
CONTENT_MEMBER = [*bought(0, 10), answered(20, "nps", 9), JOINED]
LOYAL = f"{RETAINED} content_member:loyalty"
WAYS = {"retention": Way(bought(0, 10), RETAINED, 50), "loyalty": Way(CONTENT_MEMBER, LOYAL, 50)}
ANSWERS = ("question_answered", "suggestion_answered", "claim_answered", "complaint_answered")

STORIES: Stories = {
    "who asks before buying": ([asked(0), replied(0.1, 144)], "acquisition"),
    "the first order": (bought(0), ACTIVE),
    # Kept by service
    "a question answered in time and a good word for it": (SERVED_WELL, SERVED),
    "a claim, and a recommendation": (
        [*bought(0), asked(1, "claim_opened"), replied(1.5, 720, "claim_answered"), answered(2, "nps", 9)],
        SERVED,
    ),
    "a suggestion counts": (
        [*bought(0), asked(1, "suggestion_made"), replied(1.5, 720, "suggestion_answered"), answered(2, "csat", 5)],
        SERVED,
    ),
    "and so does a complaint": (
        [*bought(0), complained(1), replied(1.5, 720, "complaint_answered"), solved(2), answered(3, "csat", 4)],
        SERVED,
    ),
    "which must be solved": (
        [*bought(0), complained(1), replied(1.5, 720, "complaint_answered"), answered(3, "csat", 5)],
        ACTIVE,
    ),
    "a day is in time": ([*bought(0), asked(1), replied(2, 1440), answered(3, "csat", 4)], SERVED),
    "a minute more is not": ([*bought(0), asked(1), replied(2, 1440.5), answered(3, "csat", 4)], ACTIVE),
    # 12:00 UTC of day 1 is local day 1: it counts until the end of local day 180, which is 03:00 UTC of day 181.
    "an answer counts for half a year": ([*SERVED_WELL[:3], answered(181.1, "csat", 4)], SERVED),
    "and no longer": ([*SERVED_WELL[:3], answered(181.2, "csat", 4)], ACTIVE),
    "in time, and perhaps worth recommending": ([*SERVED_WELL[:3], answered(2, "nps", 8)], ACTIVE),
    "in time, and not content": ([*bought(0), asked(1), replied(1.5, 720), answered(2, "csat", 3)], ACTIVE),
    "who never asks is kept by buying again": (bought(0, 10), RETAINED),
    "not while a question waits": ([*bought(0), asked(9), *bought(10)], ACTIVE),
    "from when it is answered": ([*bought(0), asked(9), *bought(10), replied(11, 2880)], RETAINED),
    "not while somebody is unhappy": ([*bought(0), answered(1, "csat", 2), *bought(10)], ACTIVE),
    "or would not recommend": ([*bought(0), answered(1, "nps", 6), *bought(10)], ACTIVE),
    "or complains": ([*bought(0), complained(1), *bought(10)], ACTIVE),
    "or was answered late twice": ([*bought(0), replied(1, 1441), replied(2, 1441), *bought(10)], ACTIVE),
    "who is neither happy nor unhappy is kept": ([*bought(0), answered(1, "csat", 3), *bought(10)], RETAINED),
    "nor a promoter": ([*bought(0), answered(1, "nps", 7), *bought(10)], RETAINED),
    "who was answered late once": ([*bought(0), replied(1, 1441), *bought(10)], RETAINED),
    # Loyalty
    "a content member": (CONTENT_MEMBER, LOYAL),
    "who has joined before": ([JOINED, *bought(31, 40), answered(41, "csat", 5)], LOYAL),
    "a member who says nothing": ([*bought(0, 10), JOINED], RETAINED),
    "content, and no member": ([*bought(0, 10), answered(20, "nps", 9)], RETAINED),
    "a member who is fairly content": ([*bought(0, 10), answered(20, "csat", 4), JOINED], RETAINED),
    "or would perhaps recommend": ([*bought(0, 10), answered(20, "nps", 8), JOINED], RETAINED),
    "and somebody who waits for an answer": (
        [*bought(0, 10), answered(20, "nps", 9), asked(29), JOINED],
        RETAINED,
    ),
    "from its answer on": ([*bought(0, 10), answered(20, "nps", 9), asked(29), JOINED, replied(30, 1440)], LOYAL),
    "who joined twice and left once is still a member": ([*CONTENT_MEMBER, JOINED, LEFT], LOYAL),
    "who leaves the programme": ([*CONTENT_MEMBER, LEFT], f"{LOYAL} left_the_programme:retention"),
    # Let down
    **{
        f"a late {kind} after another": (
            [*CONTENT_MEMBER, replied(50, 3000), replied(60, 1441, kind)],
            f"{LOYAL} answered_late_again:activation",
        )
        for kind in ANSWERS
    },
    "late twice, of a retained customer": (
        [*bought(0, 10), replied(50, 3000), replied(60, 1441)],
        f"{RETAINED} answered_late_again:activation",
    ),
    "a day is not late": ([*CONTENT_MEMBER, replied(50, 1440), replied(60, 1440)], LOYAL),
    "once is forgiven": ([*CONTENT_MEMBER, replied(50, 3000), replied(60, 1000)], LOYAL),
    # 00:00 UTC of day 50 is local day 49: it counts until the end of local day 228, which is 03:00 UTC of day 229.
    "half a year later it is forgotten": (
        [*bought(0, 10), replied(50, 3000), replied(60, 3000), until(229.2)],
        f"{RETAINED} answered_late_again:activation bought_again:retention",
    ),
    "and not before": (
        [*bought(0, 10), replied(50, 3000), replied(60, 3000), until(229.1)],
        f"{RETAINED} answered_late_again:activation",
    ),
    **{
        f"three days after a {kind}": (
            [*CONTENT_MEMBER, asked(50, kind), until(53)],
            f"{LOYAL} kept_waiting:activation",
        )
        for kind in ("question_asked", "suggestion_made", "claim_opened")
    },
    "a little less": ([*CONTENT_MEMBER, asked(50), until(52.9)], LOYAL),
    "answered meanwhile": ([*CONTENT_MEMBER, asked(50), replied(51, 1440), until(60)], LOYAL),
    "answered after all": (
        [*bought(0, 10), asked(50), replied(60, 14_400)],
        f"{RETAINED} kept_waiting:activation bought_again:retention",
    ),
    **from_each(
        "a serious complaint",
        "retention loyalty",
        WAYS,
        lambda day: complained(day, severity="high"),
        "complains_seriously:activation",
    ),
    "two complaints": (
        [*bought(0, 10), complained(50), complained(51, "l")],
        f"{RETAINED} complains_seriously:activation",
    ),
    "a mild one": ([*CONTENT_MEMBER, complained(50)], LOYAL),
    **from_each("a bad mark", "retention loyalty", WAYS, lambda day: answered(day, "csat", 2), "unhappy:activation"),
    **from_each("a bad word", "retention loyalty", WAYS, lambda day: answered(day, "nps", 6), "unhappy:activation"),
    "a middling mark": ([*CONTENT_MEMBER, answered(50, "csat", 3)], LOYAL),
    "a lukewarm word": ([*CONTENT_MEMBER, answered(50, "nps", 7)], LOYAL),
    "who is won over goes all the way up": (
        [*CONTENT_MEMBER, answered(50, "csat", 2), answered(80, "csat", 5)],
        f"{LOYAL} unhappy:activation bought_again:retention content_member:loyalty",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert way(RULES, LIFECYCLE, steps) == expected


def test_each_question_has_three_days_of_its_own() -> None:
    played = play(RULES, *bought(0, 10), asked(50), replied(51, 1440), asked(60), until(70))
    assert played.table[-1:] == table(f"{63 * D} {LIFECYCLE} retention activation kept_waiting 2 4 6 s due:{63 * D}")
    assert dict(played.changes[-1].facts) == {"last_asked_at": 60 * D * 60_000, "waiting": 1}


def test_an_answer_without_the_time_it_took_is_neither_in_time_nor_late() -> None:
    played = play(RULES, *bought(0), asked(1), happens(2, "question_answered"), answered(3, "csat", 5))
    assert [change.to for change in played.changes] == ["acquisition", "activation"]
    assert played.errors == []
