"""All that the engine keeps of one customer; bounded, whatever the customer does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

FactValue = int | float | str
"""A fact's value: counts and numbers as they are, money in minor units, times in milliseconds."""


class LifecycleState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a customer is in one lifecycle.

    `clock_ms` is the effective time of the last event or stage change applied here. `wake_ms` is the next due time at
    which an edge has to be looked at, if any. `entries` counts per stage how often it was entered. `tallies` is what the
    lifecycle's own facts are computed from (see `own_facts`). `by_time` counts how often time alone has moved the customer
    here since the last event.
    """

    stage: str
    entered_ms: int
    clock_ms: int
    entries: dict[str, int]
    wake_ms: int | None = None
    tallies: Mapping[str, Any] = {}
    by_time: int = 0


class Recomputed(msgspec.Struct, frozen=True):
    """How a state came about that was decided anew, because an import reached behind what had been decided.

    Events below the offset `below` were lived in the order of (arrival, offset), all under the versions of `activation`, and
    then time until `until_ms`, where the decisions before had come to.
    What had been published until then stays: sequence and revision are so far ahead of what that life alone gives.
    """

    below: int
    until_ms: int
    activation: int
    sequence_ahead: int
    revision_ahead: int


class CustomerState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One customer. `facts` holds values that conditions read; `notes` what facts need to be kept up to date.

    `revision` counts versions of this state, `sequence` stage changes over all lifecycles. `decided_until_ms` is the
    greatest arrival applied, or the time at which a wake-up that changed something was ripe: history before it can't
    be added to without deciding again. `imported_until_ms` is the log's time of the last backfilled event: timers that
    were ripe before it belong to the import. `activation` is the partition's number of the last activation that this
    customer has met. `behind` says that history holds imported events from before `decided_until_ms` which are not in this
    state yet: it is decided anew when the import has settled.
    """

    revision: int = 0
    sequence: int = 0
    facts: dict[str, FactValue] = {}
    notes: dict[str, Any] = {}
    lifecycles: dict[str, LifecycleState] = {}
    decided_until_ms: int = 0
    imported_until_ms: int = 0
    activation: int = 0
    behind: bool = False
    recomputed: Recomputed | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CustomerState)


def encode_state(state: CustomerState) -> bytes:
    """The stored form: JSON, so that a person can read it in the database."""
    return _encoder.encode(state)


def decode_state(stored: bytes) -> CustomerState:
    """Read the stored form back."""
    return _decoder.decode(stored)
