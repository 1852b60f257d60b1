"""Lets a customer live through a story without servers: the function that decides in production, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied, Decision
from services.stage_engine.domain.event import Event, Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.state import CustomerState


@dataclass(frozen=True, slots=True)
class Step:
    """What one occurrence came to; `state` is the customer's state after it."""

    occurrence: Event | Tick
    decision: Decision
    state: CustomerState


def simulate(rules: Rules, events: Iterable[Event], until_ms: int | None) -> Iterator[Step]:
    """One customer's events in the order of the log, and then time until `until_ms`, each with its decision."""
    state, last = NEW_CUSTOMER, 0
    for event in events:
        decision = advance(rules, state, event)
        state = decision.state if isinstance(decision, Applied) else state
        last = max(last, event.arrival_ms)
        yield Step(event, decision, state)
    if until_ms is not None and until_ms > last:
        tick = Tick(until_ms)
        met = advance(rules, state, tick)
        yield Step(tick, met, met.state)
