"""The shipped customer_care lifecycle: complaints opened, overdue, resolved. Times are minutes."""

from __future__ import annotations

import pytest

from services.stage_engine.definitions.definition import SHIPPED, load_definition
from services.stage_engine.domain.lifecycle import Rules
from tests.unit.stage_engine.timeline import D, Step, live, play, table, tick

CARE = load_definition(SHIPPED / "customer_care.yaml").compile(1, "BRL")
BY_CARE = Rules((CARE,), "BRL")


def opened(minute: int, id_: str = "k", time: int | None = None) -> Step:
    return live(minute, "complaint", time, complaint_id=id_)


def resolved(minute: int, id_: str = "k", time: int | None = None) -> Step:
    return live(minute, "complaint_resolved", time, complaint_id=id_)


STORIES: dict[str, tuple[list[Step], str]] = {
    "nobody has complained": ([live(0, "signup")], "no_complaint"),
    "a complaint": ([opened(0)], "no_complaint complaint_open"),
    "resolved in time": ([opened(0), resolved(D), tick(9 * D)], "no_complaint complaint_open resolved"),
    "not overdue before 48 hours and the lateness": ([opened(0), tick(2 * D + 4)], "no_complaint complaint_open"),
    "overdue after": ([opened(0), tick(2 * D + 5)], "no_complaint complaint_open overdue"),
    "resolved when overdue": ([opened(0), resolved(3 * D)], "no_complaint complaint_open overdue resolved"),
    "resolved between 48 hours and the lateness, at 47": (
        [opened(0), resolved(2 * D + 4, time=2 * D - 60), tick(9 * D)],
        "no_complaint complaint_open resolved",
    ),
    "one of two resolved is still open": ([opened(0), opened(1, "l"), resolved(2)], "no_complaint complaint_open"),
    "both resolved": (
        [opened(0), opened(1, "l"), resolved(2), resolved(3, "l")],
        "no_complaint complaint_open resolved",
    ),
    "a resolution that came first leaves nothing open": ([resolved(0), opened(1)], "no_complaint"),
    "a resolved one told again stays resolved": (
        [opened(0), resolved(1), opened(2)],
        "no_complaint complaint_open resolved",
    ),
    "the next one opens anew": (
        [opened(0), resolved(1), opened(2, "l")],
        "no_complaint complaint_open resolved complaint_open",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    steps, expected = STORIES[story]
    assert " ".join(change.to for change in play(BY_CARE, *steps).changes) == expected


def test_overdue_counts_from_entering_and_says_when_that_was() -> None:
    played = play(
        BY_CARE, live(0, "signup"), opened(100), opened(200, "l"), tick(9 * D), resolved(9 * D), resolved(9 * D, "l")
    )
    assert played.table == table(f"""0 customer_care - no_complaint - 1 1 1 s e1
        100 customer_care no_complaint complaint_open complaint_opened 1 2 2 s e2
        {100 + 2 * D} customer_care complaint_open overdue too_late 1 3 4 s due:{100 + 2 * D}
        {9 * D} customer_care overdue resolved settled 1 4 6 s e6""")
    assert [change.previous_entered_ms for change in played.changes[2:]] == [100 * 60_000, (100 + 2 * D) * 60_000]
    assert dict(played.changes[1].facts) == {"open_complaints": 1}
    assert dict(played.changes[2].facts) == {}


def test_the_second_complaint_gets_its_own_48_hours() -> None:
    played = play(BY_CARE, opened(0), resolved(D), opened(2 * D, "l"), tick(5 * D))
    assert played.table[-1:] == table(f"{4 * D} customer_care complaint_open overdue too_late 1 5 4 s due:{4 * D}")


def test_both_lifecycles_count_one_sequence() -> None:
    shop = load_definition(SHIPPED / "ecommerce.yaml").compile(1, "BRL")
    bought = live(0, "purchase", order_id="o", amount="1", currency="BRL")
    played = play(
        Rules((CARE, shop), "BRL"), bought, live(1, "complaint", complaint_id="k", severity="high"), tick(3 * D)
    )
    assert [(c.sequence, c.after.revision, c.lifecycle.name, c.to, c.settled) for c in played.changes] == [
        (1, 1, "customer_care", "no_complaint", True),
        (2, 1, "ecommerce", "prospect", False),
        (3, 1, "ecommerce", "first_time_customer", True),
        (4, 2, "customer_care", "complaint_open", True),
        (5, 2, "ecommerce", "at_risk", True),
        (6, 3, "customer_care", "overdue", True),
    ]
