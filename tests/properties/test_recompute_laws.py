"""Imports in any order, behind anything: in the end the customer is as if all had come in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.stage_engine.batches.deciding import Decided, States, decide_events, decide_ticks
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.event import Event, Lived, Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.recomputing import live_again
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.looking_back import PastLives
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Entry
from shared.contracts.times import DAY_MS, MINUTE_MS
from tests.properties.histories import ANCHORS, taken
from tests.properties.lifecycles import compiled, lifecycle_sets
from tests.properties.oracle import Plan
from tests.properties.records import Record
from tests.properties.test_advance_laws import mixed

CUSTOMER = CustomerKey("t", "c")
SETTLE_MS = 7 * MINUTE_MS
END_MS = 60 * DAY_MS
UNCOUNTED: dict[str, Any] = {"sequence": 0, "revision": 0, "recomputed": None}
"""How often something was decided and published on the way is no part of where a customer stands."""


class Living:
    """One customer in an engine: batches of records, and ticks in between, as `batch` puts them together."""

    def __init__(self, rules: Rules, entries: Sequence[Entry]) -> None:
        self.rules, self.entries, self.taken = rules, entries, 0
        self.states: dict[CustomerKey, CustomerState] = {}
        self.decided: list[Decided] = []

    def take(self, batch: Sequence[Entry]) -> None:
        """A batch; what is looked back at holds all of it, as the database does."""
        self.taken += len(batch)
        self._keep(decide_events(batch, {}, self._states(), lambda _tenant: self.rules))

    def pass_time(self, until_ms: int) -> None:
        """The watermark has come to `until_ms`: all that the log had by then was handled."""
        if self.states:
            self._keep(decide_ticks([CUSTOMER], until_ms, self._states(), lambda _tenant: self.rules))

    def _states(self) -> States:
        past = [Lived(each.offset, each.event) for each in self.entries[: self.taken]]
        lived = sorted(past, key=lambda each: (each.event.arrival_ms, each.offset))
        return States(dict(self.states), settle_ms=SETTLE_MS, lives=PastLives({CUSTOMER: lived}))

    def _keep(self, decided: Decided) -> None:
        assert decided.refusals == []
        self.states |= decided.states
        self.decided.append(decided)

    @property
    def state(self) -> CustomerState:
        return self.states[CUSTOMER]

    def changes(self) -> list[tuple[object, ...]]:
        """What was published, in order."""
        return [
            (each.change.sequence, each.change.from_, each.change.to, each.change.effective_ms, each.change.cause)
            for decided in self.decided
            for each in decided.changes
        ]


def entries_of(records: Sequence[Record]) -> list[Entry]:
    """The records as a partition holds them: its times of arrival never decrease."""
    logged = accumulate((record.logged for record in records), max)
    kept = [record._replace(logged=at) for record, at in zip(records, logged, strict=True)]
    return [Entry(taken(record), 0, offset, b"") for offset, record in enumerate(kept)]


def cuts(entries: Sequence[Entry], random: Random) -> Iterator[Sequence[Entry]]:
    rest = list(entries)
    while rest:
        size = random.randint(1, len(rest))
        yield rest[:size]
        rest = rest[size:]


def in_place(rules: Rules, events: Sequence[Event], until_ms: int) -> CustomerState:
    """The life of somebody whose events had all come in the order of arrival."""
    ordered = [event for _, event in sorted(enumerate(events), key=lambda each: (each[1].arrival_ms, each[0]))]
    return advance(rules, live_again(rules, NEW_CUSTOMER, ordered), Tick(until_ms)).state


LIVES = ANCHORS.flatmap(lambda anchor: st.tuples(lifecycle_sets(anchor[0]), mixed(anchor[1])))


@given(LIVES, st.randoms(use_true_random=False))
def test_in_the_end_all_is_as_if_it_had_come_in_its_place(
    life: tuple[list[Plan], list[Record]], random: Random
) -> None:
    plans, records = life
    rules, entries = compiled(plans), entries_of(records)
    living = Living(rules, entries)
    for batch in cuts(entries, random):
        living.take(batch)
    end = max(record.logged for record in records) + END_MS
    living.pass_time(end)
    expected = in_place(rules, [entry.event for entry in entries], end)
    assert not living.state.behind
    assert replace(living.state, **UNCOUNTED) == replace(expected, **UNCOUNTED)


@given(LIVES, st.randoms(use_true_random=False))
def test_batches_decide_nothing_and_sequences_have_no_gap(
    life: tuple[list[Plan], list[Record]], random: Random
) -> None:
    plans, records = life
    rules, entries = compiled(plans), entries_of(records)
    end = max(record.logged for record in records) + END_MS
    one_by_one, together = Living(rules, entries), Living(rules, entries)
    for entry in entries:
        one_by_one.take([entry])
    for batch in cuts(entries, random):
        together.take(batch)
    one_by_one.pass_time(end)
    together.pass_time(end)
    assert one_by_one.state == together.state
    assert one_by_one.changes() == together.changes()
    numbers = [each.change.sequence for decided in together.decided for each in decided.changes]
    assert numbers == list(range(1, len(numbers) + 1))


@given(LIVES, st.lists(st.sampled_from((0, 1, 6, 8, 60, 2880)), min_size=20, max_size=20))
def test_when_time_is_noticed_decides_nothing(life: tuple[list[Plan], list[Record]], steps: list[int]) -> None:
    """Timers that were ripe when an import came have gone off before it, whether or not anybody looked in between."""
    plans, records = life
    rules, entries = compiled(plans), entries_of(records)
    end = max(record.logged for record in records) + END_MS
    quiet, watched = Living(rules, entries), Living(rules, entries)
    for place, entry in enumerate(entries):
        quiet.take([entry])
        watched.take([entry])
        latest = entries[place + 1].event.logged_ms - 1 if place + 1 < len(entries) else end
        moment = min(entry.event.logged_ms + steps[place % len(steps)] * MINUTE_MS, latest)
        if not_settling(watched, moment):
            watched.pass_time(moment)
    quiet.pass_time(end)
    watched.pass_time(end)
    assert watched.changes() == quiet.changes()
    assert watched.state == quiet.state


def not_settling(living: Living, moment: int) -> bool:
    """An engine lets no timer go off while an import comes in."""
    imported = living.states[CUSTOMER].imported_until_ms if living.states else 0
    return not imported or moment >= imported + SETTLE_MS
