"""What becomes of one posted item."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from shared.contracts.field_errors import FieldError


class Reason(StrEnum):
    """Why an item is refused: the label of the metric, and what decides the status."""

    MALFORMED = "malformed"
    ENVELOPE = "invalid_envelope"
    PAYLOAD = "invalid_payload"
    TIME = "invalid_time"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    ID_NEEDED = "id_needed"
    ID_TWICE = "id_twice"
    SCOPE = "missing_scope"


STATUS = {Reason.MALFORMED: 400, Reason.TOO_LARGE: 413, Reason.SCOPE: 403}
"""Status of a refusal by its reason; 422 for all others."""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event that may go to the log: its record's key and value, and what its sender is told. `time_ms` is when it
    happened."""

    id: str
    type: str
    customer_id: str
    mode: str
    time_ms: int
    key: bytes
    value: bytes
    warnings: tuple[str, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """An item that is not kept. `id` is what its sender called it, when that could be read."""

    reason: Reason
    errors: tuple[FieldError, ...]
    id: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status when it was posted alone."""
        return STATUS.get(self.reason, 422)


Outcome = Accepted | Refused


def refused(reason: Reason, where: str, detail: str, advice: str = "") -> Refused:
    """A refusal for one thing wrong."""
    return Refused(reason, (FieldError(where, detail, advice),))


def malformed(where: str, error: ValueError) -> Refused:
    """The refusal of text that is no JSON."""
    return refused(Reason.MALFORMED, where, json_error(error), "send JSON in UTF-8 (RFC 8259)")


def json_error(error: ValueError) -> str:
    """What a decoder says is wrong with a text, in words that fit."""
    if "truncated" in str(error):
        return "the JSON ends too early, or holds half of a surrogate pair (\\ud800 to \\udfff alone)"
    return f"it is no valid JSON: {error}"
