"""A forecast adds customers up and keeps the few who are moved most."""

from __future__ import annotations

import pytest

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.event import Activation
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.state import CustomerState, FactValue, LifecycleState
from services.stage_engine.planning.forecast import MOST_AFFECTED, Failing, Forecast, Foreseen, Move, Soon, Source, Way
from services.stage_engine.store.customers import CustomerKey

LADDER = """
lifecycle: ladder
start: a
stages: {a: {order: 10}, b: {order: 20}, c: {order: 30}, top: {order: 90}}
transitions:
  - {id: one, from: a, to: b, when: "facts.orders >= 1"}
  - {id: two, from: b, to: c, when: "facts.orders >= 2"}
  - {id: jump, from: c, to: top, when: "facts.referrals >= 1"}
  - {id: odd, from: top, to: b, when: "10 / facts.complaints > 1", demotion: true}
"""
ORDERS = {"ladder": {"gone": 80, "a": 10, "b": 20, "c": 30, "top": 90}}
RULES = Rules((parse_definition("ladder.yaml", LADDER).compile(2, "BRL"),), "BRL")
NOT_SOON = Soon(active=False, candidate=False)


def foreseen(name: str, stage: str | None, *, soon: Soon = NOT_SOON, **facts: FactValue) -> Foreseen:
    """What the ladder makes of somebody who is in a stage."""
    there = {} if stage is None else {"ladder": LifecycleState(stage, 0, 0, {stage: 1})}
    before = CustomerState(facts={**NEW_CUSTOMER.facts, **facts}, lifecycles=there)
    activation = Activation(1, 1_000, "ladder", 2, "planned", notify=True, migrate={"gone": "c"})
    applied = advance(RULES, before, activation)
    return Foreseen(
        customer=CustomerKey("shop", name),
        currency="BRL",
        before=before,
        after=applied.state,
        changes=applied.changes,
        errors=applied.errors,
        source=Source.STATE,
        moved_before=False,
        soon=soon,
    )


def forecast(*customers: Foreseen) -> Forecast:
    found = Forecast(ORDERS)
    for each in customers:
        found.add(each)
    return found


def names(found: Forecast) -> list[str]:
    return [each.customer.customer_id for each in found.most_affected()]


def test_the_matrix_goes_from_where_they_are_to_where_they_settle_and_counts_who_stays() -> None:
    found = forecast(foreseen("x", "a", orders=2), foreseen("y", "a"), foreseen("z", None, orders=1))
    assert found.moves == {"ladder": {Move("a", "c"): 1, Move("a", "a"): 1, Move(None, "b"): 1}}
    assert (found.customers, found.moved) == (3, 2)


def test_hops_are_counted_by_the_way_that_is_taken() -> None:
    found = forecast(foreseen("x", "a", orders=2), foreseen("y", "gone", referrals=1), foreseen("z", None))
    assert found.ways == {
        Way("ladder", "a", "b", "one"): 1,
        Way("ladder", "b", "c", "two"): 1,
        Way("ladder", "gone", "c", None): 1,
        Way("ladder", "c", "top", "jump"): 1,
        Way("ladder", None, "a", None): 1,
    }


def test_most_hops_come_first_then_the_longest_way_then_who_was_first() -> None:
    found = forecast(
        foreseen("one hop", "a", orders=1),
        foreseen("far", "c", referrals=1),
        foreseen("two hops", "a", orders=2),
        foreseen("one hop too", "a", orders=1),
        foreseen("stays", "a"),
        foreseen("three hops", "a", orders=2, referrals=1),
    )
    assert names(found) == ["three hops", "two hops", "far", "one hop", "one hop too"]
    assert [each.distance for each in found.most_affected()] == [80, 20, 60, 10, 10]


def test_somebody_from_a_stage_that_is_no_more_stood_where_that_had_stood() -> None:
    assert forecast(foreseen("x", "gone", referrals=1)).most_affected()[0].distance == 10


def test_who_enters_is_compared_with_the_start_stage() -> None:
    assert forecast(foreseen("x", None, orders=2)).most_affected()[0].distance == 20


def test_no_more_than_ten_are_kept_however_many_move() -> None:
    customers = [foreseen(f"c{number}", "a", orders=1) for number in range(500)]
    found = forecast(*customers, foreseen("last", "a", orders=2))
    assert len(found._most) == MOST_AFFECTED
    assert names(found) == ["last", *(f"c{number}" for number in range(9))]
    assert len(found.ways) + len(found.moves["ladder"]) == 4


def test_facts_are_told_as_people_read_them() -> None:
    hops = forecast(foreseen("x", "a", orders=2)).most_affected()[0].hops
    assert [(hop.from_, hop.to, hop.transition, hop.facts) for hop in hops] == [
        ("a", "b", "one", {"orders": 2}),
        ("b", "c", "two", {"orders": 2}),
    ]


def test_conditions_that_cannot_be_computed_are_counted() -> None:
    found = forecast(foreseen("x", "c", referrals=1), foreseen("y", "c", referrals=1), foreseen("z", "a"))
    assert found.failing == {Failing("ladder", "odd", "10 / facts.complaints > 1"): 2}


@pytest.mark.parametrize(("soon", "counts"), [(Soon(True, False), (1, 0)), (Soon(False, True), (0, 1))])
def test_those_whom_time_moves_soon_are_counted_on_each_side(soon: Soon, counts: tuple[int, int]) -> None:
    found = forecast(foreseen("x", "a", soon=soon), foreseen("y", "a"))
    assert (found.soon_active, found.soon_candidate) == counts
