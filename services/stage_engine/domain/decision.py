"""What `advance` decides: stage changes with their why, and what could not be decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.stage_engine.domain.event import Event
from services.stage_engine.domain.lifecycle import Lifecycle, Transition
from services.stage_engine.domain.state import CustomerState, FactValue


@dataclass(frozen=True, slots=True)
class ByEvent:
    """An event caused it."""

    event: Event


@dataclass(frozen=True, slots=True)
class ByTimer:
    """Time caused it: what was due then."""

    due_ms: int


CausedBy = ByEvent | ByTimer


@dataclass(frozen=True, slots=True)
class StageChange:
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


@dataclass(frozen=True, slots=True)
class EvaluationError:
    """A condition that could not be computed; its edge did not hold."""

    lifecycle: str
    transition: str
    expression: str
    detail: str
    facts: Mapping[str, FactValue]
    at_ms: int


@dataclass(frozen=True, slots=True)
class Applied:
    """The new state and what happened on the way to it."""

    state: CustomerState
    changes: tuple[StageChange, ...] = ()
    errors: tuple[EvaluationError, ...] = ()


@dataclass(frozen=True, slots=True)
class BehindClock:
    """A backfilled event lies before what was already decided for this customer; nothing was applied."""

    decided_until_ms: int


@dataclass(frozen=True, slots=True)
class Unapplicable:
    """The event's payload can't be used; nothing was applied."""

    detail: str


Decision = Applied | BehindClock | Unapplicable
