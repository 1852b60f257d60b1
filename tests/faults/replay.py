"""The same events once more, in one process: what living should have come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.event import Event, Lived, Origin, Tick
from services.stage_engine.domain.publishing import publish_change
from services.stage_engine.domain.recomputing import decide_anew, is_due
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.looking_back import Life
from services.stage_engine.publications.catching_up import Course, meet_all, replay
from services.stage_engine.publications.control import is_control, read_control
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Past
from shared.contracts.cloudevent import BACKFILL, CloudEvent, decode, record_key
from shared.errors import Permanent
from shared.log.partitioner import partition_of
from shared.log.port import Record

CURRENCY = "BRL"
SETTLE_MS = 5_000
"""What the engines run with: the default."""
PULSE = str(Path(__file__).with_name("pulse.yaml"))

Activations = Mapping[int, Sequence[Stored]]
"""Of each partition, from which offset on which versions held."""
Lives = Mapping[CustomerKey, Sequence[Lived]]
"""What each customer has lived, in the order of (arrival, offset)."""


@dataclass
class Replayed:
    """States and stage changes of one replay; changes as they would be kept, by customer and sequence."""

    states: dict[CustomerKey, CustomerState] = field(default_factory=dict)
    changes: dict[tuple[CustomerKey, int], bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Replaying:
    """Under which rules, and until when."""

    rulebook: RuleBook
    activations: Activations
    partitions: int
    until_ms: int

    def all(self, lives: Lives) -> Replayed:
        """Every customer, alone."""
        replayed = Replayed()
        for customer, lived in lives.items():
            try:
                self._one(customer, lived, replayed)
            except Permanent as error:
                replayed.problems.append(f"{customer.customer_id}: {error}")
        return replayed

    def _one(self, customer: CustomerKey, lived: Sequence[Lived], replayed: Replayed) -> None:
        steps = self.activations[partition_of(record_key(*customer), self.partitions)]
        course, life = Course(self.rulebook, steps, SETTLE_MS), Life(customer, lived)
        found = replay(course, life)
        found += meet_all(course, life, found[-1].state)
        rules = course.rules(steps[-1].number, customer.tenant)
        if is_due(found[-1].state, self.until_ms, SETTLE_MS):
            found.append(decide_anew(rules, found[-1].state, NEW_CUSTOMER, lived, lived[-1].offset + (1 << 40)))
        ticked = advance(rules, found[-1].state, Tick(self.until_ms))
        replayed.states[customer] = ticked.state
        for change in (change for applied in [*found, ticked] for change in applied.changes):
            replayed.changes[customer, change.sequence] = publish_change(change, *customer, CURRENCY).kept


def lives_in_history(past: Iterable[Past]) -> Lives:
    """From the engine's history."""
    lives: dict[CustomerKey, list[Lived]] = {}
    for each in past:
        lives.setdefault(each.customer, []).append(Lived(each.offset, _event(decode(each.body), each.logged_ms)))
    return _in_order(lives)


def lives_in_log(records: Sequence[Record], refused: frozenset[tuple[int, int]]) -> Lives:
    """From the topic itself: every partition in its order, the first occurrence of an id only, without what the engine
    has set aside (`refused`: partition and offset)."""
    lives: dict[CustomerKey, list[Lived]] = {}
    seen: set[tuple[CustomerKey, str]] = set()
    for record, arrival_ms in _with_arrivals(records):
        if is_control(record) or (record.partition, record.offset) in refused or record.value is None:
            continue
        event = _event(decode(record.value), arrival_ms)
        customer = CustomerKey(event.tenant, event.customer_id)
        if (customer, event.id) not in seen:
            seen.add((customer, event.id))
            lives.setdefault(customer, []).append(Lived(record.offset, event))
    return _in_order(lives)


def activations_in_log(records: Sequence[Record], began: Activations) -> Activations:
    """From the topic itself: what its control records say, one publication once. `began` is how partitions began."""
    found = {partition: [stored[0]] for partition, stored in began.items()}
    for record, arrival_ms in _with_arrivals(records):
        if not is_control(record):
            continue
        said, before = read_control(record), found[record.partition]
        if said.publish_id in {each.publish_id for each in before}:
            continue
        versions = {**before[-1].versions, said.lifecycle: said.version}
        what = (said.publish_id, said.lifecycle, said.version, record.offset, arrival_ms, said.notify, said.migrate)
        before.append(Stored(record.partition, before[-1].number + 1, *what, versions))
    return found


def _with_arrivals(records: Sequence[Record]) -> Iterable[tuple[Record, int]]:
    """Records with the greatest arrival in their partition so far."""
    arrivals: dict[int, int] = {}
    for record in records:
        arrivals[record.partition] = max(arrivals.get(record.partition, 0), record.arrival_ms)
        yield record, arrivals[record.partition]


def _in_order(lives: dict[CustomerKey, list[Lived]]) -> Lives:
    return {customer: sorted(lived, key=_place) for customer, lived in lives.items()}


def _place(each: Lived) -> tuple[int, int]:
    return each.event.arrival_ms, each.offset


def _event(envelope: CloudEvent, logged_ms: int) -> Event:
    origin = Origin(envelope.tenant, envelope.subject, envelope.id, envelope.type)
    return Event.taken(origin, envelope.time_ms, logged_ms, backfill=envelope.mode == BACKFILL, data=envelope.data)
