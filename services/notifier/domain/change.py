"""What the notifier knows: a stage change, and the customer's contact as of the newest revision seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.contracts.stage_changed import CustomerSnapshot, StageChanged


@dataclass(frozen=True, slots=True)
class Change:
    """One stage change, as far as a campaign may look at it. Times are milliseconds."""

    tenant: str
    id: str
    customer_id: str
    lifecycle: str
    from_stage: str | None
    to_stage: str
    entry: int
    sequence: int
    revision: int
    settled: bool
    backfill: bool
    effective_ms: int
    transition: str | None = None
    direction: str = "up"


@dataclass(frozen=True, slots=True)
class Place:
    """A stage and the how-manieth time the customer is in it."""

    stage: str
    entry: int


NOWHERE = Place("", 0)


@dataclass(frozen=True, slots=True)
class Contact:
    """A customer as of `revision`; `sequence` is the last stage change seen.

    `consent` lacks the channels whose consent is unknown. `unsubscribed` is set by our own link and holds until the
    withdrawal has come back through the engine: from then on `consent` says it.
    """

    revision: int = 0
    sequence: int = 0
    name: str | None = None
    email: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    consent: Mapping[str, bool] = field(default_factory=dict)
    open_complaints: int = 0
    places: Mapping[str, Place] = field(default_factory=dict)
    unsubscribed: bool = False

    def updated(self, revision: int, snapshot: CustomerSnapshot) -> Contact:
        """The contact after a snapshot of `revision`; itself when that is not newer."""
        if revision <= self.revision:
            return self
        return replace(
            self,
            revision=revision,
            name=snapshot.name,
            email=snapshot.email,
            locale=snapshot.locale,
            time_zone=snapshot.time_zone,
            consent=dict(snapshot.consent),
            open_complaints=snapshot.open_complaints,
            places={name: Place(at.stage, at.entry) for name, at in snapshot.stages.items()},
            unsubscribed=self.unsubscribed and snapshot.consent.get("email") is not False,
        )

    def moved(self, change: Change) -> Contact:
        """The contact after a stage change; an older one than the contact's revision moves nobody."""
        if change.revision < self.revision:
            return replace(self, sequence=change.sequence)
        places = {**self.places, change.lifecycle: Place(change.to_stage, change.entry)}
        return replace(self, sequence=change.sequence, places=places)

    def in_stage(self, lifecycle: str, place: Place) -> bool:
        """Whether the customer is still in that stage, for the same time."""
        return self.places.get(lifecycle) == place


def change_of(tenant: str, change_id: str, effective_ms: int, data: StageChanged) -> Change:
    """The domain's view of a published stage change."""
    return Change(
        tenant=tenant,
        id=change_id,
        customer_id=data.customer_id,
        lifecycle=data.lifecycle,
        from_stage=data.from_,
        to_stage=data.to,
        entry=data.entry,
        sequence=data.sequence,
        revision=data.revision,
        settled=data.settled,
        backfill=data.mode == "backfill",
        effective_ms=effective_ms,
        transition=data.transition,
        direction=data.direction,
    )
