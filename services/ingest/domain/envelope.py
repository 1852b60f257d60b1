"""What surrounds an event's data: id, type, customer, time, mode.

The common case is decoded in one step. Only when that fails is the item looked at field by field, to say all that is
wrong with it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from shared.contracts.field_errors import FieldError, did_you_mean, pointer

MAX_TEXT: Final = 200
RESERVED: Final = ("jornada.", "customer.")

_TYPE = re.compile(r"[a-z][a-z0-9_.:-]{0,63}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_NO_DATA: Final = msgspec.Raw()


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item as posted, its data still as text (empty when it was left out)."""

    type: str
    customer_id: str
    id: str | None = None
    time: datetime | None = None
    data: msgspec.Raw = _NO_DATA
    mode: Literal["live", "backfill"] = "live"


decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_any = msgspec.json.Decoder().decode


def text_error(name: str, value: str) -> FieldError | None:
    """What is wrong with an id or customer_id."""
    if 0 < len(value) <= MAX_TEXT and (value.isprintable() or not _CONTROL.search(value)):
        return None
    if not value:
        return FieldError(pointer(name), "it is empty", f"write 1 to {MAX_TEXT} characters")
    if len(value) > MAX_TEXT:
        return FieldError(pointer(name), f"it has {len(value)} characters", f"write at most {MAX_TEXT}")
    return FieldError(pointer(name), "it contains control characters", "leave them out")


def type_error(value: str) -> FieldError | None:
    """What is wrong with a type's name."""
    if not _TYPE.fullmatch(value):
        advice = "write 1 to 64 of a-z, 0-9, _ . : and -, beginning with a letter"
        return FieldError("/type", "it is no name of a type", advice)
    if value.startswith(RESERVED):
        return FieldError("/type", f"names that begin with {' or '.join(RESERVED)} are Jornada's own", "choose another")
    return None


def explain(raw: bytes, error: str) -> tuple[FieldError, ...]:
    """All that is wrong with the envelope of an item that could not be decoded by `Envelope`."""
    item = _decode_any(raw)
    if not isinstance(item, dict):
        return (
            FieldError("", "an event is a JSON object", 'write {"id": …, "type": …, "customer_id": …, "data": {…}}'),
        )
    found = [*_unknown(item), *_missing(item), *_wrong(item)]
    return tuple(found) or (FieldError("", error),)


def _unknown(item: dict[str, Any]) -> list[FieldError]:
    known = Envelope.__struct_fields__
    return [
        FieldError(pointer(name), "there is no such field", did_you_mean(name, known))
        for name in list(item)[:50]
        if name not in known
    ]


def _missing(item: dict[str, Any]) -> list[FieldError]:
    return [
        FieldError(pointer(name), "it is required", "add it") for name in ("type", "customer_id") if name not in item
    ]


def _wrong(item: dict[str, Any]) -> list[FieldError]:
    checked = {
        "type": (str, "write a text in quotes"),
        "customer_id": (str, "write a text in quotes, numbers too"),
        "id": (str | None, "write a text in quotes, numbers too"),
        "time": (datetime | None, "write RFC 3339 with an offset, such as 2026-11-22T14:03:11Z"),
        "mode": (Literal["live", "backfill"], 'write "live" or "backfill", or leave it out'),
    }
    found = [_field(item, name, kind, advice) for name, (kind, advice) in checked.items() if name in item]
    return [error for error in found if error is not None]


def _field(item: dict[str, Any], name: str, kind: Any, advice: str) -> FieldError | None:
    try:
        msgspec.convert(item[name], kind)
    except msgspec.ValidationError as error:
        return FieldError(pointer(name), str(error), advice)
    return None
