"""The stage change as it is published (type `customer.stage_changed`) and posted to webhooks, with its why."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from shared.contracts.cloudevent import CloudEvent

STAGE_CHANGED_TYPE: Final = "customer.stage_changed"
STAGE_ENGINE_SOURCE: Final = "/jornada/stage-engine"

Direction = Literal["up", "down", "same"]
Mode = Literal["live", "backfill"]


class EventCause(msgspec.Struct, frozen=True, tag_field="kind", tag="event"):
    """An event moved the customer; `time` is RFC 3339."""

    id: str
    type: str
    time: str


class TimerCause(msgspec.Struct, frozen=True, tag_field="kind", tag="timer"):
    """Silence or elapsed time moved the customer; `due_at` is when the condition became true."""

    due_at: str


class ManualCause(msgspec.Struct, frozen=True, tag_field="kind", tag="manual"):
    """A person moved the customer; `move_id` is what the API answered."""

    by: str
    reason: str
    move_id: str


class PublishedCause(msgspec.Struct, frozen=True, tag_field="kind", tag="published"):
    """A new version of the lifecycle was published, by whose rules the customer stands elsewhere."""

    publish_id: str
    version: int


class RecomputedCause(msgspec.Struct, frozen=True, tag_field="kind", tag="recomputed"):
    """An import reached behind what had been decided, so history was lived again; the log had all of it by
    `imported_until`. What was published before stays: this change leads from there to where history puts the customer."""

    imported_until: str


Cause = EventCause | TimerCause | ManualCause | PublishedCause | RecomputedCause


class StageSnapshot(msgspec.Struct, frozen=True):
    """Where a customer is in one lifecycle. `entry` counts how often the stage was entered."""

    stage: str
    entry: int
    entered_at: str


class CustomerSnapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a notifier may know of a customer at one `revision`.

    `consent` maps a channel to granted or withdrawn; an absent channel is unknown, which means no for marketing.
    """

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    consent: dict[str, bool] = {}
    open_complaints: int = 0
    stages: dict[str, StageSnapshot] = {}


class StageChanged(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One hop from a stage to another. `from` and `transition` are null when the customer enters the start stage.

    `sequence` counts the customer's stage changes over all lifecycles without gaps; `revision` counts versions of the
    customer's state; `settled` is true for the last hop of one decision. `facts` are those its condition read: times
    as RFC 3339, money as decimal text in major units.
    """

    customer_id: str
    lifecycle: str
    lifecycle_version: int
    from_: str | None
    to: str
    direction: Direction
    entry: int
    sequence: int
    revision: int
    settled: bool
    late: bool
    transition: str | None
    cause: Cause
    facts: dict[str, Any]
    previous_stage_entered_at: str | None
    mode: Mode
    customer: CustomerSnapshot


def read_stage_changed(event: CloudEvent) -> StageChanged:
    """The payload of a `customer.stage_changed` record. Raises ValueError that names the field."""
    return msgspec.convert(event.data, StageChanged)
