"""Whatever producers write into the log, on purpose or not: no record stops a partition, each ends in one of three ways, and
those that can't be used leave no trace on the others.

JORNADA_TEST_EXAMPLES=50 tries fifty times as many.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NoReturn
from unicodedata import category

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from services.stage_engine.definitions.definition import SHIPPED, load_definition, parse_definition
from services.stage_engine.domain.conditions import Condition, Finding
from services.stage_engine.domain.lifecycle import Rules, Transition, in_order
from services.stage_engine.domain.state import FactValue, decode_state, encode_state
from shared.contracts.cloudevent import CloudEvent, decode
from shared.contracts.customer_updated import read_customer_updated
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.stage_changed import read_stage_changed
from shared.contracts.times import DAY_MS
from shared.contracts.topics import Topic, TopicSpec
from shared.log.port import Record
from tests.properties.declared import CURRENCY
from tests.properties.hostile_records import HOURS, PARTITIONS, START_MS, YEARS, Sent, by_ingest, logged, streams
from tests.properties.lifecycles import compiled, lifecycle_sets
from tests.properties.lone_partition import Lone, arrivals_of

EXAMPLES = int(os.environ.get("JORNADA_TEST_EXAMPLES", "1"))
LARGEST_STATE = 64 * 1024
LONGEST_DETAIL = 2_000
FATES = {"applied", "duplicate", *DeadLetterReason}

Cuts = tuple[frozenset[int], frozenset[int]]
"""After which records a batch ends, and after which of those time goes by before the next record."""


@cache
def shipped() -> Rules:
    """All nine lifecycles at once."""
    definitions = [load_definition(file) for file in sorted(SHIPPED.glob("*.yaml"))]
    assert len(definitions) == 9
    return Rules(in_order(definition.compile(1, CURRENCY) for definition in definitions), CURRENCY)


NOSY = """
lifecycle: nosy
start: a
time_zone: America/Sao_Paulo
facts:
  paid:     {sum: amount, of: purchase}
  paid_2d:  {average: amount, of: [purchase, purchase_refunded], within: 2d}
  margin:   {min: margin, of: purchase}
  cost:     {max: cost, of: engagement}
  in_cart:  {last: amount, of: cart_updated, within: 400d}
  points:   {sum: points, of: gift, type: int, where: "event.points > 1"}
  weight:   {average: weight, of: gift, type: number, where: "event.weight < 2.0"}
  worth:    {sum: amount, of: gift, type: money}
  word:     {last: channel, of: gift, type: text}
  words:    {distinct: channel, of: gift, type: text, within: 1d}
  gap:      {average_gap: [gift, purchase, signup, engagement]}
  seen:     {last: time, of: [gift, engagement, purchase]}
  share:    {expr: "facts.paid / double(facts.orders)"}
  per_gift: {expr: "facts.points / facts.words"}
  since:    {expr: "facts.last_seen - facts.first_seen"}
  later:    {expr: "facts.last_seen + duration('80000000h')"}
  grown:    {expr: "facts.orders * 9223372036854775807"}
stages: {a: {order: 1}, b: {order: 2}, c: {order: 3}}
transitions:
  - {id: cart, from: [a, b], to: c, on: cart_updated, when: "event.amount > 3.0 || event.currency == 'USD'"}
  - {id: ad, from: [a, b], to: c, on: engagement, when: "event.cost >= 0.0 && event.channel != 'visit'"}
  - {id: margin, from: [a, b], to: c, on: purchase, when: "event.margin < 0.0"}
  - {id: word, from: a, to: b, on: gift, when: "'abc'.matches(event.channel) || event.points > 3"}
  - {id: cast, from: b, to: a, on: gift, when: "int(event.score) > 3 || double(event.weight) < 1.0", demotion: true}
  - {id: within, from: c, to: a, on: gift, when: "event.points[0] == 1 || event.points.a.b == 2", demotion: true}
  - {id: parsed, from: c, to: b, on: gift, when: "timestamp(event.time) > facts.seen", demotion: true}
  - {id: money, from: a, to: b, when: "facts.paid_2d > 100.0 || facts.in_cart > 1.0 || facts.worth > facts.margin"}
  - {id: number, from: b, to: c, when: "facts.per_gift > 3 || facts.weight > 1.0 || facts.share > facts.cost"}
  - {id: text, from: c, to: a, when: "facts.word.size() > 3 || facts.grown < 0", demotion: true}
  - {id: long, from: [a, b], to: c, when: "facts.since > duration('1h') || facts.later < facts.seen"}
  - {id: away, from: c, to: a, after: {fact: gap, times: 1000}, demotion: true}
  - {id: other, from: a, to: b, when: "stages.ecommerce == 'lead'"}
  - {id: still, from: b, to: a, after: 60d, since: facts.seen, demotion: true}
"""
"""It reads whatever events hold, in every way that conditions and facts know."""


@cache
def nosy() -> Rules:
    """That one beside those whose stage it reads."""
    definitions = [parse_definition("nosy.yaml", NOSY), load_definition(SHIPPED / "ecommerce.yaml")]
    return Rules(in_order(definition.compile(1, CURRENCY) for definition in definitions), CURRENCY)


@pytest.fixture(autouse=True, scope="module")
def _unlogged() -> Any:
    """What the engine logs of an event that it could not apply is told by the dead letter."""

    def drop(*_: object) -> NoReturn:
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[drop])
    yield
    structlog.configure(**before)


@st.composite
def cuts(draw: st.DrawFn, records: Sequence[Record]) -> Cuts:
    """Anywhere."""
    places = st.sampled_from(range(len(records)))
    ends = draw(st.frozensets(places, max_size=6))
    return ends, draw(st.frozensets(st.sampled_from(sorted(ends)), max_size=3)) if ends else frozenset()


def live_through(rules: Rules, records: Sequence[Record], batches: Cuts, arrivals: Sequence[int] = ()) -> Lone:
    """A partition that has handled these records in these batches, and then stood still for years."""
    lone, (ends, ticks), arrivals = Lone(rules), batches, arrivals or arrivals_of(records)
    start = 0
    for end in (*sorted(ends), len(records) - 1):
        if start <= end:
            lone.handle(records[start : end + 1], arrivals[start : end + 1])
        if end in ticks:
            lone.tick(arrivals[min(end + 1, len(records) - 1)])
        start = max(start, end + 1)
    lone.tick(arrivals[-1] + 3 * DAY_MS)
    return lone


def _strict(event: CloudEvent, value: bytes) -> CloudEvent:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    json.loads(value.decode(), parse_constant=refuse)
    return event


def check_written(lone: Lone) -> None:
    """All that was written can be stored by any database, published, and read by whoever reads it."""
    for table, rows in lone.kept.rows.items():
        for cell in (cell for row in rows for cell in row):
            assert not isinstance(cell, str) or "\x00" not in cell, table
            assert not isinstance(cell, str) or cell.encode() is not None, table
            assert not isinstance(cell, int) or abs(cell) < 2**63, table
    sequences: dict[tuple[str, str], list[int]] = {}
    for topic, _partition, _position, key, value, _trace in lone.kept.rows["engine_outbox"]:
        assert len(key) + len(value) < TopicSpec(topic, PARTITIONS, None).max_message_bytes
        event = _strict(decode(value), value)
        if topic == Topic.STAGE_CHANGED:
            sequences.setdefault((event.tenant, event.subject), []).append(read_stage_changed(event).sequence)
        elif topic == Topic.CUSTOMER_UPDATED:
            assert read_customer_updated(event).revision
    assert {key: len(found) for key, found in sequences.items()} == {
        tuple(key): state.sequence for key, state in lone.states.items()
    }
    assert all(found == list(range(1, len(found) + 1)) for found in sequences.values())


def check_states(lone: Lone) -> None:
    """They come back as they were stored, as plain JSON, and are not large."""
    for state in lone.states.values():
        stored = encode_state(state)
        assert decode_state(stored) == state
        json.loads(stored, parse_constant=float.fromhex)
        assert len(stored) <= LARGEST_STATE


def check_fates(lone: Lone, records: Sequence[Record]) -> None:
    """Each record ended in one way; what was set aside says why, in words that a terminal can show."""
    assert set(lone.fates) == {record.offset for record in records}
    assert all(len(found) == 1 and found[0] in FATES for found in lone.fates.values()), lone.fates
    for letter in lone.letters:
        assert letter.detail
        assert len(letter.detail) <= LONGEST_DETAIL
        assert not any(category(character) in ("Cc", "Cs") for character in letter.detail), letter.detail
        assert letter.reason is not DeadLetterReason.UNAPPLICABLE, letter.detail
        assert letter.value == next(record.value for record in records if record.offset == letter.offset)
    assert all(len(error.detail) <= LONGEST_DETAIL for _, error in lone.errors)


def outcome(lone: Lone) -> Any:
    """What must not depend on how records were cut into batches."""
    published = [tuple(row[3:5]) for row in lone.kept.rows["engine_outbox"] if row[0] == Topic.STAGE_CHANGED]
    by_customer = sorted(published, key=lambda row: (row[0], json.loads(row[1])["data"]["sequence"]))
    return lone.states, by_customer, lone.fates, sorted(map(repr, lone.errors))


def check_stream(rules: Rules, records: list[Record], batches: Cuts) -> None:
    """All laws but the one about steps."""
    lone = live_through(rules, records, batches)
    check_fates(lone, records)
    check_states(lone)
    check_written(lone)
    _check_batching(lone, records, batches)
    _check_bad_ones_leave_no_trace(lone, records, batches)


def _check_batching(lone: Lone, records: list[Record], batches: Cuts) -> None:
    every = frozenset(range(len(records)))
    # An import has to settle before time alone counts, so for one with an import time goes by at the same places.
    ticks = batches[1] if any(b'"mode":"backfill"' in (record.value or b"") for record in records) else frozenset()
    assert outcome(live_through(lone.rules, records, (every, ticks))) == outcome(lone)


def _check_bad_ones_leave_no_trace(lone: Lone, records: list[Record], batches: Cuts) -> None:
    good = [place for place, record in enumerate(records) if lone.fates[record.offset] == ["applied"]]
    if not good:
        assert lone.states == {}
        return
    arrivals = arrivals_of(records)
    ends = {bisect_left(good, end + 1) - 1 for end in batches[0]} - {-1}
    alone = live_through(
        lone.rules,
        [records[place] for place in good],
        (frozenset(ends), frozenset()),
        [arrivals[place] for place in good],
    )
    for each in (alone, lone):
        each.tick(arrivals[-1] + 4 * DAY_MS)
    assert alone.states == lone.states


ANY_STREAM = streams(YEARS).flatmap(lambda records: st.tuples(st.just(records), cuts(records)))
SHORT_STREAM = streams(HOURS, most=8).flatmap(lambda records: st.tuples(st.just(records), cuts(records)))


@settings(max_examples=300 * EXAMPLES, deadline=20_000)
@given(ANY_STREAM)
def test_no_stream_of_records_breaks_a_law_of_the_shipped_lifecycles(drawn: tuple[list[Record], Cuts]) -> None:
    check_stream(shipped(), *drawn)


@settings(max_examples=300 * EXAMPLES, deadline=20_000)
@given(ANY_STREAM)
def test_no_stream_of_records_breaks_a_law_of_a_lifecycle_that_reads_everything(
    drawn: tuple[list[Record], Cuts],
) -> None:
    check_stream(nosy(), *drawn)


@settings(max_examples=120 * EXAMPLES, deadline=20_000)
@given(lifecycle_sets(), SHORT_STREAM)
def test_no_stream_of_records_breaks_a_law_of_any_lifecycle(plans: Any, drawn: tuple[list[Record], Cuts]) -> None:
    check_stream(compiled(plans), *drawn)


@dataclass(frozen=True)
class Counted:
    """A condition, and how often conditions were judged."""

    condition: Condition
    times: list[int]

    @property
    def source(self) -> str:
        """As it was written."""
        return self.condition.source

    @property
    def reads(self) -> frozenset[str]:
        """What it names."""
        return self.condition.reads

    def evaluate(self, facts: Mapping[str, FactValue], data: Mapping[str, Any]) -> Finding:
        """Judge and count."""
        self.times[0] += 1
        return self.condition.evaluate(facts, data)


def counting(rules: Rules) -> tuple[Rules, list[int]]:
    """The same rules, and how often their conditions were judged."""
    times = [0]

    def watched(edge: Transition) -> Transition:
        return edge if edge.when is None else replace(edge, when=Counted(edge.when, times))

    lifecycles = (replace(each, transitions=tuple(map(watched, each.transitions))) for each in rules.lifecycles)
    return Rules(tuple(lifecycles), rules.currency), times


@settings(max_examples=120 * EXAMPLES, deadline=20_000)
@given(streams(YEARS), st.sampled_from((shipped, nosy)))
def test_no_record_takes_many_steps(records: list[Record], rules_of: Callable[[], Rules]) -> None:
    """However long nothing was heard: fewer conditions are judged than there are edges, of which a customer stands before
    a few. The most that was seen is a sixth of them."""
    rules, times = counting(rules_of())
    lone = Lone(rules)
    arrivals = arrivals_of(records)
    edges = sum(len(each.transitions) for each in rules.lifecycles)
    for record, arrival in zip(records, arrivals, strict=True):
        times[0] = 0
        lone.handle([record], [arrival])
        lone.tick(arrival)
        assert times[0] < edges


def test_names_as_long_as_they_may_be_leave_a_small_state() -> None:
    sent = [
        Sent(f"e{n}", "complaint", "ana", START_MS, False, {"complaint_id": "🙂" * 195 + f"{n:05}"})
        for n in range(1_100)
    ]
    settled = [each._replace(id=f"r{each.id}", type="complaint_resolved") for each in sent[:150]]
    more = {"name": "\x01" * 1_000, "locale": "pt-BR", "email": "é" * 120 + "@" + "é" * 130}
    events = [*sent, *settled, Sent("s", "signup", "ana", START_MS, False, more)]
    records = [logged(offset, START_MS, each.customer, by_ingest(each, START_MS)) for offset, each in enumerate(events)]
    lone = live_through(nosy(), records, (frozenset(), frozenset()))
    assert set(map(tuple, lone.fates.values())) == {("applied",)}
    check_states(lone)
