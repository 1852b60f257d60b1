"""Laws of publishing, on random versions, histories and moves by hand: whoever touches a customer and whenever, they meet
every version at its place in the log; what is left of a trimmed history gives the same as the whole.

JORNADA_TEST_EXAMPLES=10 tries ten times as many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import structlog
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.stage_engine import looking_back, trimming
from services.stage_engine.batches import sharing
from services.stage_engine.domain import advance
from services.stage_engine.domain.publishing import publish_change, snapshot
from services.stage_engine.looking_back import Life
from services.stage_engine.publications.catching_up import Course, facts_differ, replay
from services.stage_engine.publications.control import is_control
from services.stage_engine.store import tables
from shared.contracts.times import MINUTE_MS
from shared.log.port import Record
from tests.properties.declared import CURRENCY
from tests.properties.partition_in_memory import SETTLE_MS, Partition, in_memory
from tests.properties.published_versions import Versions, published_lives

EXAMPLES = int(os.environ.get("JORNADA_TEST_EXAMPLES", "1"))

Told = tuple[Versions, list[Record]]


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    """Limits that a short life reaches, and no waiting for others to share a transaction with."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advance, "MOST_BY_TIME", 5)
        patch.setattr(trimming, "STEP_ROWS", 3)
        patch.setattr(sharing, "_GATHER_BELOW", 0)
        patch.setattr(looking_back, "_MOST_AT_ONCE", 4)
        yield
    structlog.configure(**before)


def one_by_one(partition: Partition, log: Sequence[Record]) -> None:
    """Nobody looks at anybody but when they are heard of."""
    for record in log:
        partition.take([record])


def at_random(partition: Partition, log: Sequence[Record], random: Random, *, trims: bool = False) -> Iterator[None]:
    """In batches of any size, none across a publication, with ticks, sweeps and trimming in between; a step at a time."""
    rest = list(log)
    while rest:
        size = random.randint(1, together(rest))
        taken, rest = rest[:size], rest[size:]
        partition.take(taken)
        yield
        arrival = taken[-1].arrival_ms
        # Before something arrives, the watermark can't be there.
        latest = max(arrival, rest[0].arrival_ms - 1) if rest else arrival
        for _ in range(random.randint(0, 2)):
            _in_between(partition, random, (arrival, latest))
            if trims and random.random() < 0.3:
                partition.trim(random.choice(log).arrival_ms + random.randint(0, 1))
            yield


def together(rest: Sequence[Record]) -> int:
    """How many records may share a batch: none across a publication."""
    return max(1, next((place for place, record in enumerate(rest) if is_control(record)), len(rest)))


def _in_between(partition: Partition, random: Random, between: tuple[int, int]) -> None:
    """Time goes by, or some customers are swept."""
    arrival, latest = between
    if random.randint(0, 2):
        partition.pass_time(min(latest, arrival + random.choice((0, 5, 8, 70, 1500, 1 << 30)) * MINUTE_MS))
    else:
        partition.sweep(random.randint(1, 2))


def all_of(steps: Iterator[None]) -> None:
    """Every step."""
    for _ in steps:
        pass


def told(partition: Partition) -> dict[str, Any]:
    """All that has become of everybody."""
    kept = (tables.stages, tables.stage_changes, tables.timers, tables.evaluation_errors, tables.manual_moves)
    letters = partition.all_of(tables.dead_letters)
    return {"states": partition.states(), "letters": letters} | {each.name: partition.all_of(each) for each in kept}


def counts_from_horizon(partition: Partition) -> bool:
    """Whether facts of a later version are counted from where somebody's kept history begins: then it is not the whole."""
    known = partition.activations()
    anew = [after.number for before, after in pairwise(known) if facts_differ(partition.rulebook, before, after)]
    return any(base.activation < number for base in partition.bases().values() for number in anew)


@settings(max_examples=60 * EXAMPLES)
@given(published_lives(), st.randoms(use_true_random=False))
def test_whenever_a_customer_is_touched_they_have_met_every_version_at_its_place(life: Told, random: Random) -> None:
    chosen, log = life
    rulebook = chosen.rulebook()
    with in_memory() as database:
        partition = Partition(database, rulebook)
        one_by_one(partition, log)
        alone = told(partition)
    with in_memory() as database:
        partition = Partition(database, rulebook)
        all_of(at_random(partition, log, random))
        assert told(partition) == alone
    assert alone["letters"] == []


@settings(max_examples=60 * EXAMPLES)
@given(published_lives(), st.randoms(use_true_random=False))
def test_history_and_activations_are_all_that_a_replay_needs(life: Told, random: Random) -> None:
    chosen, log = life
    with in_memory() as database:
        partition = Partition(database, chosen.rulebook())
        all_of(at_random(partition, log, random))
        for customer, state in partition.states().items():
            course = Course(partition.rulebook, partition.activations(), SETTLE_MS)
            steps = replay(course, Life(customer, partition.history(customer)))
            assert steps[-1].state == state
            again = [publish_change(change, *customer, CURRENCY) for step in steps for change in step.changes]
            assert [(each.change_id, each.kept) for each in again] == partition.changes(customer)
        assert partition.differences() == []


@settings(max_examples=60 * EXAMPLES)
@given(st.booleans().flatmap(lambda same: published_lives(same_facts=same or None)), st.randoms(use_true_random=False))
def test_what_is_left_of_a_trimmed_history_gives_the_same_as_the_whole(life: Told, random: Random) -> None:
    chosen, log = life
    rulebook = chosen.rulebook()
    with in_memory() as database:
        partition = Partition(database, rulebook)
        one_by_one(partition, log)
        whole = told(partition)
    with in_memory() as database:
        partition = Partition(database, rulebook)
        early = random.random() < 0.5
        for _ in at_random(partition, log, random, trims=early):
            assume(not counts_from_horizon(partition))
        # Who is decided anew lives again, by the rules of that day, what is kept by then and nothing before.
        assume(not early or all(state.recomputed is None for state in partition.states().values()))
        for _ in range(3):
            partition.trim(random.choice(log).arrival_ms + random.randint(0, 1))
            assume(not counts_from_horizon(partition))
            assert partition.differences() == []
        left = told(partition)
        # What reaches behind a horizon is refused, and the rest is another life then.
        assume(not left["letters"])
        assert left == whole


@settings(max_examples=60 * EXAMPLES)
@given(published_lives(), st.randoms(use_true_random=False))
def test_what_was_last_published_and_armed_for_a_customer_is_always_what_they_have_come_to(
    life: Told, random: Random
) -> None:
    chosen, log = life
    with in_memory() as database:
        partition = Partition(database, chosen.rulebook())
        for _ in at_random(partition, log, random):
            states = partition.states()
            assert partition.snapshots() == {customer: snapshot(state) for customer, state in states.items()}
            due, armed = partition.due(), partition.timers()
            assert due == {customer: armed.get(customer) for customer in due}
