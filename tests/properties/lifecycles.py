"""Random lifecycles as hypothesis strategies: edges, own facts with windows in zones with daylight saving, conditions on
each other's stages; and the definition files that say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.file_model import LifecycleFile
from services.stage_engine.definitions.together import check_together
from services.stage_engine.domain.lifecycle import Rules, in_order
from shared.contracts.times import HOUR_MS, MINUTE_MS
from tests.properties.conditions import (
    After,
    Both,
    Compares,
    Condition,
    Divides,
    Either,
    Field,
    Known,
    Measures,
    Not,
    Stands,
)
from tests.properties.declared import CURRENCY, Computed, Declared, OwnFact
from tests.properties.histories import TYPES, ZONES
from tests.properties.oracle import Edge, Follow, Plan, in_running_order

_COUNTS = ("orders", "complaints", "open_complaints", "engagements", "referrals", "refunds")
_SCORES = ("nps", "csat")
_MONEY = ("revenue", "average_order_value")
_TIMES = ("first_seen", "last_seen", "signed_up_at", "first_purchase_at", "last_purchase_at", "last_engagement_at")

_OPS = st.sampled_from((">=", "<", "==", "!="))
_BUILT_IN: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compares, st.sampled_from(_COUNTS), _OPS, st.integers(0, 3)),
    st.builds(Compares, st.sampled_from(_SCORES), _OPS, st.integers(1, 5)),
    st.builds(Compares, st.sampled_from(_MONEY), st.sampled_from((">=", "<")), st.sampled_from((0, 50, 100, 300))),
    st.builds(Known, st.sampled_from(_SCORES + _TIMES)),
    st.builds(After, st.sampled_from(_TIMES), st.sampled_from(_TIMES)),
    st.builds(Divides, st.sampled_from(("orders", "engagements")), st.sampled_from((4, 12))),
)
_POINTS: st.SearchStrategy[Condition] = st.builds(Field, st.just("points"), _OPS, st.integers(0, 2))
_WAITS = st.sampled_from((5, 10, 30, 60, 200, 1440, 2880)).map(lambda minutes: minutes * MINUTE_MS)


# Own facts

_NO_WHERE: st.SearchStrategy[Condition | None] = st.none()
_WHERE: dict[str, st.SearchStrategy[Condition | None]] = {
    "engagement": _NO_WHERE | st.builds(Field, st.just("channel"), st.just("=="), st.sampled_from(("visit", "ad"))),
    "gift": _NO_WHERE | _POINTS,
    "survey_response": _NO_WHERE | st.builds(Field, st.just("score"), st.just(">="), st.integers(2, 4)),
}
_FIELDS = (
    # type, field, how it is taken, whether the file says so
    ("purchase", "amount", "money", False),
    ("survey_response", "score", "int", False),
    ("engagement", "channel", "text", False),
    ("gift", "points", "int", True),
    ("gift", "weight", "number", True),
    ("purchase", "time", "time", False),
    ("engagement", "time", "time", False),
)
_KINDS_OF = {"text": ("first", "last", "distinct"), "time": ("first", "last", "min", "max")}
_KINDS = ("sum", "min", "max", "first", "last", "average", "distinct")
_WINDOWS = st.sampled_from((None, 1, 1, 2, 3, 5))


@st.composite
def declared(draw: st.DrawFn, name: str) -> Declared:
    """One aggregation."""
    if draw(st.booleans()):
        kind = draw(st.sampled_from(("count", "count", "average_gap")))
        types = tuple(draw(_some_of(TYPES, 2)))
        return Declared(name, kind, types, where=draw(_where(types)), days=draw(_WINDOWS))
    type_, field, takes, says = draw(st.sampled_from(_FIELDS))
    kind = draw(st.sampled_from(_KINDS_OF.get(takes, _KINDS)))
    where = draw(_where((type_,)))
    return Declared(name, kind, (type_,), field, takes, says, where=where, days=draw(_WINDOWS))


def _where(types: Sequence[str]) -> st.SearchStrategy[Condition | None]:
    return _WHERE.get(types[0], _NO_WHERE) if len(types) == 1 else _NO_WHERE


@st.composite
def own_facts(draw: st.DrawFn) -> tuple[OwnFact, ...]:
    """Up to four aggregations, mostly a window and a gap among them, and up to two facts computed from what is there."""
    facts: list[OwnFact] = [draw(declared(f"f{number}")) for number in range(draw(st.sampled_from((0, 0, 1, 2))))]
    if draw(st.integers(0, 3)):
        facts.append(
            Declared("recent", "count", tuple(draw(_some_of(TYPES, 2))), days=draw(st.sampled_from((1, 2, 3))))
        )
    if draw(st.integers(0, 2)) == 0:
        facts.append(Declared("gap", "average_gap", tuple(draw(_some_of(TYPES, 3)))))
    for number in range(draw(st.sampled_from((0, 0, 1, 2))) if facts else 0):
        whole = [fact.name for fact in facts if fact.type == "int"] + ["orders", "complaints"]
        money = [fact.name for fact in facts if fact.type == "money"] + ["revenue"]
        kind = draw(st.sampled_from(("sum", "quotient", "share")))
        one = draw(st.sampled_from(money if kind == "share" else whole))
        facts.append(Computed(f"x{number}", kind, one, draw(st.sampled_from(whole))))
    return tuple(facts)


# Conditions and edges

_NUMBERS: dict[str, tuple[tuple[float | str, str], ...]] = {
    "int": tuple((n, str(n)) for n in range(4)),
    "number": tuple((x, str(x)) for x in (0.5, 1.5, 2.0, 50.0)),
    "money": tuple((n * 100, f"{n}.0") for n in (0, 50, 100, 252)),
    "duration": tuple((n * HOUR_MS, f"duration('{n}h')") for n in (0, 1, 10, 24, 48)),
    "text": (("visit", "'visit'"), ("ad", "'ad'")),
}
"""Constants by type: as a fact is kept, and as a condition has them."""


_FEW: st.SearchStrategy[Condition] = st.sampled_from([("==", 0), ("==", 1), ("<", 1), ("<", 2)]).map(
    lambda few: Measures("recent", few[0], few[1], str(few[1]))
)


@dataclass(frozen=True)
class Around:
    """What edges of one lifecycle may name."""

    stages: tuple[str, ...]
    facts: tuple[OwnFact, ...]
    others: tuple[Plan, ...]

    @property
    def times(self) -> tuple[str | None, ...]:
        """What a wait may count from."""
        own = [fact.name for fact in self.facts if fact.type == "time" and _is_steady(fact)]
        return (None, None, *_TIMES, *own, *own)

    @property
    def gaps(self) -> tuple[str, ...]:
        """What a wait may follow."""
        return tuple(fact.name for fact in self.facts if fact.type == "duration" and _is_steady(fact))


def _is_steady(fact: OwnFact) -> bool:
    return isinstance(fact, Declared) and fact.days is None


@st.composite
def measured(draw: st.DrawFn, fact: OwnFact) -> Condition:
    """A condition over a fact, by its type."""
    if draw(st.integers(0, 3)) == 0:
        return Known(fact.name)
    if fact.type == "time":
        return After(draw(st.sampled_from(_TIMES)), fact.name)
    if fact.name == "recent":
        # What days that go by can make true.
        return draw(_FEW)
    constant, written = draw(st.sampled_from(_NUMBERS[fact.type]))
    op = draw(_OPS)
    return Measures(fact.name, {">=": "!=", "<": "=="}.get(op, op) if fact.type == "text" else op, constant, written)


@st.composite
def part(draw: st.DrawFn, around: Around, gift: bool) -> Condition:
    """A condition without `and`, `or` and `not`."""
    kind = draw(st.sampled_from(("own", "own", "own", "stands", "stands", "built in")))
    if kind == "own" and around.facts:
        return draw(measured(draw(st.sampled_from(around.facts))))
    if kind == "stands" and around.others:
        other = draw(st.sampled_from(around.others))
        return Stands(other.name, tuple(draw(_some_of(tuple(other.orders), 2))))
    return draw(_POINTS if gift and draw(st.booleans()) else _BUILT_IN)


@st.composite
def condition(draw: st.DrawFn, around: Around, gift: bool) -> Condition:
    """A condition of one part or two."""
    one = draw(part(around, gift))
    form = draw(st.sampled_from(("plain", "plain", "plain", "not", "both", "either")))
    if form == "plain":
        return one
    if form == "not":
        return Not(one)
    other = draw(part(around, gift))
    return Both(one, other) if form == "both" else Either(one, other)


@st.composite
def wait(draw: st.DrawFn, around: Around) -> int | Follow:
    """How long an edge waits."""
    if not around.gaps or draw(st.integers(0, 3)) == 0:
        return draw(_WAITS)
    shortest, longest = draw(st.sampled_from((None, 10, 700))), draw(st.sampled_from((None, 700, 1440)))
    return Follow(
        draw(st.sampled_from(around.gaps)),
        draw(st.sampled_from((0.5, 1.0, 2.0))),
        None if shortest is None else shortest * MINUTE_MS,
        None if longest is None else longest * MINUTE_MS,
    )


@lru_cache(None)
def _some_of(choice: tuple[str, ...], most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(choice), min_size=1, max_size=most, unique=True)


@st.composite
def edges(draw: st.DrawFn, number: int, around: Around) -> Edge:
    """An edge: pure or not, with a condition or a wait or both."""
    target = draw(st.sampled_from(around.stages))
    sources = draw(_some_of(tuple(stage for stage in around.stages if stage != target), 3))
    kind = draw(st.sampled_from(("on", "on", "when", "when", "when", "after", "after", "both", "all")))
    on = tuple(draw(_some_of(TYPES, 2))) if kind in ("on", "all") else ()
    asks = kind in ("when", "both", "all") or (on and draw(st.booleans()))
    waits = kind in ("after", "both", "all")
    return Edge(
        id=f"e{number}",
        sources=tuple(sources),
        target=target,
        on=on,
        when=draw(condition(around, on == ("gift",))) if asks else None,
        after=draw(wait(around)) if waits else None,
        since=draw(st.sampled_from(around.times)) if waits else None,
    )


@st.composite
def plans(draw: st.DrawFn, name: str, zone: str, others: tuple[Plan, ...]) -> Plan:
    """A lifecycle of two to six stages, some of equal order; it may read the stages of those given."""
    stages = tuple(f"s{number}" for number in range(draw(st.integers(2, 6))))
    orders = {stage: draw(st.integers(0, 3)) for stage in stages}
    lateness = draw(st.sampled_from((5, 5, 5, 1, 20, 600))) * MINUTE_MS
    facts = draw(own_facts())
    around = Around(stages, facts, others)
    found = [draw(edges(number, around)) for number in range(draw(st.integers(1, 9)))]
    if any(fact.name == "recent" for fact in facts) and draw(st.booleans()):
        found.append(Edge("quiet", tuple(stage for stage in stages[1:]), stages[0], when=draw(_FEW)))
    return Plan(name, orders, tuple(found), lateness, draw(st.sampled_from((zone, zone, zone, *ZONES))), facts)


@st.composite
def lifecycle_sets(draw: st.DrawFn, zone: str = "UTC") -> list[Plan]:
    """One to three lifecycles, in no order; one may read the stages of those drawn before it."""
    found: list[Plan] = []
    for name in draw(st.permutations("mbz"))[: draw(st.integers(1, 3))]:
        found.append(draw(plans(name, zone, tuple(found))))
    return found


# Definition files


def compiled(sets: Sequence[Plan]) -> Rules:
    """The generated lifecycles, checked and compiled as those of files are, but for the YAML, which takes its time."""
    return together([definition_of(plan) for plan in sets], sets)


def definition_of(plan: Plan) -> Definition:
    """A generated lifecycle as a definition; its text stands for that of a file."""
    said = content(plan)
    return Definition(plan.name, str(said), f"{plan.name}.yaml", LifecycleFile.model_validate(said))


def together(definitions: Sequence[Definition], sets: Sequence[Plan]) -> Rules:
    """Definitions as rules, in the order in which they run."""
    check_together(definitions)
    lifecycles = in_order(definition.compile(1, CURRENCY) for definition in definitions)
    assert [each.name for each in lifecycles] == [plan.name for plan in in_running_order(sets)]
    return Rules(lifecycles, CURRENCY)


def content(plan: Plan) -> dict[str, Any]:
    """What the definition file of a generated lifecycle says."""
    return {
        "lifecycle": plan.name,
        "start": plan.start,
        "lateness": _minutes(plan.lateness),
        "time_zone": plan.zone,
        "facts": {fact.name: fact.content() for fact in plan.facts},
        "stages": {stage: {"order": order} for stage, order in plan.orders.items()},
        "transitions": [_edge(plan, edge) for edge in plan.edges],
    }


def _edge(plan: Plan, edge: Edge) -> dict[str, Any]:
    said = {
        "id": edge.id,
        "from": list(edge.sources),
        "to": edge.target,
        "on": list(edge.on),
        "when": edge.when.text() if edge.when else None,
        "after": _wait(edge.after),
        "since": f"facts.{edge.since}" if edge.since else None,
        "demotion": any(plan.orders[source] > plan.orders[edge.target] for source in edge.sources),
    }
    return {key: value for key, value in said.items() if value}


def _wait(after: int | Follow | None) -> Any:
    if not isinstance(after, Follow):
        return _minutes(after)
    said = {"fact": after.fact, "times": after.times, "min": _minutes(after.shortest), "max": _minutes(after.longest)}
    return {key: value for key, value in said.items() if value is not None}


def _minutes(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else f"{milliseconds // MINUTE_MS}m"
