"""Moves by hand: a person puts a customer into a stage. It comes as an event, so that living it again gives the same."""

from __future__ import annotations

from typing import Final

import msgspec

from services.stage_engine.domain.event import Event
from services.stage_engine.domain.lifecycle import Lifecycle
from services.stage_engine.domain.state import LifecycleState

MANUAL_MOVE: Final = "jornada.manual_move"
"""Its event type. Ingest takes no such type from anybody; the engine's own API writes it."""


class ManualMove(msgspec.Struct, frozen=True):
    """Who is to be where and why; with `expected_stage` only if the customer is there until then."""

    lifecycle: str
    to: str
    by: str
    reason: str
    expected_stage: str | None = None


class Moved(msgspec.Struct, frozen=True):
    """What became of a move: `sequence` of its stage change, or why it was refused. `at_ms` is when it was handled, in
    the log's time."""

    move_id: str
    move: ManualMove
    at_ms: int
    sequence: int | None = None
    refusal: str | None = None


def read_move(event: Event) -> ManualMove:
    """What the event asks for. Raises ValueError that names the field."""
    return msgspec.convert(event.data, ManualMove)


def refusal(move: ManualMove, lifecycle: Lifecycle | None, current: LifecycleState | None) -> str | None:
    """Why a move can't be made; None when it can."""
    if lifecycle is None:
        return f"no lifecycle {move.lifecycle!r} runs"
    if current is None:
        return f"the customer is in no stage of {lifecycle.name} yet; an event brings them there"
    if move.to not in lifecycle.stages:
        return f"{lifecycle.name} version {lifecycle.version} has no stage {move.to!r}"
    if move.expected_stage is not None and current.stage != move.expected_stage:
        return f"the customer was expected in {move.expected_stage} and is in {current.stage}"
    if move.to == current.stage:
        return f"the customer is in {current.stage} already"
    return None
