"""The built-in facts: what they mean, their types, and how each event type moves them.

Counts and sums start at 0, every other fact has no value until its first event. "First" and "last" go by event time E,
then by the order of the log. An event that lacks a field is passed over for the fact that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from hashlib import blake2b
from typing import Any

import msgspec

from services.stage_engine.domain.event import Event
from services.stage_engine.domain.state import FactValue
from shared.contracts.events import EventType
from shared.contracts.money import to_minor

MAX_OPEN_COMPLAINTS = 1_000
MAX_RESOLVED_REMEMBERED = 100
LONGEST_ID_KEPT = 24
PROFILE_FIELDS = ("name", "email", "phone", "locale", "time_zone")


class FactType(Enum):
    """How a fact is stored, and how conditions see it."""

    INT = "int"
    NUMBER = "number"
    """A double."""
    MONEY = "money"
    """Stored in minor units of the tenant's currency; a double in major units in conditions."""
    TIME = "time"
    """Stored in milliseconds; a timestamp in conditions."""
    DURATION = "duration"
    """Stored in milliseconds; a duration in conditions."""
    TEXT = "text"


BUILT_IN: Mapping[str, FactType] = {
    "signed_up_at": FactType.TIME,
    "first_seen": FactType.TIME,
    "last_seen": FactType.TIME,
    "orders": FactType.INT,
    "revenue": FactType.MONEY,
    "refunds": FactType.INT,
    "average_order_value": FactType.MONEY,
    "first_purchase_at": FactType.TIME,
    "last_purchase_at": FactType.TIME,
    "complaints": FactType.INT,
    "open_complaints": FactType.INT,
    "nps": FactType.INT,
    "csat": FactType.INT,
    "ces": FactType.INT,
    "referrals": FactType.INT,
    "engagements": FactType.INT,
    "last_engagement_at": FactType.TIME,
}
"""Built-in facts. `revenue` is purchases less refunds; `average_order_value` is purchases before refunds by number of
orders, rounded to the minor unit; both count the tenant's currency only. `refunds` counts refund events."""

START_VALUES: Mapping[str, FactValue] = {
    "orders": 0,
    "revenue": 0,
    "refunds": 0,
    "complaints": 0,
    "open_complaints": 0,
    "referrals": 0,
    "engagements": 0,
}


class Ledger(msgspec.Struct, frozen=True):
    """Facts and notes while one event is applied; both are this event's own copies."""

    facts: dict[str, FactValue]
    notes: dict[str, Any]
    currency: str


Applier = Callable[[Ledger, Event], None]


def apply_event(ledger: Ledger, event: Event) -> None:
    """Let an event change the facts. Raises ValueError when its payload can't be used (nothing is half applied by the
    caller, who drops the copies)."""
    _earliest(ledger.facts, "first_seen", event.time_ms)
    _latest(ledger.facts, "last_seen", event.time_ms)
    applier = _APPLIERS.get(event.type)
    if applier is not None:
        applier(ledger, event)


def _earliest(facts: dict[str, FactValue], name: str, moment_ms: int) -> None:
    before = facts.get(name)
    if before is None or moment_ms < int(before):
        facts[name] = moment_ms


def _latest(facts: dict[str, FactValue], name: str, moment_ms: int) -> None:
    before = facts.get(name)
    if before is None or moment_ms > int(before):
        facts[name] = moment_ms


def _add(facts: dict[str, FactValue], name: str, amount: int) -> None:
    facts[name] = int(facts[name]) + amount


def _is_newest(notes: dict[str, Any], name: str, moment_ms: int) -> bool:
    """Whether `name` was last set at or before this moment; remembers the moment if so."""
    key = f"{name}@"
    if moment_ms < notes.get(key, moment_ms):
        return False
    notes[key] = moment_ms
    return True


def _signup(ledger: Ledger, event: Event) -> None:
    _earliest(ledger.facts, "signed_up_at", event.time_ms)
    _profile(ledger, event)
    for channel, granted in (event.data.get("consent") or {}).items():
        _set_consent(ledger, channel, granted=granted, moment_ms=event.time_ms)


def _profile(ledger: Ledger, event: Event) -> None:
    for field in PROFILE_FIELDS:
        if field in event.data and _is_newest(ledger.notes, field, event.time_ms):
            ledger.notes[field] = event.data[field]


def _consent(ledger: Ledger, event: Event) -> None:
    _set_consent(ledger, event.data["channel"], granted=event.data["granted"], moment_ms=event.time_ms)


def _set_consent(ledger: Ledger, channel: str, *, granted: bool, moment_ms: int) -> None:
    if _is_newest(ledger.notes, f"consent.{channel}", moment_ms):
        ledger.notes["consent"] = {**ledger.notes.get("consent", {}), channel: granted}


def _purchase(ledger: Ledger, event: Event) -> None:
    facts, notes = ledger.facts, ledger.notes
    _add(facts, "orders", 1)
    _earliest(facts, "first_purchase_at", event.time_ms)
    _latest(facts, "last_purchase_at", event.time_ms)
    currency = event.data["currency"]
    minor = to_minor(event.data["amount"], currency)
    if currency != ledger.currency:
        _add_foreign(notes, currency, minor)
        return
    _add(facts, "revenue", minor)
    notes["gross"] = notes.get("gross", 0) + minor
    notes["priced"] = notes.get("priced", 0) + 1
    facts["average_order_value"] = (2 * notes["gross"] + notes["priced"]) // (2 * notes["priced"])


def _refund(ledger: Ledger, event: Event) -> None:
    _add(ledger.facts, "refunds", 1)
    currency = event.data["currency"]
    minor = to_minor(event.data["amount"], currency)
    if currency == ledger.currency:
        _add(ledger.facts, "revenue", -minor)
    else:
        _add_foreign(ledger.notes, currency, -minor)


def _add_foreign(notes: dict[str, Any], currency: str, minor: int) -> None:
    """Amounts in another currency have no value in `revenue`; they are kept apart, per currency (at most 180)."""
    foreign = notes.get("foreign_revenue", {})
    notes["foreign_revenue"] = {**foreign, currency: foreign.get(currency, 0) + minor}


def _remembered(complaint_id: str) -> str:
    """How an id is kept: a long one by its fingerprint, so that a thousand take little room whatever they are."""
    if complaint_id.isascii() and len(complaint_id) <= LONGEST_ID_KEPT:
        return complaint_id
    return f"#{blake2b(complaint_id.encode(), digest_size=12).hexdigest()}"


def _complaint(ledger: Ledger, event: Event) -> None:
    _add(ledger.facts, "complaints", 1)
    opened, complaint_id = ledger.notes.get("open", []), _remembered(event.data["complaint_id"])
    known = complaint_id in opened or complaint_id in ledger.notes.get("resolved", [])
    if not known and len(opened) < MAX_OPEN_COMPLAINTS:
        ledger.notes["open"] = [*opened, complaint_id]
        ledger.facts["open_complaints"] = len(opened) + 1


def _complaint_resolved(ledger: Ledger, event: Event) -> None:
    complaint_id = _remembered(event.data["complaint_id"])
    opened, resolved = ledger.notes.get("open", []), ledger.notes.get("resolved", [])
    if complaint_id not in resolved:
        ledger.notes["resolved"] = [*resolved, complaint_id][-MAX_RESOLVED_REMEMBERED:]
    if complaint_id in opened:
        ledger.notes["open"] = [other for other in opened if other != complaint_id]
        ledger.facts["open_complaints"] = len(opened) - 1


def _survey(ledger: Ledger, event: Event) -> None:
    kind = event.data["kind"]
    if _is_newest(ledger.notes, kind, event.time_ms):
        ledger.facts[kind] = event.data["score"]


def _engagement(ledger: Ledger, event: Event) -> None:
    _add(ledger.facts, "engagements", 1)
    _latest(ledger.facts, "last_engagement_at", event.time_ms)


def _referral(ledger: Ledger, _event: Event) -> None:
    _add(ledger.facts, "referrals", 1)


_APPLIERS: Mapping[str, Applier] = {
    EventType.SIGNUP: _signup,
    EventType.PROFILE_UPDATED: _profile,
    EventType.CONSENT_CHANGED: _consent,
    EventType.PURCHASE: _purchase,
    EventType.PURCHASE_REFUNDED: _refund,
    EventType.COMPLAINT: _complaint,
    EventType.COMPLAINT_RESOLVED: _complaint_resolved,
    EventType.SURVEY_RESPONSE: _survey,
    EventType.ENGAGEMENT: _engagement,
    EventType.REFERRAL: _referral,
}
