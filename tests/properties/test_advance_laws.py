"""Laws of `advance`, on random lifecycles and random histories, and its agreement with an independent reading."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.definitions.file_model import LifecycleFile
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied, BehindClock, ByEvent, ByTimer, EvaluationError, StageChange
from services.stage_engine.domain.event import Event, Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.own_facts import FactFailed, FactView
from services.stage_engine.domain.state import CustomerState, decode_state, encode_state
from shared.contracts.times import DAY_MS, MINUTE_MS
from tests.properties.counted import facts_of
from tests.properties.histories import ANCHORS, histories, taken
from tests.properties.lifecycles import compiled, content, lifecycle_sets
from tests.properties.oracle import Change, Edge, Oracle, Plan, has_value
from tests.properties.records import Record

END_MS = 10 * DAY_MS
"""How long after the last record the customer is watched."""


@dataclass
class Lived:
    """What `advance` made of a history."""

    state: CustomerState = NEW_CUSTOMER
    changes: list[StageChange] = field(default_factory=list)
    errors: list[EvaluationError] = field(default_factory=list)

    def meet(self, rules: Rules, occurrence: Event | Tick) -> list[StageChange]:
        """One step; returns its stage changes."""
        decision = advance(rules, self.state, occurrence)
        assert isinstance(decision, Applied), decision
        self.state = decision.state
        self.changes += decision.changes
        self.errors += decision.errors
        return list(decision.changes)


def live_through(rules: Rules, occurrences: Iterable[Event | Tick]) -> Lived:
    """All steps from a new customer on."""
    lived = Lived()
    for occurrence in occurrences:
        lived.meet(rules, occurrence)
    return lived


def cause_of(change: StageChange) -> str | int:
    """The event's id, or when a timer was due."""
    if isinstance(change.cause, ByEvent):
        return change.cause.event.id
    assert isinstance(change.cause, ByTimer)
    return change.cause.due_ms


def compared(change: StageChange) -> Change:
    """A stage change in the oracle's terms."""
    return Change(
        at=change.effective_ms,
        lifecycle=change.lifecycle.name,
        from_=change.from_,
        to=change.to,
        transition=change.transition.id if change.transition else None,
        direction=change.lifecycle.direction(change.from_, change.to),
        entry=change.entry,
        sequence=change.sequence,
        revision=change.after.revision,
        settled=change.settled,
        late=change.late,
        backfill=change.backfill,
        cause=cause_of(change),
        previous_entered=change.previous_entered_ms,
        facts=dict(change.facts),
    )


def without_ticks(records: Sequence[Record]) -> list[Event | Tick]:
    """The records alone, and time at the end."""
    return [*map(taken, records), Tick(records[-1].logged + END_MS)]


@st.composite
def with_ticks(draw: st.DrawFn, records: Sequence[Record]) -> list[Event | Tick]:
    """The records with ticks between them, none before what has arrived or beyond what is still to arrive."""
    occurrences: list[Event | Tick] = []
    for record, following in zip(records, [*records[1:], None], strict=True):
        occurrences.append(taken(record))
        latest = following.arrival if following else record.logged + END_MS
        steps = draw(st.lists(st.sampled_from((0, 1, 5, 6, 35, 66, 300)), max_size=3))
        moments = {record.arrival + minutes * MINUTE_MS for minutes in steps} | draw(_ends(latest))
        occurrences += [Tick(moment) for moment in sorted(moments) if record.arrival <= moment <= latest]
    return [*occurrences, Tick(records[-1].logged + END_MS)]


def _ends(latest: int) -> st.SearchStrategy[set[int]]:
    return st.sampled_from((frozenset(), frozenset({latest}), frozenset({latest - 1}))).map(set)


LIVES = ANCHORS.flatmap(lambda anchor: st.tuples(lifecycle_sets(anchor[0]), histories(anchor[1])))


@settings(max_examples=320)
@given(LIVES)
def test_every_stage_change_is_the_one_that_the_rules_read_literally_give(
    life: tuple[list[Plan], list[Record]],
) -> None:
    plans, records = life
    rules, literal, lived = compiled(plans), Oracle(plans), Lived()
    for record in records:
        assert list(map(compared, lived.meet(rules, taken(record)))) == literal.take(record)
        assert lived.state.facts == facts_of(literal.history)
        assert own_facts_agree(rules, lived.state, literal)
    end = records[-1].logged + END_MS
    assert list(map(compared, lived.meet(rules, Tick(end)))) == literal.let_pass(end)
    assert {name: (now.stage, now.entered_ms, now.clock_ms) for name, now in lived.state.lifecycles.items()} == {
        name: (now.stage, now.entered, now.clock) for name, now in literal.lives.items()
    }


def own_facts_agree(rules: Rules, state: CustomerState, literal: Oracle) -> bool:
    """At the clock, and while days go by, every lifecycle's own facts are what the whole history adds up to."""
    for lifecycle, plan in zip(rules.lifecycles, literal.plans, strict=True):
        life = state.lifecycles[lifecycle.name]
        names = [fact.name for fact in plan.facts]
        for later in (0, 1, 3):
            at = life.clock_ms + later * DAY_MS
            view, expected = FactView(lifecycle.own, state.facts, life.tallies, at), literal.facts_at(plan, at)
            assert {name: view[name] for name in names if computable(view, name)} == {
                name: expected[name] for name in names if has_value(expected, name)
            }
    return True


def computable(view: FactView, name: str) -> bool:
    """Whether a fact has a value: arithmetic may fail."""
    try:
        return name in view
    except FactFailed:
        return False


@settings(max_examples=25)
@given(lifecycle_sets())
def test_a_definition_file_says_what_was_generated(plans: list[Plan]) -> None:
    files = [parse_definition(plan.name, json.dumps(content(plan), indent=1)) for plan in plans]
    assert [file.shape for file in files] == [LifecycleFile.model_validate(content(plan)) for plan in plans]


@given(LIVES, st.data())
def test_ticks_in_between_change_nothing(life: tuple[list[Plan], list[Record]], data: st.DataObject) -> None:
    plans, records = life
    rules = compiled(plans)
    quiet = live_through(rules, without_ticks(records))
    watched = live_through(rules, data.draw(with_ticks(records)))
    assert list(map(compared, watched.changes)) == list(map(compared, quiet.changes))
    assert watched.state == quiet.state
    assert watched.errors == quiet.errors


@given(LIVES)
def test_what_is_stored_between_two_steps_is_all_that_matters(life: tuple[list[Plan], list[Record]]) -> None:
    plans, records = life
    rules, kept, stored = compiled(plans), Lived(), Lived()
    for occurrence in without_ticks(records):
        stored.state = decode_state(encode_state(stored.state))
        assert stored.meet(rules, occurrence) == kept.meet(rules, occurrence)
    assert stored.state == kept.state


@given(LIVES, st.data())
def test_counters_and_clocks_only_go_forward_and_the_input_is_never_changed(
    life: tuple[list[Plan], list[Record]], data: st.DataObject
) -> None:
    plans, records = life
    rules, lived = compiled(plans), Lived()
    for occurrence in data.draw(with_ticks(records)):
        before, stored = lived.state, encode_state(lived.state)
        changes = lived.meet(rules, occurrence)
        assert encode_state(before) == stored
        assert lived.state.sequence == before.sequence + len(changes)
        assert lived.state.revision - before.revision == revisions(occurrence, changes)
        for name, life_before in before.lifecycles.items():
            assert lived.state.lifecycles[name].clock_ms >= life_before.clock_ms
    assert [change.sequence for change in lived.changes] == list(range(1, len(lived.changes) + 1))


def revisions(occurrence: Event | Tick, changes: Sequence[StageChange]) -> int:
    """One for an event, and one for each wake-up that changed something."""
    return len({c.after.revision for c in changes if not isinstance(c.cause, ByEvent)}) + isinstance(occurrence, Event)


@given(LIVES)
def test_one_decision_takes_at_most_one_edge_with_on_and_no_stage_twice(life: tuple[list[Plan], list[Record]]) -> None:
    plans, records = life
    decisions: dict[tuple[str, int], list[StageChange]] = {}
    for change in live_through(compiled(plans), without_ticks(records)).changes:
        decisions.setdefault((change.lifecycle.name, change.after.revision), []).append(change)
    for hops in decisions.values():
        on = [number for number, hop in enumerate(hops) if hop.transition and hop.transition.on]
        assert on in ([], [0], [1] if hops[0].from_ is None else [0])
        stages = [hop.from_ for hop in hops[:1] if hop.from_] + [hop.to for hop in hops]
        assert max(Counter(stages).values()) == 1
        assert [hop.settled for hop in hops] == [False] * (len(hops) - 1) + [True]


@given(LIVES)
def test_a_timer_fires_once(life: tuple[list[Plan], list[Record]]) -> None:
    plans, records = life
    rules = compiled(plans)
    lived = live_through(rules, without_ticks(records))
    woken = {c.after.revision: c for c in reversed(lived.changes) if not isinstance(c.cause, ByEvent)}
    fired = [(c.lifecycle.name, c.cause) for c in woken.values()]
    assert len(fired) == len(set(map(repr, fired)))
    end = Tick(records[-1].logged + END_MS)
    assert advance(rules, lived.state, end) == Applied(lived.state)


@given(LIVES, histories(may_import=False), st.randoms(use_true_random=False))
def test_customers_do_not_depend_on_each_other(
    life: tuple[list[Plan], list[Record]], others: list[Record], random: Random
) -> None:
    plans, records = life
    rules = compiled(plans)
    alone = [live_through(rules, without_ticks(history)) for history in (records, others)]
    queues = [without_ticks(records), without_ticks(others)]
    together = [Lived(), Lived()]
    while any(queues):
        customer = random.choice([number for number, queue in enumerate(queues) if queue])
        together[customer].meet(rules, queues[customer].pop(0))
    assert [lived.changes for lived in together] == [lived.changes for lived in alone]
    assert [lived.state for lived in together] == [lived.state for lived in alone]


@given(LIVES)
def test_a_backfill_behind_a_clock_is_refused_whole(life: tuple[list[Plan], list[Record]]) -> None:
    plans, records = life
    rules = compiled(plans)
    lived = live_through(rules, map(taken, records))
    clock = max(now.clock_ms for now in lived.state.lifecycles.values())
    behind = Record("b", "purchase", clock - 1, records[-1].logged + 1, True, {})
    assert isinstance(advance(rules, lived.state, taken(behind)), BehindClock)


def silence(lateness: int) -> list[Plan]:
    """Two lifecycles that wait 60 and 70 minutes; the first is as patient as told."""
    minute = MINUTE_MS
    waits = [(Edge("w", ("a",), "b", after=after * minute), late) for after, late in ((60, lateness), (70, 5))]
    return [
        Plan(name, {"a": 0, "b": 1}, (edge,), late * minute) for name, (edge, late) in zip("ab", waits, strict=True)
    ]


@given(lateness=st.integers(1, 90), moments=st.lists(st.integers(0, 200), max_size=4))
@example(lateness=30, moments=[80])
def test_ticks_do_not_decide_in_which_order_lifecycles_of_different_lateness_wake_up(
    lateness: int, moments: list[int]
) -> None:
    rules = compiled(silence(lateness))
    first = taken(Record("r", "signup", 0, 0, False, {}))
    end = Tick(300 * MINUTE_MS)
    quiet = live_through(rules, [first, end])
    ticks = [Tick(minutes * MINUTE_MS) for minutes in sorted(moments)]
    watched = live_through(rules, [first, *ticks, end])
    assert list(map(compared, watched.changes)) == list(map(compared, quiet.changes))


@st.composite
def mixed(draw: st.DrawFn, around: int) -> list[Record]:
    """A history in which any record may be a backfill of something up to two days old, in no order."""
    records = draw(histories(around))
    ages = draw(st.lists(st.sampled_from((None, 0, 3, 30, 360, 2880)), min_size=len(records), max_size=len(records)))
    # Log times of backfills are odd, so that no timer is ripe in the very millisecond in which an import ends.
    return [
        record
        if age is None
        else record._replace(said=record.logged - age * MINUTE_MS, logged=record.logged + 1, backfill=True)
        for record, age in zip(records, ages, strict=True)
    ]


@given(ANCHORS.flatmap(lambda anchor: st.tuples(lifecycle_sets(anchor[0]), mixed(anchor[1]))))
def test_backfills_among_live_events_are_applied_or_refused_as_the_rules_read_literally_say(
    life: tuple[list[Plan], list[Record]],
) -> None:
    plans, records = life
    rules, literal, state = compiled(plans), Oracle(plans), NEW_CUSTOMER
    for record in records:
        decision, expected = advance(rules, state, taken(record)), literal.take(record)
        if isinstance(decision, Applied):
            state = decision.state
            assert list(map(compared, decision.changes)) == expected
        else:
            assert isinstance(decision, BehindClock)
            assert expected is None
