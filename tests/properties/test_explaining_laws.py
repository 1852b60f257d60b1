"""Laws of what is explained: the parts of a condition say together what the whole says, and what time alone is said to
bring is what it brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.definitions.expressions import ConditionError
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied, StageChange
from services.stage_engine.domain.event import Event, Tick
from services.stage_engine.domain.facts import START_VALUES
from services.stage_engine.domain.lifecycle import Rules, Transition
from services.stage_engine.domain.state import CustomerState, LifecycleState
from services.stage_engine.explaining.by_time import next_by_time
from services.stage_engine.explaining.ways_out import Standing, ways_out
from shared.contracts.times import DAY_MS
from tests.properties.declared import CURRENCY
from tests.properties.histories import ANCHORS, histories, taken
from tests.properties.lifecycles import compiled, lifecycle_sets
from tests.properties.oracle import Plan
from tests.properties.records import Record

# Parts

DEFINITION = parse_definition("parts", "lifecycle: l\nstart: a\nstages:\n  a: {order: 1}\n  b: {order: 2}\n")
LIFECYCLE = DEFINITION.compile(1, CURRENCY)
STANDING = LifecycleState("a", 0, 0, {"a": 1})

LEAVES = st.sampled_from(
    (
        "true",
        "false",
        "facts.orders >= 2",
        "facts.orders < 2",
        "facts.nps > 8",
        "facts.csat > 3",
        "known.nps",
        "!known.csat",
        "facts.revenue >= 50.0",
        "6 / facts.orders >= 2",
        "6 / facts.refunds >= 2",
        "facts.orders in [1, 2]",
        "'a && b' != 'a || b'",
        "facts.orders == 1 ? known.nps : facts.refunds == 0",
        "dyn(known.nps)",
    )
)


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Conditions of conditions; spaces, brackets and comments as people may write them."""
    several = st.lists(parts, min_size=2, max_size=3)
    return st.one_of(
        several.map(" && ".join),
        several.map("||".join),
        several.map(lambda each: " // and || or\n && ".join(f"({one})" for one in each)),
        parts.map(lambda one: f"({one})"),
        parts.map(lambda one: f"!({one})"),
        st.tuples(parts, parts).map(lambda two: f"({two[0]}) || ({two[1]})"),
    )


CONDITIONS = st.recursive(LEAVES, joined, max_leaves=8)
FACTS = st.fixed_dictionaries(
    {"orders": st.integers(0, 3), "refunds": st.integers(0, 2), "revenue": st.sampled_from((0, 5_000))},
    optional={"nps": st.integers(7, 10), "csat": st.integers(1, 5)},
)


def compiles(source: str) -> bool:
    """Whether it is a condition: a value of any type is one only as a part."""
    try:
        DEFINITION.condition(source, frozenset(), CURRENCY)
    except ConditionError:
        return False
    return True


@settings(max_examples=400)
@given(CONDITIONS.filter(compiles), FACTS)
@example("facts.nps > 8 && 6 / facts.refunds >= 2", {"orders": 0, "refunds": 0})
@example("6 / facts.refunds >= 2 || facts.nps > 8", {"orders": 0, "refunds": 0})
@example("facts.orders >= 2 && known.csat ? known.nps : facts.refunds == 0", {"orders": 0, "refunds": 0})
def test_the_parts_of_a_condition_say_together_what_the_whole_says(source: str, facts: Mapping[str, int]) -> None:
    known = {**START_VALUES, **facts}
    whole = DEFINITION.condition(source, frozenset(), CURRENCY)
    lifecycle = replace(LIFECYCLE, transitions=(Transition("x", frozenset("a"), "b", when=whole),))
    (way,) = ways_out(Standing(lifecycle, DEFINITION, STANDING, known, CURRENCY, 0))
    assert way["when"]["verdict"] == whole.evaluate(known, {}).verdict.value
    assert way["verdict"] == way["when"]["verdict"]


# Time alone

WATCHED_MS = 3 * DAY_MS
"""How long after its last event a customer is watched where nothing is said to come."""
LIVES = ANCHORS.flatmap(lambda anchor: st.tuples(lifecycle_sets(anchor[0]), histories(anchor[1])))


def met(rules: Rules, state: CustomerState, occurrence: Event | Tick) -> Applied:
    decision = advance(rules, state, occurrence)
    assert isinstance(decision, Applied)
    return decision


def of(name: str, decision: Applied) -> list[StageChange]:
    return [change for change in decision.changes if change.lifecycle.name == name]


@settings(max_examples=200)
@given(LIVES)
def test_what_time_alone_is_said_to_bring_is_what_it_brings_and_when(life: tuple[list[Plan], list[Record]]) -> None:
    plans, records = life
    rules, state = compiled(plans), NEW_CUSTOMER
    for record in records:
        state = met(rules, state, taken(record)).state
    for lifecycle in rules.lifecycles:
        coming = next_by_time(rules, state, lifecycle.name)
        if coming is None:
            watched = met(rules, state, Tick(records[-1].logged + WATCHED_MS))
            assert of(lifecycle.name, watched) == []
            continue
        before = met(rules, state, Tick(coming.noticed_ms - 1))
        assert of(lifecycle.name, before) == []
        first, *others = of(lifecycle.name, met(rules, before.state, Tick(coming.noticed_ms)))
        assert told(first) == told(coming.change)
        assert coming.settles_in == next(each.to for each in (first, *others) if each.settled)


def told(change: StageChange) -> tuple[object, ...]:
    """What is said of a move."""
    return change.transition and change.transition.id, change.from_, change.to, change.effective_ms, change.cause
