"""Random lifecycles and random histories of one customer, as hypothesis strategies."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.lifecycle import Rules
from shared.contracts.times import DAY_MS, MINUTE_MS
from tests.properties.conditions import After, Both, Compares, Condition, Divides, Either, Field, Known, Not
from tests.properties.oracle import Edge, Plan, Record

CURRENCY = "BRL"
START_MS = 1_750_000_000_000

_COUNTS = ("orders", "complaints", "open_complaints", "engagements", "referrals", "refunds")
_SCORES = ("nps", "csat")
_MONEY = ("revenue", "average_order_value")
_TIMES = ("first_seen", "last_seen", "signed_up_at", "first_purchase_at", "last_purchase_at", "last_engagement_at")
_TYPES = (
    "signup",
    "purchase",
    "purchase",
    "purchase_refunded",
    "complaint",
    "complaint_resolved",
    "survey_response",
    "engagement",
    "referral",
    "gift",
)

_OPS = st.sampled_from((">=", "<", "==", "!="))
_FACT_CONDITIONS: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compares, st.sampled_from(_COUNTS), _OPS, st.integers(0, 3)),
    st.builds(Compares, st.sampled_from(_SCORES), _OPS, st.integers(1, 5)),
    st.builds(Compares, st.sampled_from(_MONEY), st.sampled_from((">=", "<")), st.sampled_from((0, 50, 100, 300))),
    st.builds(Known, st.sampled_from(_SCORES + _TIMES)),
    st.builds(After, st.sampled_from(_TIMES), st.sampled_from(_TIMES)),
    st.builds(Divides, st.sampled_from(("orders", "engagements")), st.sampled_from((4, 12))),
)
_POINTS: st.SearchStrategy[Condition] = st.builds(Field, st.just("points"), _OPS, st.integers(0, 2))


def _grown(leaves: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    return st.one_of(
        leaves,
        leaves,
        leaves,
        st.builds(Not, leaves),
        st.builds(Both, leaves, leaves),
        st.builds(Either, leaves, leaves),
    )


_PURE_WHEN = _grown(_FACT_CONDITIONS)
_GIFT_WHEN = _grown(st.one_of(_FACT_CONDITIONS, _POINTS))
_AFTER = st.sampled_from((5, 10, 30, 60, 200, 1440)).map(lambda minutes: minutes * MINUTE_MS)


@st.composite
def edges(draw: st.DrawFn, number: int, stages: tuple[str, ...]) -> Edge:
    """An edge: pure or not, with a condition or a wait or both."""
    target = draw(st.sampled_from(stages))
    others = [stage for stage in stages if stage != target]
    sources = draw(st.lists(st.sampled_from(others), min_size=1, max_size=3, unique=True))
    kind = draw(st.sampled_from(("on", "on", "when", "when", "after", "after", "both", "all")))
    on = tuple(draw(st.lists(st.sampled_from(_TYPES), min_size=1, max_size=2, unique=True)))
    if kind not in ("on", "all"):
        on = ()
    when = None
    if kind in ("when", "both", "all") or (on and draw(st.booleans())):
        when = draw(_GIFT_WHEN if on == ("gift",) else _PURE_WHEN)
    waits = kind in ("after", "both", "all")
    return Edge(
        id=f"e{number}",
        sources=tuple(sources),
        target=target,
        on=on,
        when=when,
        after=draw(_AFTER) if waits else None,
        since=draw(st.sampled_from((None, None, *_TIMES))) if waits else None,
    )


@st.composite
def plans(draw: st.DrawFn, name: str) -> Plan:
    """A lifecycle of two to six stages, some of equal order."""
    stages = tuple(f"s{number}" for number in range(draw(st.integers(2, 6))))
    orders = {stage: draw(st.integers(0, 3)) for stage in stages}
    count = draw(st.integers(1, 9))
    lateness = draw(st.sampled_from((5, 5, 5, 1, 20))) * MINUTE_MS
    return Plan(name, orders, tuple(draw(edges(number, stages)) for number in range(count)), lateness)


def lifecycle_sets() -> st.SearchStrategy[list[Plan]]:
    """One to three lifecycles, in an order that is not that of their names."""
    return st.integers(1, 3).flatmap(lambda count: st.tuples(*map(plans, "mbz"[:count])).map(list))


def _data(type_: str) -> st.SearchStrategy[dict[str, Any]]:
    money = st.sampled_from(("25.20", "100.80", "252.00"))
    currency = st.sampled_from((CURRENCY, CURRENCY, CURRENCY, "USD"))
    complaint = st.sampled_from(("k1", "k2", "k3"))
    by_type: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "purchase": st.fixed_dictionaries({"order_id": st.just("o"), "amount": money, "currency": currency}),
        "complaint": st.fixed_dictionaries({"complaint_id": complaint}),
        "survey_response": st.fixed_dictionaries(
            {"kind": st.sampled_from(("nps", "nps", "csat")), "score": st.integers(1, 5)}
        ),
        "engagement": st.just({"channel": "visit"}),
        "gift": st.one_of(st.just({}), st.fixed_dictionaries({"points": st.integers(0, 2)})),
    }
    by_type |= {"purchase_refunded": by_type["purchase"], "complaint_resolved": by_type["complaint"]}
    return by_type.get(type_, st.just({}))


_GAPS = st.sampled_from((0, 0, 1, 4, 5, 6, 10, 30, 61, 205, 2000)).map(lambda minutes: minutes * MINUTE_MS)
_LAGS = st.sampled_from((0, 0, 0, 0, 1, 4, 6, 20, 100, 3000, -3)).map(lambda minutes: minutes * MINUTE_MS)


@st.composite
def histories(draw: st.DrawFn, *, may_import: bool = True) -> list[Record]:
    """An import that is ordered by time, or none, and then a life: late events, equal times, clocks that run ahead."""
    records: list[Record] = []
    happened = START_MS - 4 * DAY_MS
    for number in range(draw(st.integers(0, 4)) if may_import and draw(st.booleans()) else 0):
        happened += draw(_GAPS)
        type_ = draw(st.sampled_from(_TYPES))
        # Log times of an import are odd, so that no timer is ripe in the very millisecond in which the import ends.
        records.append(Record(f"i{number}", type_, happened, START_MS + 2 * number + 1, True, draw(_data(type_))))
    arrival = START_MS + DAY_MS // 2
    for number in range(draw(st.integers(1, 10))):
        arrival += draw(_GAPS)
        type_ = draw(st.sampled_from(_TYPES))
        records.append(Record(f"r{number}", type_, arrival - draw(_LAGS), arrival, False, draw(_data(type_))))
    return records


def compiled(sets: list[Plan]) -> Rules:
    """The generated lifecycles through the definition files' own way in."""
    return Rules(tuple(parse_definition(plan.name, text(plan)).compile(1, CURRENCY) for plan in sets), CURRENCY)


def taken(record: Record, customer: str = "c") -> Event:
    """The record as the engine takes it."""
    origin = Origin("t", customer, record.id, record.type)
    return Event.taken(origin, record.said, record.logged, backfill=record.backfill, data=record.data)


def text(plan: Plan) -> str:
    """The definition file of a generated lifecycle."""
    lines = [f"lifecycle: {plan.name}", f"start: {plan.start}", f"lateness: {plan.lateness // MINUTE_MS}m", "stages:"]
    lines += [f"  {stage}: {{order: {order}}}" for stage, order in plan.orders.items()]
    lines.append("transitions:")
    for edge in plan.edges:
        lines += [f"  - id: {edge.id}", f"    from: [{', '.join(edge.sources)}]", f"    to: {edge.target}"]
        lines += [f"    on: [{', '.join(edge.on)}]"] if edge.on else []
        lines += [f'    when: "{edge.when.text()}"'] if edge.when else []
        lines += [f"    after: {edge.after // MINUTE_MS}m"] if edge.after is not None else []
        lines += [f"    since: facts.{edge.since}"] if edge.since else []
        if any(plan.orders[source] > plan.orders[edge.target] for source in edge.sources):
            lines.append("    demotion: true")
    return "\n".join(lines) + "\n"
