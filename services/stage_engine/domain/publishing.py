"""From decisions to what is published: the contracts of `shared.contracts`, with deterministic ids."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec

from services.stage_engine.domain.decision import ByActivation, ByHand, ByRecompute, ByTimer, StageChange
from services.stage_engine.domain.facts import BUILT_IN, PROFILE_FIELDS, FactType
from services.stage_engine.domain.state import CustomerState, FactValue
from shared.contracts.cloudevent import Produced, encode_produced
from shared.contracts.customer_updated import CUSTOMER_UPDATED_TYPE, CustomerUpdated
from shared.contracts.events import EventType
from shared.contracts.money import to_major
from shared.contracts.stage_changed import (
    STAGE_CHANGED_TYPE,
    STAGE_ENGINE_SOURCE,
    Cause,
    CustomerSnapshot,
    EventCause,
    ManualCause,
    PublishedCause,
    RecomputedCause,
    StageChanged,
    StageSnapshot,
    TimerCause,
)
from shared.contracts.times import duration_text, to_text

SNAPSHOT_EVENTS = frozenset(
    {
        EventType.SIGNUP.value,
        EventType.PROFILE_UPDATED.value,
        EventType.CONSENT_CHANGED.value,
        EventType.COMPLAINT.value,
        EventType.COMPLAINT_RESOLVED.value,
    }
)
"""Event types that can change a snapshot even if they move nobody."""

_encode = msgspec.json.Encoder().encode


class Published(NamedTuple):
    """A stage change ready to be written: as kept in our history (without the person) and as sent to the log."""

    change_id: str
    kept: bytes
    record: bytes


def change_id(tenant: str, customer_id: str, sequence: int) -> str:
    """The id of a stage change: the same whenever and wherever it is decided again. A UUID of version 8."""
    digest = hashlib.blake2b(f"{tenant}\x00{customer_id}\x00{sequence}".encode(), digest_size=16).digest()
    number = int.from_bytes(digest, "big") & ~(0xF << 76) & ~(0x3 << 62) | 8 << 76 | 2 << 62
    return str(UUID(int=number))


def publish_change(change: StageChange, tenant: str, customer_id: str, currency: str) -> Published:
    """The contract of a stage change."""
    data = StageChanged(
        customer_id=customer_id,
        lifecycle=change.lifecycle.name,
        lifecycle_version=change.lifecycle.version,
        from_=change.from_,
        to=change.to,
        direction=change.lifecycle.direction(change.from_, change.to),
        entry=change.entry,
        sequence=change.sequence,
        revision=change.after.revision,
        settled=change.settled,
        late=change.late,
        transition=change.transition.id if change.transition else None,
        cause=_cause(change),
        facts=shown_facts(change.facts, change.lifecycle.own.types, currency),
        previous_stage_entered_at=_text(change.previous_entered_ms),
        mode="backfill" if change.backfill else "live",
        customer=snapshot(change.after),
    )
    identity = change_id(tenant, customer_id, change.sequence)
    produced = Produced(
        id=identity,
        source=STAGE_ENGINE_SOURCE,
        type=STAGE_CHANGED_TYPE,
        tenant=tenant,
        customer_id=customer_id,
        time_ms=change.effective_ms,
        data=data,
    )
    kept = _encode(msgspec.structs.replace(data, customer=CustomerSnapshot()))
    return Published(identity, kept, encode_produced(produced))


def publish_customer(state: CustomerState, tenant: str, customer_id: str, at_ms: int) -> bytes:
    """The contract of a customer's newest version."""
    data = CustomerUpdated(customer_id, state.revision, snapshot(state))
    produced = Produced(
        id=f"{customer_id}@{state.revision}",
        source=STAGE_ENGINE_SOURCE,
        type=CUSTOMER_UPDATED_TYPE,
        tenant=tenant,
        customer_id=customer_id,
        time_ms=at_ms,
        data=data,
    )
    return encode_produced(produced)


def snapshot(state: CustomerState) -> CustomerSnapshot:
    """What others may know of a customer."""
    notes = state.notes
    return CustomerSnapshot(
        **{name: notes.get(name) for name in PROFILE_FIELDS},
        consent=notes.get("consent", {}),
        open_complaints=int(state.facts.get("open_complaints", 0)),
        stages={
            name: StageSnapshot(current.stage, current.entries[current.stage], to_text(current.entered_ms))
            for name, current in state.lifecycles.items()
        },
    )


def shown_facts(facts: Mapping[str, FactValue], own: Mapping[str, FactType], currency: str) -> dict[str, FactValue]:
    """Facts as people read them: times as RFC 3339, durations as ISO 8601, money as decimal text in major units; `own`
    gives the types of those that a lifecycle declares. What has no declared type is a stage."""
    return {
        name: _shown(BUILT_IN.get(name) or own.get(name, FactType.TEXT), value, currency)
        for name, value in facts.items()
    }


def _shown(kind: FactType, value: FactValue, currency: str) -> FactValue:
    if kind is FactType.TIME:
        return to_text(int(value))
    if kind is FactType.DURATION:
        return duration_text(int(value))
    return str(to_major(int(value), currency)) if kind is FactType.MONEY else value


def _cause(change: StageChange) -> Cause:
    if isinstance(change.cause, ByTimer):
        return TimerCause(to_text(change.cause.due_ms))
    if isinstance(change.cause, ByActivation):
        activation = change.cause.activation
        return PublishedCause(activation.publish_id, activation.version)
    if isinstance(change.cause, ByHand):
        return ManualCause(change.cause.move.by, change.cause.move.reason, change.cause.move_id)
    if isinstance(change.cause, ByRecompute):
        return RecomputedCause(to_text(change.cause.imported_until_ms))
    event = change.cause.event
    return EventCause(event.id, event.type, to_text(event.time_ms))


def _text(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else to_text(moment_ms)
