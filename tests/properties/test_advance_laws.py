"""Laws of `advance`, on random lifecycles and random histories, and its agreement with an independent reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied, BehindClock, ByEvent, EvaluationError, StageChange
from services.stage_engine.domain.event import Event, Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.state import CustomerState, decode_state, encode_state
from shared.contracts.times import DAY_MS, MINUTE_MS
from tests.properties import oracle
from tests.properties.histories import compiled, histories, lifecycle_sets, taken
from tests.properties.oracle import Change, Edge, Oracle, Plan, Record

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
        cause=change.cause.event.id if isinstance(change.cause, ByEvent) else change.cause.due_ms,
        previous_entered=change.previous_entered_ms,
        facts=dict(change.facts),  # type: ignore[arg-type]  # all built-in facts are whole numbers
    )


def without_ticks(records: Sequence[Record]) -> list[Event | Tick]:
    """The records alone, and time at the end."""
    return [*map(taken, records), Tick("t", "c", records[-1].logged + END_MS)]


@st.composite
def with_ticks(draw: st.DrawFn, records: Sequence[Record]) -> list[Event | Tick]:
    """The records with ticks between them, none before what has arrived or beyond what is still to arrive."""
    occurrences: list[Event | Tick] = []
    for record, following in zip(records, [*records[1:], None], strict=True):
        occurrences.append(taken(record))
        latest = following.arrival if following else record.logged + END_MS
        steps = draw(st.lists(st.sampled_from((0, 1, 5, 6, 35, 66, 300)), max_size=3))
        moments = {record.arrival + minutes * MINUTE_MS for minutes in steps} | draw(_ends(latest))
        occurrences += [Tick("t", "c", moment) for moment in sorted(moments) if record.arrival <= moment <= latest]
    return [*occurrences, Tick("t", "c", records[-1].logged + END_MS)]


def _ends(latest: int) -> st.SearchStrategy[set[int]]:
    return st.sampled_from((frozenset(), frozenset({latest}), frozenset({latest - 1}))).map(set)


LIVES = st.tuples(lifecycle_sets(), histories())


@settings(max_examples=300)
@given(LIVES)
def test_every_stage_change_is_the_one_that_the_rules_read_literally_give(life: tuple[list[Plan], list[Record]]) -> None:
    plans, records = life
    rules, literal, lived = compiled(plans), Oracle(plans), Lived()
    for record in records:
        assert list(map(compared, lived.meet(rules, taken(record)))) == literal.take(record)
        assert lived.state.facts == oracle.facts_of(literal.history)
    end = records[-1].logged + END_MS
    assert list(map(compared, lived.meet(rules, Tick("t", "c", end)))) == literal.let_pass(end)
    assert {name: (now.stage, now.entered_ms, now.clock_ms) for name, now in lived.state.lifecycles.items()} == {
        name: (now.stage, now.entered, now.clock) for name, now in literal.lives.items()
    }


@given(LIVES, st.data())
def test_ticks_in_between_change_nothing(life: tuple[list[Plan], list[Record]], data: st.DataObject) -> None:
    plans, records = life
    rules = compiled(plans)
    quiet = live_through(rules, without_ticks(records))
    watched = live_through(rules, data.draw(with_ticks(records)))
    assert list(map(compared, watched.changes)) == list(map(compared, quiet.changes))
    assert watched.state == quiet.state
    assert watched.errors == quiet.errors
