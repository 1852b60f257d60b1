"""What `advance` decides: stage changes with their why, and what could not be decided."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.stage_engine.domain.by_hand import ManualMove, Moved
from services.stage_engine.domain.event import Activation, Event
from services.stage_engine.domain.lifecycle import Lifecycle, Transition
from services.stage_engine.domain.state import CustomerState, FactValue


class ByEvent(msgspec.Struct, frozen=True):
    """An event caused it."""

    event: Event


class ByTimer(msgspec.Struct, frozen=True):
    """Time caused it: what was due then."""

    due_ms: int


class ByActivation(msgspec.Struct, frozen=True):
    """A newly published version caused it."""

    activation: Activation


class ByHand(msgspec.Struct, frozen=True):
    """A person caused it."""

    move: ManualMove
    move_id: str


class ByRecompute(msgspec.Struct, frozen=True):
    """An import caused it that reached behind what was decided; the log had all of it by `imported_until_ms`."""

    imported_until_ms: int


CausedBy = ByEvent | ByTimer | ByActivation | ByHand | ByRecompute


class StageChange(msgspec.Struct, frozen=True):
    """One hop. Times in milliseconds; `effective_ms` is when it counts from. `facts` are those its condition named,
    as stored (see facts.FactType); `transition` is None when the customer enters the start stage.
    `after` is the customer's state when the whole decision was made."""

    lifecycle: Lifecycle
    from_: str | None
    to: str
    transition: Transition | None
    entry: int
    sequence: int
    effective_ms: int
    previous_entered_ms: int | None
    settled: bool
    late: bool
    backfill: bool
    cause: CausedBy
    facts: Mapping[str, FactValue]
    after: CustomerState


class EvaluationError(msgspec.Struct, frozen=True):
    """A condition that could not be computed; its edge did not hold."""

    lifecycle: str
    transition: str
    expression: str
    detail: str
    facts: Mapping[str, FactValue]
    at_ms: int


class Applied(msgspec.Struct, frozen=True):
    """The new state and what happened on the way to it."""

    state: CustomerState
    changes: tuple[StageChange, ...] = ()
    errors: tuple[EvaluationError, ...] = ()
    moved: Moved | None = None
    """What became of a move by hand, when that was the occurrence."""


class BehindClock(msgspec.Struct, frozen=True):
    """A backfilled event lies before what was already decided for this customer; nothing was applied."""

    decided_until_ms: int


class Unapplicable(msgspec.Struct, frozen=True):
    """The event's payload can't be used; nothing was applied."""

    detail: str


Decision = Applied | BehindClock | Unapplicable
