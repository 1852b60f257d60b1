"""A customer who does everything, often: five thousand events in four hundred days, of every type that a shipped
lifecycle knows."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from services.stage_engine.domain.event import Event, Origin
from shared.contracts.times import DAY_MS

EVENTS = 5_000
DAYS = 400
"""Longer than any window."""
START_MS = 1_750_000_000_000

_CHANNELS = ("visit", "social", "ad", "email_open", "email_click", "content", "support", "other")
_OFTEN = {"engagement": 80, "purchase": 25, "product_bought": 25}
_SELDOM = ("complaint", "complaint_resolved", "purchase_refunded", "subscription_cancelled")


def busy_life(types: frozenset[str], seed: int = 7) -> Iterator[Event]:
    """The events, in order, some of them late by up to two days; of the types beside those that every shop sends."""
    random = Random(seed)
    chosen = sorted(
        types | {"engagement", "purchase", "complaint", "complaint_resolved", "survey_response", "referral"}
    )
    weights = [_OFTEN.get(each, 2 if each in _SELDOM else 8) for each in chosen]
    complaints = 0
    for number in range(EVENTS):
        arrival = START_MS + number * DAYS * DAY_MS // EVENTS
        late = random.randrange(2 * DAY_MS) if random.random() < 0.05 else 0
        type_ = random.choices(chosen, weights)[0]
        if type_ == "complaint":
            complaints += 1
        data = _data(random, type_, number, complaints)
        yield Event.taken(Origin("t", "c", f"e-{number}", type_), arrival - late, arrival, backfill=False, data=data)


def _data(random: Random, type_: str, number: int, complaints: int) -> dict[str, Any]:
    amount = f"{random.randrange(500, 30_000) / 100:.2f}"
    order = {"order_id": f"order-{number}", "amount": amount, "currency": "BRL"}
    payloads: dict[str, dict[str, Any]] = {
        "signup": {
            "name": "Ana Souza",
            "email": "ana.souza@example.com",
            "locale": "pt-BR",
            "consent": {"email": True},
        },
        "purchase": {**order, "margin": "12.34"},
        "purchase_refunded": order,
        "engagement": {"channel": random.choice(_CHANNELS), "cost": "0.35", "currency": "BRL"},
        "complaint": {"complaint_id": f"ticket-{complaints}", "severity": random.choice(("low", "high"))},
        # Mostly the newest one: some stay open for ever, as in life.
        "complaint_resolved": {
            "complaint_id": f"ticket-{complaints - (random.random() < 0.1)}",
            "satisfied": random.random() < 0.5,
        },
        "complaint_reopened": {"complaint_id": f"ticket-{complaints}"},
        "survey_response": {"kind": random.choice(("nps", "csat", "ces")), "score": random.randrange(1, 6)},
        "cart_updated": {"cart_id": "cart", "items": [{"sku": "a"}]},
        "product_bought": {"sku": f"sku-{number}", "category": f"category-{random.randrange(25)}"},
    }
    return payloads.get(type_, {"waited_minutes": random.randrange(3_000), "programme": "club"})
