"""What one event costs in `advance`, on the shipped lifecycles and a realistic mix of events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from typing import Any

from services.stage_engine.definitions.definition import SHIPPED, load_definition
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.lifecycle import Rules, in_order
from services.stage_engine.domain.state import CustomerState
from shared.contracts.times import DAY_MS, MINUTE_MS

EVENTS, CUSTOMERS = 20_000, 2_000
START_MS = 1_750_000_000_000
SPAN_MS = 180 * DAY_MS
MIX = {
    "engagement": 40,
    "purchase": 25,
    "cart_updated": 12,
    "survey_response": 6,
    "signup": 5,
    "complaint": 4,
    "complaint_resolved": 3,
    "purchase_refunded": 2,
    "referral": 2,
    "loyalty.scanned": 1,
}


def shipped_rules() -> Rules:
    """ecommerce and customer_care, in the order in which they run."""
    names = ("ecommerce", "customer_care")
    return Rules(in_order(load_definition(SHIPPED / f"{name}.yaml").compile(1, "BRL") for name in names), "BRL")


def history(seed: int = 7) -> list[Event]:
    """Half a year of 2,000 customers, one event in ten up to two hours late."""
    random = Random(seed)
    moments = sorted(START_MS + random.randrange(SPAN_MS) for _ in range(EVENTS))
    types = random.choices(list(MIX), weights=list(MIX.values()), k=EVENTS)
    return [_event(random, number, *each) for number, each in enumerate(zip(moments, types, strict=True))]


def _event(random: Random, number: int, logged_ms: int, type_: str) -> Event:
    lag = random.randrange(120 * MINUTE_MS) if random.random() < 0.1 else 0
    origin = Origin("shop", f"c-{random.randrange(CUSTOMERS)}", f"e-{number}", type_)
    return Event.taken(origin, logged_ms - lag, logged_ms, backfill=False, data=_payload(random, number, type_))


def _payload(random: Random, number: int, type_: str) -> dict[str, Any]:
    order = {"order_id": f"o-{number}", "amount": f"{random.randrange(500, 50_000) / 100:.2f}", "currency": "BRL"}
    payloads: dict[str, dict[str, Any]] = {
        "engagement": {"channel": "visit"},
        "purchase": order,
        "purchase_refunded": order,
        "cart_updated": {"cart_id": "cart", "items": []},
        "survey_response": {"kind": "nps", "score": random.randrange(11)},
        "signup": {"name": "Ana", "email": "ana@example.org", "consent": {"email": True}},
        "complaint": {"complaint_id": f"k-{random.randrange(CUSTOMERS)}", "severity": "low"},
        "complaint_resolved": {"complaint_id": f"k-{random.randrange(CUSTOMERS)}", "satisfied": True},
    }
    return payloads.get(type_, {})


def run(rules: Rules, events: Sequence[Event]) -> int:
    """Apply all events; returns the number of stage changes."""
    states: dict[str, CustomerState] = {}
    changes = 0
    for event in events:
        decision = advance(rules, states.get(event.customer_id, NEW_CUSTOMER), event)
        assert isinstance(decision, Applied), decision
        states[event.customer_id] = decision.state
        changes += len(decision.changes)
    return changes


def measure() -> float:
    """CPU microseconds of `advance` per event, the best of three runs over 20,000 events of 2,000 customers."""
    rules, events = shipped_rules(), history()
    return min(_timed(rules, events) for _ in range(3)) / EVENTS * 1e6


def _timed(rules: Rules, events: Sequence[Event]) -> float:
    before = time.process_time()
    run(rules, events)
    return time.process_time() - before
