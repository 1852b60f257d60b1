"""Laws of `lint`: a transition that is said to be never taken never is."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.stage_engine.definitions.definition import Definition, parse_definition
from services.stage_engine.definitions.lint import lint
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event, Tick
from services.stage_engine.domain.lifecycle import Rules
from shared.contracts.times import DAY_MS
from tests.properties.conditions import Both, Compares, Condition
from tests.properties.declared import CURRENCY
from tests.properties.histories import ANCHORS, histories, taken
from tests.properties.lifecycles import content, plans
from tests.properties.oracle import Edge, Plan
from tests.properties.records import Record

_MORE: st.SearchStrategy[Condition | None] = st.sampled_from(
    (None, Compares("orders", "<", 3), Compares("engagements", ">=", 0))
)


@st.composite
def shadowed(draw: st.DrawFn, zone: str) -> Plan:
    """A lifecycle whose last transitions say no less than earlier ones, and lead elsewhere."""
    plan = draw(plans("m", zone, ()))
    copies = [draw(_copy(plan, edge, f"copy{number}")) for number, edge in enumerate(plan.edges)]
    return replace(plan, edges=(*plan.edges, *copies))


@st.composite
def _copy(draw: st.DrawFn, plan: Plan, edge: Edge, name: str) -> Edge:
    targets = [stage for stage in plan.orders if stage not in edge.sources]
    more = draw(_MORE)
    when = more if edge.when is None else edge.when if more is None else Both(edge.when, more)
    longer = edge.after + draw(st.sampled_from((0, 300_000))) if isinstance(edge.after, int) else edge.after
    return replace(edge, id=name, target=draw(st.sampled_from(targets)), when=when, after=longer)


def defined(plan: Plan) -> Definition:
    """The plan as a file: JSON is YAML too."""
    return parse_definition("m.yaml", json.dumps(content(plan)))


def never_taken(definition: Definition) -> set[str]:
    """The ids of transitions that lint says this of."""
    messages = [problem.message for problem in lint(definition)]
    return {message.split("`")[1] for message in messages if "` is never taken: " in message}


@settings(max_examples=300)
@given(ANCHORS.flatmap(lambda anchor: st.tuples(shadowed(anchor[0]), histories(anchor[1]))))
def test_a_transition_that_is_said_to_be_never_taken_never_is(life: tuple[Plan, list[Record]]) -> None:
    plan, records = life
    definition = defined(plan)
    said = never_taken(definition)
    assume(said)
    rules = Rules((definition.compile(1, CURRENCY),), CURRENCY)
    state, moves = NEW_CUSTOMER, set[str]()
    occurrences: list[Event | Tick] = [*map(taken, records), Tick("t", "c", records[-1].logged + 10 * DAY_MS)]
    for occurrence in occurrences:
        decision = advance(rules, state, occurrence)
        assert isinstance(decision, Applied)
        state = decision.state
        moves |= {change.transition.id for change in decision.changes if change.transition}
    assert not said & moves
