"""Records that could not be applied. The topic tells ops people; the whole bytes are in the engine's table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

DEAD_LETTER_TYPE: Final = "event.dead_lettered"
EXCERPT_BYTES: Final = 64 * 1024


class DeadLetterReason(StrEnum):
    """Why a record was set aside."""

    INVALID_JSON = "invalid_json"
    INVALID_ENVELOPE = "invalid_envelope"
    INVALID_PAYLOAD = "invalid_payload"
    TOO_LARGE = "too_large"
    KEY_MISMATCH = "key_mismatch"
    BEHIND_CLOCK = "behind_clock"
    ID_CONFLICT = "id_conflict"
    UNAPPLICABLE = "unapplicable"


class DeadLettered(msgspec.Struct, frozen=True):
    """One record set aside. `excerpt` is the first 64 KB of the value, base64."""

    dead_letter_id: str
    reason: DeadLetterReason
    detail: str
    topic: str
    partition: int
    offset: int
    key: str
    excerpt: str
