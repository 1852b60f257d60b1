"""Laws of `lint`: a transition that is said to be never taken never is, and what is said of conditions holds whatever the
facts are, those without a value and fields of any type among them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from services.stage_engine.definitions.contradictions import exclude, implies, never_holds
from services.stage_engine.definitions.definition import Definition, parse_definition
from services.stage_engine.definitions.expressions import ConditionError, names_in
from services.stage_engine.definitions.lint import lint
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.conditions import Verdict as Found
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event, Tick
from services.stage_engine.domain.lifecycle import Rules
from shared.contracts.times import DAY_MS
from tests.properties.conditions import Both, Compares, Condition, Facts, Verdict
from tests.properties.declared import CURRENCY
from tests.properties.histories import ANCHORS, histories, taken
from tests.properties.lifecycles import content, plans
from tests.properties.oracle import Edge, Plan
from tests.properties.records import Record

_OPERATORS = st.sampled_from((">=", ">", "==", "!=", "<=", "<"))


@dataclass(frozen=True)
class Written(Condition):
    """A condition of which only the text is wanted here."""

    source: str

    def text(self) -> str:
        return self.source

    def reads(self) -> frozenset[str]:
        raise NotImplementedError

    def verdict(self, facts: Facts, data: Mapping[str, Any]) -> Verdict:
        raise NotImplementedError


def _compared(names: Sequence[str], constants: Sequence[str]) -> st.SearchStrategy[str]:
    """A name with a constant, either way round."""
    given = st.tuples(st.sampled_from(names), _OPERATORS, st.sampled_from(constants), st.booleans())
    return given.map(lambda each: " ".join(each[:3] if each[3] else each[2::-1]))


_WHOLE = _compared(("facts.orders", "facts.orders", "facts.nps", "facts.nps", "facts.engagements"), tuple("01234"))
_PLAIN = st.one_of(_WHOLE, _WHOLE, st.sampled_from(("known.nps", "known.csat", "12 / facts.orders >= 4", "true")))
_ANY_PLAIN = st.one_of(
    _PLAIN,
    _compared(("facts.revenue",), ("0.0", "1.5", "2.0", "2.50")),
    _compared(("facts.c", "event.text"), ("'ad'", "'visit'", '"ad"', r"'\x61d'")),
    _compared(("facts.g",), ("duration('90m')", "duration('1.5h')", "duration('100ms')", "duration('1m')")),
    _compared(("event.points",), ("1", "2", "2.0", "1.5")),
    _compared(("facts.orders", "facts.engagements"), ("facts.nps", "facts.engagements")),
    st.sampled_from(("facts.c in ['ad']", "facts.c in ['ad', 'visit']", "facts.c in [event.text, 'ad']")),
    st.just("facts.orders in [1, 2]"),
)  # fmt: skip


def _composed(plain: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One, its opposite, or several joined."""
    return st.recursive(
        plain,
        lambda parts: st.one_of(
            parts.map("!({})".format),
            st.tuples(parts, parts).map("({0[0]}) && ({0[1]})".format),
            st.tuples(parts, parts).map("({0[0]}) || ({0[1]})".format),
        ),
        max_leaves=4,
    )


_MORE: st.SearchStrategy[Condition | None] = st.sampled_from(
    (None, Compares("orders", "<", 3), Compares("engagements", ">=", 0))
)


@st.composite
def shadowed(draw: st.DrawFn, zone: str) -> Plan:
    """A lifecycle whose last transitions say no less than earlier ones, and lead elsewhere."""
    plan = draw(plans("m", zone, ()))
    copies = [draw(_copy(plan, edge, f"copy{number}")) for number, edge in enumerate(plan.edges)]
    pairs = [edge for number in range(draw(st.integers(1, 4))) for edge in draw(_pair(plan, f"pair{number}"))]
    return replace(plan, edges=(*pairs, *plan.edges, *copies))


@st.composite
def _pair(draw: st.DrawFn, plan: Plan, name: str) -> list[Edge]:
    """Two transitions with conditions of their own out of the same stage, on the same events or without."""
    source = draw(st.sampled_from(tuple(plan.orders)))
    targets = st.sampled_from([stage for stage in plan.orders if stage != source])
    on = draw(st.sampled_from(((), ("purchase",), ("survey_response", "engagement"))))
    whens = [Written(draw(_composed(_PLAIN))) for _ in range(2)]
    return [Edge(f"{name}_{place}", (source,), draw(targets), on, when) for place, when in enumerate(whens)]


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
    said = ("` is never taken: ", "` can never hold: ")
    return {message.split("`")[1] for message in messages if any(each in message for each in said)}


@settings(max_examples=300)
@given(ANCHORS.flatmap(lambda anchor: st.tuples(shadowed(anchor[0]), histories(anchor[1]))))
def test_a_transition_that_is_said_to_be_never_taken_never_is(life: tuple[Plan, list[Record]]) -> None:
    plan, records = life
    definition = defined(plan)
    said = never_taken(definition)
    assume(said)
    rules = Rules((definition.compile(1, CURRENCY),), CURRENCY)
    state, moves = NEW_CUSTOMER, set[str]()
    occurrences: list[Event | Tick] = [*map(taken, records), Tick(records[-1].logged + 10 * DAY_MS)]
    for occurrence in occurrences:
        decision = advance(rules, state, occurrence)
        assert isinstance(decision, Applied)
        state = decision.state
        moves |= {change.transition.id for change in decision.changes if change.transition}
    assert not said & moves


DEFINITION = parse_definition(
    "c.yaml",
    json.dumps({
        "lifecycle": "c", "start": "a", "stages": {"a": {"order": 1}},
        "facts": {"c": {"last": "channel", "of": "engagement"}, "g": {"average_gap": "purchase"}},
    }),
)  # fmt: skip
_FACTS = st.fixed_dictionaries(
    {"orders": st.integers(0, 5), "engagements": st.integers(0, 5), "revenue": st.sampled_from((0, 149, 150, 200, 225, 300))},
    optional={
        "nps": st.integers(0, 5), "csat": st.integers(0, 5), "c": st.sampled_from(("ad", "visit", "other")),
        "g": st.sampled_from((50, 100, 59_999, 60_000, 5_400_000, 5_400_001)),
    },
)  # fmt: skip
_DATA = st.fixed_dictionaries(
    {}, optional={"points": st.sampled_from((0, 1, 1.2, 1.5, 2, 2.0, 3, "2", True)), "text": st.sampled_from(("ad", "visit", 1))}
)  # fmt: skip


def holds(source: str, facts: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """What CEL says. A condition that the file can't have is passed over."""
    try:
        condition = DEFINITION.condition(source, frozenset({"gift"}), CURRENCY)
    except ConditionError:
        reject()
    return condition.evaluate(facts, data).verdict is Found.HOLDS


@settings(max_examples=500, deadline=None)
@given(
    st.lists(_composed(_ANY_PLAIN), min_size=2, max_size=4, unique=True),
    st.lists(st.tuples(_FACTS, _DATA), min_size=8, max_size=12),
)
def test_what_is_said_of_conditions_holds_whatever_the_facts(
    whens: list[str], situations: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    for facts, data in situations:
        held = [when for when in whens if holds(when, facts, data)]
        assert not any(map(never_holds, held))
        assert not exclude(held)
        for when in held:
            missed = [other for other in whens if other not in held and implies(when, other)]
            assert not [other for other in missed if _risks(other) <= _risks(when)]


def _risks(when: str) -> set[str]:
    """Fields of the event that it names: one that can't be read fails the whole condition."""
    return {name for kind, name in names_in(when) if kind == "event"}
