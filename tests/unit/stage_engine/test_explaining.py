"""What is explained of a customer: every verdict by a case of its own, with the values that stand behind it."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from services.stage_engine.definitions.definition import SHIPPED, load_definition, parse_definition
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.facts import BUILT_IN, START_VALUES, Ledger, apply_event
from services.stage_engine.domain.lifecycle import Rules, in_order
from services.stage_engine.explaining.explanation import Explaining
from services.stage_engine.explaining.ways_out import MOVED_BY
from shared.contracts.events import PAYLOADS, EventType
from shared.contracts.times import MINUTE_MS, to_text
from tests.unit.stage_engine.busy_customer import busy_life
from tests.unit.stage_engine.timeline import D, Step, lifecycle, live, play, purchase

HEAD = "time_zone: UTC\nfacts:\n"


def explained(texts: list[str], *steps: Step, at: int) -> dict[str, Any]:
    """The lifecycles of a customer who lived through the steps, at a minute."""
    definitions = [parse_definition("test.yaml", text) for text in texts]
    rules = Rules(in_order([each.compile(1, "BRL") for each in definitions]), "BRL")
    state = play(rules, *steps).state
    return Explaining(rules, {each.name: each for each in definitions}, state, at * MINUTE_MS).lifecycles()


def way(edge: str, *steps: Step, at: int = 100, facts: str = "") -> dict[str, Any]:
    """The only way out of the start stage, where the customer is whether or not it holds."""
    declared = f"{HEAD}  {facts}\nstages:\n" if facts else "stages:\n"
    without, text = (
        lifecycle("a b", *edges).replace("stages:\n", declared, 1)
        for edges in ((), (f"id: x, from: a, to: b, {edge}",))
    )
    definition, lived = parse_definition("test.yaml", text), parse_definition("test.yaml", without).compile(1, "BRL")
    state = play(Rules((lived,), "BRL"), *steps).state
    rules = Rules((definition.compile(1, "BRL"),), "BRL")
    (found,) = Explaining(rules, {"l": definition}, state, at * MINUTE_MS).lifecycles()["l"]["ways_out"]
    assert (found["transition"], found["to"]) == ("x", "b")
    return dict(found)


def written(part: dict[str, Any]) -> str:
    """A part on one line: its verdict, and its parts, or its text with what it reads."""
    for joined_by in ("all", "any"):
        if joined_by in part:
            return f"{part['verdict']} {joined_by}({'; '.join(map(written, part[joined_by]))})"
    reads = ", ".join(f"{name.removeprefix('facts.')}={value}" for name, value in part["reads"].items())
    first = " counts first" if part.get("event_counts_first") else ""
    return f"{part['verdict']} <{part['text']}> [{reads}]{first}"


VISIT = live(0, "engagement", channel="visit")
GIFT = live(0, "gift", points=1)

WHEN: dict[str, tuple[str, list[Step], str, str]] = {
    # edge, what happened, the verdict of the way, its condition
    "it holds": ('when: "facts.orders < 1"', [VISIT], "holds", "holds <facts.orders < 1> [orders=0]"),
    "it fails": ('when: "facts.orders >= 1"', [VISIT], "fails", "fails <facts.orders >= 1> [orders=0]"),
    "unknown": ('when: "facts.nps >= 9"', [VISIT], "unknown", "unknown <facts.nps >= 9> [nps=None]"),
    "asked for": ('when: "known.nps"', [VISIT], "fails", "fails <known.nps> [nps=None]"),
    "it can't be computed": (
        'when: "10 / facts.orders > 3"', [VISIT], "error", "error <10 / facts.orders > 3> [orders=0]",
    ),
    "money in major units": (
        'when: "facts.revenue >= 50.0"', [purchase(0, amount="12.50")], "fails", "fails <facts.revenue >= 50.0> [revenue=12.50]",
    ),
    "what every event moves is judged as it stands where none is awaited": (
        'when: "facts.last_seen > facts.first_seen"', [VISIT], "fails",
        f"fails <facts.last_seen > facts.first_seen> [first_seen={to_text(0)}, last_seen={to_text(0)}]",
    ),
    # Joined
    "all, one fails": (
        'when: "facts.nps > 8 && facts.orders > 0"', [VISIT], "fails",
        "fails all(unknown <facts.nps > 8> [nps=None]; fails <facts.orders > 0> [orders=0])",
    ),
    "all, one is unknown": (
        'when: "facts.orders < 1 && facts.nps > 8"', [VISIT], "unknown",
        "unknown all(holds <facts.orders < 1> [orders=0]; unknown <facts.nps > 8> [nps=None])",
    ),
    "all, the first that can't be told is told": (
        'when: "facts.nps > 8 && 1 / facts.orders > 0"', [VISIT], "unknown",
        "unknown all(unknown <facts.nps > 8> [nps=None]; error <1 / facts.orders > 0> [orders=0])",
    ),
    "any, one holds": (
        'when: "facts.nps > 8 || facts.orders < 1"', [VISIT], "holds",
        "holds any(unknown <facts.nps > 8> [nps=None]; holds <facts.orders < 1> [orders=0])",
    ),
    "any, none holds": (
        'when: "facts.orders > 1 || facts.refunds > 1"', [VISIT], "fails",
        "fails any(fails <facts.orders > 1> [orders=0]; fails <facts.refunds > 1> [refunds=0])",
    ),
    "any, one is unknown": (
        'when: "facts.orders > 1 || facts.nps > 8"', [VISIT], "unknown",
        "unknown any(fails <facts.orders > 1> [orders=0]; unknown <facts.nps > 8> [nps=None])",
    ),
    "any, the first that can't be told is told": (
        'when: "1 / facts.orders > 0 || facts.nps > 8"', [VISIT], "error",
        "error any(error <1 / facts.orders > 0> [orders=0]; unknown <facts.nps > 8> [nps=None])",
    ),
    "nested": (
        'when: "facts.orders < 1 && (facts.nps > 8 || facts.refunds > 0)"', [VISIT], "unknown",
        "unknown all(holds <facts.orders < 1> [orders=0]; "
        "unknown any(unknown <facts.nps > 8> [nps=None]; fails <facts.refunds > 0> [refunds=0]))",
    ),
    "a part that is a condition only in its place stays in it": (
        'when: "dyn(known.nps) && facts.orders < 1"', [VISIT], "fails",
        "fails <dyn(known.nps) && facts.orders < 1> [nps=None, orders=0]",
    ),
    # With an event
    "the event is awaited": (
        'on: complaint, when: "event.severity == \'high\'"', [VISIT], "waits", "waits <event.severity == 'high'> []",
    ),
    "a fact beside the event fails": (
        'on: complaint, when: "event.severity == \'high\' && facts.orders > 0"', [VISIT], "fails",
        "fails all(waits <event.severity == 'high'> []; fails <facts.orders > 0> [orders=0])",
    ),
    "the event may be enough": (
        'on: complaint, when: "event.severity == \'high\' || facts.orders > 0"', [VISIT], "waits",
        "waits any(waits <event.severity == 'high'> []; fails <facts.orders > 0> [orders=0])",
    ),
    "what is beside the event is enough": (
        'on: complaint, when: "event.severity == \'high\' || facts.orders < 1"', [VISIT], "waits",
        "holds any(waits <event.severity == 'high'> []; holds <facts.orders < 1> [orders=0])",
    ),
    "event and fact in one": (
        'on: survey_response, when: "event.score > facts.orders"', [VISIT], "waits",
        "waits <event.score > facts.orders> [orders=0]",
    ),
    "a field of any type": (
        'on: gift, when: "event.vip && facts.orders > 0"', [VISIT], "fails",
        "fails all(waits <event.vip> []; fails <facts.orders > 0> [orders=0])",
    ),
    "an order is counted before two are asked for": (
        'on: purchase, when: "facts.orders >= 2"', [purchase(0)], "waits", "fails <facts.orders >= 2> [orders=1] counts first",
    ),
    "what the event does not change must hold before": (
        'on: purchase, when: "facts.orders >= 2 && facts.complaints > 0"', [purchase(0)], "fails",
        "fails all(fails <facts.orders >= 2> [orders=1] counts first; fails <facts.complaints > 0> [complaints=0])",
    ),
    "what the event may undo": (
        'on: purchase, when: "facts.orders < 2"', [purchase(0)], "waits", "holds <facts.orders < 2> [orders=1] counts first",
    ),
    "every event is seen": (
        'on: gift, when: "facts.last_seen > facts.first_seen"', [VISIT], "waits",
        f"fails <facts.last_seen > facts.first_seen> [first_seen={to_text(0)}, last_seen={to_text(0)}] counts first",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHEN)
def test_each_part_of_a_condition_says_what_it_says_and_why(name: str) -> None:
    edge, steps, verdict, condition = WHEN[name]
    found = way(edge, *steps)
    assert written(found["when"]) == condition
    assert found["verdict"] == verdict


def test_what_could_not_be_computed_says_why() -> None:
    assert "zero" in way('when: "10 / facts.orders > 3"', VISIT)["when"]["detail"]


@pytest.mark.parametrize(
    ("facts", "edge", "expected"),
    [
        ("f: {sum: points, of: gift, type: int}", "facts.f > 3", "fails <facts.f > 3> [f=1]"),
        ("f: {sum: points, of: gift, type: int, within: 1d}", "facts.f < 1", "holds <facts.f < 1> [f=0]"),
        ('f: {expr: "10 / facts.orders"}', "facts.f > 3", "error <facts.f > 3> [f=None]"),
        ("f: {average_gap: gift}", "facts.f > duration('1h')", "unknown <facts.f > duration('1h')> [f=None]"),
    ],
)
def test_own_facts_are_read_as_they_stand_at_the_moment(facts: str, edge: str, expected: str) -> None:
    assert written(way(f'when: "{edge}"', GIFT, facts=facts, at=2 * D)["when"]) == expected


@pytest.mark.parametrize(
    ("on", "first"), [("gift", True), ("visit", False), ("[gift, visit]", True), ("purchase", True)]
)
def test_an_own_fact_counts_first_with_the_events_that_add_to_it(on: str, first: bool) -> None:
    facts = 'f: {count: gift}\n  g: {expr: "facts.f + facts.orders"}'
    found = way(f'on: {on}, when: "facts.g > 3"', GIFT, facts=facts)["when"]
    assert found.get("event_counts_first", False) is first


def test_another_lifecycles_stage_is_read_and_may_change_with_the_event() -> None:
    other = lifecycle("s t", "id: y, from: s, to: t, on: signup", name="m")
    reading = lifecycle("a b", "id: x, from: a, to: b, on: signup, when: \"stages.m == 't'\"")
    (found,) = explained([other, reading], VISIT, at=10)["l"]["ways_out"]
    assert written(found["when"]) == "fails <stages.m == 't'> [stages.m=s] counts first"
    assert found["verdict"] == "waits"


WAITS: dict[str, tuple[str, list[Step], int, str, dict[str, Any]]] = {
    "not over yet": (
        "after: 2h", [VISIT], 30, "waits",
        {"since": "entered", "length": "PT2H", "due_at": to_text(120 * MINUTE_MS), "verdict": "waits"},
    ),
    "over": (
        "after: 2h", [VISIT], 120, "holds",
        {"since": "entered", "length": "PT2H", "due_at": to_text(120 * MINUTE_MS), "verdict": "holds"},
    ),
    "since a fact": (
        "after: 1d, since: facts.last_purchase_at", [purchase(60)], 70, "waits",
        {"since": "facts.last_purchase_at", "length": "P1D", "due_at": to_text((60 + D) * MINUTE_MS), "verdict": "waits"},
    ),
    "since a fact without a value": (
        "after: 1d, since: facts.last_purchase_at", [VISIT], 70, "unknown",
        {"since": "facts.last_purchase_at", "length": "P1D", "due_at": None, "verdict": "unknown"},
    ),
    "over, but the condition fails": (
        'after: 2h, when: "facts.orders > 0"', [VISIT], 130, "fails",
        {"since": "entered", "length": "PT2H", "due_at": to_text(120 * MINUTE_MS), "verdict": "holds"},
    ),
    "over, and the event is awaited": (
        "after: 2h, on: signup", [VISIT], 130, "waits",
        {"since": "entered", "length": "PT2H", "due_at": to_text(120 * MINUTE_MS), "verdict": "holds"},
    ),
    "as long as a fact says": (
        "after: {fact: g, times: 2}", [GIFT, live(60, "gift")], 70, "waits",
        {"follows": "facts.g", "since": "entered", "length": "PT2H", "due_at": to_text(120 * MINUTE_MS), "verdict": "waits"},
    ),
    "as long as a fact without a value": (
        "after: {fact: g, times: 2}", [GIFT], 70, "unknown",
        {"follows": "facts.g", "since": "entered", "length": None, "due_at": None, "verdict": "unknown"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_says_until_when(name: str) -> None:
    edge, steps, at, verdict, wait = WAITS[name]
    found = way(edge, *steps, at=at, facts="g: {average_gap: gift}")
    assert found["after"] == wait
    assert found["verdict"] == verdict


def test_an_event_alone_is_waited_for() -> None:
    assert way("on: [signup, purchase]", VISIT) == {
        "transition": "x", "to": "b", "on": ["purchase", "signup"], "verdict": "waits",
    }  # fmt: skip


def test_a_stage_says_since_when_how_often_its_own_facts_and_all_ways_in_the_order_of_the_file() -> None:
    text = lifecycle(
        "a b c", "id: up, from: a, to: b, on: signup", "id: down, from: b, to: a, on: gift, demotion: true",
        'id: over, from: [a, b], to: c, when: "facts.nps > 8"', "id: never, from: c, to: a, on: gift, demotion: true",
    ).replace("stages:\n", f"{HEAD}  gifts: {{count: gift}}\n  last: {{last: channel, of: engagement}}\nstages:\n", 1)  # fmt: skip # noqa: E501
    steps = (live(0, "signup"), live(1, "gift"), live(2, "signup"))
    found = explained([text], *steps, at=5)["l"]
    assert [each["transition"] for each in found.pop("ways_out")] == ["down", "over"]
    assert found == {
        "version": 1, "stage": "b", "since": to_text(2 * MINUTE_MS), "entry": 2, "facts": {"gifts": 1},
        "by_time_alone": None,
    }  # fmt: skip


def test_a_lifecycle_that_the_customer_is_not_in_is_not_explained() -> None:
    definition = parse_definition("test.yaml", lifecycle("a b", "id: x, from: a, to: b, on: signup"))
    rules = Rules((definition.compile(1, "BRL"),), "BRL")
    assert Explaining(rules, {"l": definition}, NEW_CUSTOMER, 0).lifecycles() == {}


# By time alone

BY_TIME: dict[str, tuple[list[str], list[Step], dict[str, Any] | None]] = {
    "nothing is to come": ([lifecycle("a b", "id: x, from: a, to: b, on: signup")], [VISIT], None),
    "a wait ends": (
        [lifecycle("a b", "id: x, from: a, to: b, after: 1h")], [VISIT],
        {"transition": "x", "to": "b", "settles_in": "b", "effective_at": 60, "noticed_at": 65},
    ),
    "a wait that ends in vain": (
        [lifecycle("a b", 'id: x, from: a, to: b, after: 1h, when: "facts.orders > 0"')], [VISIT], None,
    ),
    "the later of two": (
        [lifecycle("a b", 'id: x, from: a, to: b, after: 1h, when: "facts.orders > 0"', "id: y, from: a, to: b, after: 2h")],
        [VISIT],
        {"transition": "y", "to": "b", "settles_in": "b", "effective_at": 120, "noticed_at": 125},
    ),
    "on to where the decision comes to rest": (
        [lifecycle("a b c", "id: x, from: a, to: b, after: 1h", 'id: y, from: b, to: c, when: "facts.orders < 1"')],
        [VISIT],
        {"transition": "x", "to": "b", "settles_in": "c", "effective_at": 60, "noticed_at": 65},
    ),
    "because another lifecycle moves, which waits for late events for longer": (
        [
            lifecycle("s t", "id: y, from: s, to: t, after: 1h", name="m", lateness="20m"),
            lifecycle("a b", "id: x, from: a, to: b, when: \"stages.m == 't'\""),
        ],
        [VISIT],
        {"transition": "x", "to": "b", "settles_in": "b", "effective_at": 60, "noticed_at": 80},
    ),
    "beside one that goes round for ever": (
        [
            lifecycle("s t", "id: y, from: s, to: t, after: 1s", "id: z, from: t, to: s, after: 1s, demotion: true", name="m"),
            lifecycle("a b", "id: x, from: a, to: b, after: 60d"),
        ],
        [VISIT],
        {"transition": "x", "to": "b", "settles_in": "b", "effective_at": 60 * D, "noticed_at": 60 * D + 5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_TIME)
def test_what_time_alone_brings_is_told_with_the_moment(name: str) -> None:
    texts, steps, expected = BY_TIME[name]
    found = explained(texts, *steps, at=10)["l"]["by_time_alone"]
    if expected is not None:
        moments = {key: to_text(expected[key] * MINUTE_MS) for key in ("effective_at", "noticed_at")}
        expected = {**expected, **moments}
    assert found == expected


def test_a_window_that_empties_is_told_to_the_local_midnight() -> None:
    text = lifecycle("a b", 'id: x, from: a, to: b, when: "facts.f < 1"').replace(
        "stages:\n", "time_zone: America/Sao_Paulo\nfacts:\n  f: {count: gift, within: 2d}\nstages:\n", 1
    )
    found = explained([text], GIFT, live(30, "gift"), at=40)["l"]["by_time_alone"]
    # 1970-01-01T00:00Z is the 31st of December there; it leaves at the start of the 2nd of January.
    assert found["effective_at"] == "1970-01-02T03:00:00.000Z"


# The shipped lifecycles


TYPES = frozenset(PAYLOADS) - {EventType.CONSENT_CHANGED}
"""What the busy customer has payloads for."""


def test_shipped_lifecycles_can_be_explained_at_every_step_of_a_busy_life() -> None:
    definitions = {path.stem: load_definition(path) for path in SHIPPED.glob("*.yaml")}
    rules = Rules(in_order([each.compile(1, "BRL") for each in definitions.values()]), "BRL")
    state, seen = NEW_CUSTOMER, set()
    for number, event in enumerate(islice(busy_life(TYPES), 400)):
        decision = advance(rules, state, event)
        assert isinstance(decision, Applied)
        state = decision.state
        if number % 10 == 0:
            parts = Explaining(rules, definitions, state, event.arrival_ms).lifecycles()
            assert parts.keys() == definitions.keys()
            seen |= {way["verdict"] for part in parts.values() for way in part["ways_out"]}
    assert seen >= {"fails", "waits"}


def test_an_event_moves_the_built_in_facts_that_are_said_to_be_moved_by_it_and_no_others() -> None:
    ledger, moved = Ledger(dict(START_VALUES), {}, "BRL"), set()
    for event in islice(busy_life(TYPES), 2_000):
        before = dict(ledger.facts)
        apply_event(ledger, event)
        moved |= {(name, event.type) for name, value in ledger.facts.items() if before.get(name) != value}
    by_any = BUILT_IN.keys() - MOVED_BY.keys()
    assert by_any == {"first_seen", "last_seen"}
    assert {each for each in moved if each[0] not in by_any} == {
        (name, str(event_type)) for name, types in MOVED_BY.items() for event_type in types
    }
