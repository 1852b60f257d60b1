"""Laws of publishing, on random versions, histories and moves by hand: whoever touches a customer and whenever, they meet
every version at its place in the log. (Trimming has its tests in tests/integration/stage_engine, with fixed histories.)

JORNADA_TEST_EXAMPLES=10 tries ten times as many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from services.stage_engine.batches import batch
from services.stage_engine.domain import advance
from services.stage_engine.domain.advance import NEW_CUSTOMER
from services.stage_engine.domain.publishing import publish_change, snapshot
from services.stage_engine.publications.catching_up import replay
from services.stage_engine.publications.control import is_control
from services.stage_engine.store import tables
from shared.contracts.times import MINUTE_MS
from shared.log.port import Record
from tests.properties.declared import CURRENCY
from tests.properties.partition_in_memory import SETTLE_MS, Partition, in_memory
from tests.properties.published_versions import TENANT, Versions, published_lives

EXAMPLES = int(os.environ.get("JORNADA_TEST_EXAMPLES", "1"))

Life = tuple[Versions, list[Record]]


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    """Limits that a short life reaches, and no waiting for others to share a transaction with."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advance, "MOST_BY_TIME", 5)
        patch.setattr(batch, "_GATHER_BELOW", 0)
        yield
    structlog.configure(**before)


def one_by_one(partition: Partition, log: Sequence[Record]) -> None:
    """Nobody looks at anybody but when they are heard of."""
    for record in log:
        partition.take([record])


def at_random(partition: Partition, log: Sequence[Record], random: Random) -> Iterator[None]:
    """In batches of any size, none across a publication, with ticks and sweeps in between; a step at a time."""
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


@settings(max_examples=60 * EXAMPLES)
@given(published_lives(), st.randoms(use_true_random=False))
def test_whenever_a_customer_is_touched_they_have_met_every_version_at_its_place(life: Life, random: Random) -> None:
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
def test_history_and_activations_are_all_that_a_replay_needs(life: Life, random: Random) -> None:
    chosen, log = life
    with in_memory() as database:
        partition = Partition(database, chosen.rulebook())
        all_of(at_random(partition, log, random))
        for customer, state in partition.states().items():
            lived, known = partition.history(customer), partition.activations()
            steps = replay(partition.rulebook, TENANT, NEW_CUSTOMER, lived, known, SETTLE_MS)
            assert steps[-1].state == state
            again = [publish_change(change, *customer, CURRENCY) for step in steps for change in step.changes]
            assert [(each.change_id, each.kept) for each in again] == partition.changes(customer)
        assert partition.differences() == []


@settings(max_examples=60 * EXAMPLES)
@given(published_lives(), st.randoms(use_true_random=False))
def test_what_was_last_published_and_armed_for_a_customer_is_always_what_they_have_come_to(
    life: Life, random: Random
) -> None:
    chosen, log = life
    with in_memory() as database:
        partition = Partition(database, chosen.rulebook())
        for _ in at_random(partition, log, random):
            states = partition.states()
            assert partition.snapshots() == {customer: snapshot(state) for customer, state in states.items()}
            due, armed = partition.due(), partition.timers()
            assert due == {customer: armed.get(customer) for customer in due}
