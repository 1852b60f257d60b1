"""A simulated life is the one that `advance` gives, step by step."""

from __future__ import annotations

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied, BehindClock
from services.stage_engine.domain.event import Event, Origin, Tick
from services.stage_engine.simulating.simulation import simulate
from shared.contracts.times import DAY_MS
from tests.unit.stage_engine.stories import shipped

RULES = shipped("ecommerce", "customer_care")


def event(name: str, type_: str, day: float, *, arrived: float | None = None, backfill: bool = False) -> Event:
    data = {"order_id": name, "amount": "10.00", "currency": "BRL", "complaint_id": name, "kind": "nps", "score": 3}
    logged = round((day if arrived is None else arrived) * DAY_MS)
    return Event.taken(Origin("t", "ana", name, type_), round(day * DAY_MS), logged, backfill=backfill, data=data)


STORY = [
    event("e1", "signup", 1),
    event("e2", "purchase", 2),
    event("e3", "complaint", 90),
    event("e4", "survey_response", 50, arrived=91),
    event("e5", "purchase", 300),
]


def test_each_step_is_what_advance_decides() -> None:
    state, expected = NEW_CUSTOMER, []
    occurrences: list[Event | Tick] = [*STORY, Tick(600 * DAY_MS)]
    for occurrence in occurrences:
        decision = advance(RULES, state, occurrence)
        assert isinstance(decision, Applied)
        state = decision.state
        expected.append((occurrence, decision, state))
    steps = list(simulate(RULES, STORY, 600 * DAY_MS))
    assert [(step.occurrence, step.decision, step.state) for step in steps] == expected
    assert len(expected[-1][1].changes) > 1, "the last step is worth a look"


def test_without_an_end_it_ends_with_the_last_event() -> None:
    assert [step.occurrence for step in simulate(RULES, STORY, None)] == STORY


def test_an_end_that_time_has_reached_adds_no_step() -> None:
    assert [step.occurrence for step in simulate(RULES, STORY, 300 * DAY_MS)] == STORY


def test_what_is_refused_leaves_the_customer_as_they_were() -> None:
    story = [*STORY[:3], event("old", "purchase", 3, backfill=True), STORY[3]]
    steps = list(simulate(RULES, story, None))
    assert isinstance(steps[3].decision, BehindClock)
    assert steps[3].state is steps[2].state
    assert isinstance(steps[4].decision, Applied)
