"""What a sender is told: one answer for one event, one with an entry for each item for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.ingest.domain.outcome import Accepted, Outcome, Reason, Refused
from shared.contracts.field_errors import FieldError, pointer
from shared.http.problems import FORBIDDEN, INVALID, MALFORMED, TOO_LARGE, Problem

_KINDS = {kind.status: kind for kind in (MALFORMED, FORBIDDEN, TOO_LARGE, INVALID)}


class EventAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """202 for one event."""

    id: str
    status: str
    warnings: tuple[str, ...] = ()


class ItemAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one item of a batch. `reason` is a stable word for programs."""

    index: int
    status: str
    id: str | None = None
    reason: Reason | None = None
    errors: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()


class BatchAnswer(msgspec.Struct, frozen=True):
    """202 when all items were accepted, 207 when some were."""

    accepted: int
    refused: int
    items: list[ItemAnswer]


def event_answer(event: Accepted) -> bytes:
    """The body for one accepted event."""
    return msgspec.json.encode(EventAnswer(event.id, "accepted", event.warnings))


def event_problem(outcome: Refused) -> Problem:
    """The answer for one refused event."""
    kind = _KINDS[outcome.status]
    members: dict[str, Any] = {"reason": outcome.reason}
    if outcome.id is not None:
        members["id"] = outcome.id
    first = outcome.errors[0]
    return Problem(kind, f"{first.pointer or 'the event'}: {first.detail}", outcome.errors, members=members)


def batch_answer(outcomes: Sequence[Outcome]) -> BatchAnswer:
    """The entries for all items, pointers counted from the array."""
    items = [_item(index, outcome) for index, outcome in enumerate(outcomes)]
    accepted = sum(isinstance(outcome, Accepted) for outcome in outcomes)
    return BatchAnswer(accepted, len(outcomes) - accepted, items)


def batch_problem(answered: BatchAnswer) -> Problem:
    """The answer for a batch of which nothing can be kept."""
    members = {"accepted": 0, "refused": answered.refused, "items": answered.items}
    return Problem(INVALID, "no event of the batch can be taken; each says why under items", members=members)


def _item(index: int, outcome: Outcome) -> ItemAnswer:
    if isinstance(outcome, Accepted):
        return ItemAnswer(index, "accepted", outcome.id, warnings=outcome.warnings)
    errors = tuple(FieldError(pointer(index) + error.pointer, error.detail, error.advice) for error in outcome.errors)
    return ItemAnswer(index, "refused", outcome.id, outcome.reason, errors)
