"""The same events once more, in one process, by `advance` alone: what living should have come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.stage_engine.definitions.definition import load_definition, shipped_or_path
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event, Origin, Tick
from services.stage_engine.domain.lifecycle import Rules, in_order
from services.stage_engine.domain.publishing import publish_change
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Past
from shared.contracts.cloudevent import BACKFILL, decode
from shared.log.port import Record

CURRENCY = "BRL"


@dataclass
class Replayed:
    """States and stage changes of one replay; changes as they would be kept, by customer and sequence."""

    rules: Rules
    states: dict[CustomerKey, CustomerState] = field(default_factory=dict)
    changes: dict[tuple[CustomerKey, int], bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def apply(self, event: Event) -> None:
        """One event; one that can't be applied is a problem, since living has applied it."""
        self._decide(CustomerKey(event.tenant, event.customer_id), event)

    def tick(self, until_ms: int) -> None:
        """Time goes by for everybody."""
        for customer in list(self.states):
            self._decide(customer, Tick(*customer, until_ms))

    def _decide(self, customer: CustomerKey, occurrence: Event | Tick) -> None:
        decision = advance(self.rules, self.states.get(customer, NEW_CUSTOMER), occurrence)
        if not isinstance(decision, Applied):
            self.problems.append(f"{customer.customer_id}: replaying {occurrence} gives {decision}")
            return
        self.states[customer] = decision.state
        for change in decision.changes:
            self.changes[customer, change.sequence] = publish_change(change, *customer, CURRENCY).kept


def rules_of(names: Iterable[str]) -> Rules:
    """The rules that the engines ran by: first versions, lifecycles by name."""
    definitions = [load_definition(shipped_or_path(name)) for name in names]
    return Rules(in_order([each.compile(1, CURRENCY) for each in definitions]), CURRENCY)


def replay_history(rules: Rules, past: Iterable[Past], until_ms: int) -> Replayed:
    """From the engine's history, in the order of (arrival, offset)."""
    replayed = Replayed(rules)
    for each in sorted(past, key=lambda one: (one.arrival_ms, one.offset)):
        replayed.apply(_event(each.body, each.logged_ms))
    replayed.tick(until_ms)
    return replayed


def replay_log(rules: Rules, records: Sequence[Record], refused: frozenset[tuple[int, int]], until_ms: int) -> Replayed:
    """From the topic itself: every partition in its order, the first occurrence of an id only, without what the engine
    has set aside (`refused`: partition and offset)."""
    replayed = Replayed(rules)
    seen: set[tuple[str, str, str]] = set()
    arrivals: dict[int, int] = {}
    for record in records:
        arrivals[record.partition] = max(arrivals.get(record.partition, 0), record.arrival_ms)
        if (record.partition, record.offset) in refused or record.value is None:
            continue
        event = _event(record.value, arrivals[record.partition])
        key = (event.tenant, event.customer_id, event.id)
        if key not in seen:
            seen.add(key)
            replayed.apply(event)
    replayed.tick(until_ms)
    return replayed


def _event(body: bytes, logged_ms: int) -> Event:
    envelope = decode(body)
    origin = Origin(envelope.tenant, envelope.subject, envelope.id, envelope.type)
    return Event.taken(origin, envelope.time_ms, logged_ms, backfill=envelope.mode == BACKFILL, data=envelope.data)


PULSE = str(Path(__file__).with_name("pulse.yaml"))
LIFECYCLES = ("ecommerce", "customer_care", PULSE)
