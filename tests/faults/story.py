"""What the shop's customers do: events with their ids and times, in the order in which they are posted."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.contracts.cloudevent import BACKFILL
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, to_text

TENANT = "shop"
_BATCH = 20

Posted = dict[str, Any]
"""An event as it is posted."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is posted: distinct events, customers, and the share of events posted once more."""

    events: int
    customers: int
    duplicates: float = 0.1


@dataclass(frozen=True, slots=True)
class Posting:
    """One request: a single event or a batch."""

    events: tuple[Posted, ...]

    @property
    def body(self) -> Posted | list[Posted]:
        """What is sent."""
        return self.events[0] if len(self.events) == 1 else list(self.events)


def tell(size: Size, now_ms: int, chance: random.Random) -> list[Posting]:
    """All requests in order. One customer in twenty has a history that is imported first, as one batch in order of
    time, another one in twenty in the midst of what they do. Everybody's other events come shuffled, up to hours after
    they happened. A tenth is posted twice, half of those at nearly the same moment."""
    imported = [f"i-{number}" for number in range(size.customers // 20)]
    imports = [Posting(tuple(_history(customer, now_ms, chance))) for customer in imported]
    left = size.events - sum(len(posting.events) for posting in imports)
    customers = [*imported, *(f"c-{number}" for number in range(size.customers - len(imported)))]
    events = [_signup(customer, now_ms, chance) for customer in customers[len(imported) :]]
    late = [Posting(tuple(_history(customer, now_ms, chance))) for customer in customers[len(imported) :: 20]]
    left -= sum(len(posting.events) for posting in late)
    events += [_event(number, chance.choice(customers), now_ms, chance) for number in range(left - len(events))]
    chance.shuffle(events)
    told = [*_postings(events, chance), *late]
    chance.shuffle(told)
    return [*imports, *_again(iter(told), size.duplicates, chance)]


def _postings(events: Sequence[Posted], chance: random.Random) -> Iterator[Posting]:
    """Half of the events alone, half in batches."""
    at = 0
    while at < len(events):
        count = _BATCH if chance.random() < 1 / (_BATCH + 1) else 1
        yield Posting(tuple(events[at : at + count]))
        at += count


def _again(postings: Iterator[Posting], share: float, chance: random.Random) -> list[Posting]:
    """Repeat some events: right behind their first posting, or anywhere after it."""
    told = list(postings)
    count = len(told)
    placed = [(float(index), posting) for index, posting in enumerate(told)]
    for index, posting in enumerate(told):
        for event in posting.events:
            if chance.random() < share:
                at_once = chance.random() < 0.5
                placed.append((index + 0.1 if at_once else chance.uniform(index, count), Posting((event,))))
    return [posting for _, posting in sorted(placed, key=lambda each: each[0])]


def _happened(now_ms: int, chance: random.Random) -> str:
    """Mostly just now, often minutes ago, sometimes hours."""
    reach = chance.choices((2 * SECOND_MS, 10 * MINUTE_MS, 6 * HOUR_MS), (70, 20, 10))[0]
    return to_text(now_ms - chance.randrange(reach))


def _signup(customer: str, now_ms: int, chance: random.Random) -> Posted:
    data = {
        "name": f"Customer {customer}",
        "email": f"{customer}@example.com",
        "locale": chance.choice(("pt-BR", "es", "en")),
        "consent": {"email": chance.random() < 0.5},
    }
    return _named(f"signup-{customer}", "signup", customer, _happened(now_ms, chance), data)


def _event(number: int, customer: str, now_ms: int, chance: random.Random) -> Posted:
    kind = chance.choices(tuple(_DATA), tuple(weight for weight, _ in _DATA.values()))[0]
    data = _data(kind, number, customer, chance)
    return _named(f"e-{number}", kind, customer, _happened(now_ms, chance), data)


_DATA: dict[str, tuple[int, dict[str, Any]]] = {
    "purchase": (30, {"amount": "49.90", "currency": "BRL"}),
    "engagement": (25, {"channel": "visit"}),
    "beat": (20, {"strength": 1}),
    "complaint": (6, {}),
    "complaint_resolved": (6, {}),
    "survey_response": (5, {"kind": "nps"}),
    "referral": (3, {"code": "friend"}),
    "consent_changed": (3, {"channel": "email"}),
    "subscription_cancelled": (2, {"reason": "too dear"}),
}


def _data(kind: str, number: int, customer: str, chance: random.Random) -> dict[str, Any]:
    data = dict(_DATA[kind][1])
    if kind == "purchase":
        data |= {"order_id": f"o-{number}"}
    elif kind in ("complaint", "complaint_resolved"):
        data |= {"complaint_id": f"{customer}-{chance.randrange(3)}"}
    elif kind == "survey_response":
        data |= {"score": chance.randrange(11)}
    elif kind == "consent_changed":
        data |= {"granted": chance.random() < 0.5}
    return data


def _history(customer: str, now_ms: int, chance: random.Random) -> Iterator[Posted]:
    """Purchases of the last year, the oldest first; whoever stopped long ago is churned by now."""
    times = sorted(now_ms - DAY_MS - chance.randrange(360 * DAY_MS) for _ in range(chance.randrange(2, 6)))
    for number, time_ms in enumerate(times):
        data = {"order_id": f"h-{number}", "amount": "99.00", "currency": "BRL"}
        event = _named(f"history-{customer}-{number}", "purchase", customer, to_text(time_ms), data)
        yield event | {"mode": BACKFILL}


def _named(identity: str, kind: str, customer: str, time: str, data: dict[str, Any]) -> Posted:
    return {"id": identity, "type": kind, "customer_id": customer, "time": time, "data": data}
