"""What can happen to a customer: an event that the log took, or time that went by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True):
    """An event as the engine applies it; all times in milliseconds.

    `time_ms` is E, when it happened, never after `arrival_ms`. `arrival_ms` is A, when it counts as having come: the
    log's own time for a live event, E itself for a backfilled one. `logged_ms` is the log's own time for both.
    """

    tenant: str
    customer_id: str
    id: str
    type: str
    time_ms: int
    arrival_ms: int
    logged_ms: int
    backfill: bool
    data: Mapping[str, Any]

    @classmethod
    def taken(cls, origin: Origin, time_ms: int, logged_ms: int, *, backfill: bool, data: Mapping[str, Any]) -> Event:
        """An event by the rules of time: a live one that claims to be from after its arrival is clamped to it."""
        happened = min(time_ms, logged_ms)
        return cls(
            tenant=origin.tenant,
            customer_id=origin.customer_id,
            id=origin.id,
            type=origin.type,
            time_ms=happened,
            arrival_ms=happened if backfill else logged_ms,
            logged_ms=logged_ms,
            backfill=backfill,
            data=data,
        )


class Origin(msgspec.Struct, frozen=True):
    """What names an event: whose it is, its id, its type."""

    tenant: str
    customer_id: str
    id: str
    type: str


class Lived(msgspec.Struct, frozen=True):
    """An event of a customer's history with its place in the log."""

    offset: int
    event: Event


class Tick(msgspec.Struct, frozen=True):
    """Time went by until `until_ms` (a partition's watermark) and the customer sent nothing meanwhile."""

    until_ms: int


class Activation(msgspec.Struct, frozen=True):
    """A version of a lifecycle begins to hold in a partition, at the arrival `at_ms` of the record that says so.

    `number` counts the activations of the partition. `migrate` puts customers of stages that are no more into others.
    `tallies` are the lifecycle's own facts as computed from this customer's history, None where they stay. With `notify`
    what it changes is published as live, otherwise as backfill, which no campaign acts on.
    """

    number: int
    at_ms: int
    lifecycle: str
    version: int
    publish_id: str
    notify: bool = False
    migrate: Mapping[str, str] = {}
    tallies: Mapping[str, Any] | None = None
