"""An event's data: whether it is the payload that its type asks for, and harmless to everybody behind."""

from __future__ import annotations

from decimal import DecimalException
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from services.ingest.domain.outcome import Reason, Refused, malformed, refused
from shared.contracts.events import PAYLOADS, Payload, Priced, SurveyResponse
from shared.contracts.field_errors import FieldError, field_errors
from shared.contracts.money import MINOR_UNIT_EXPONENT

MAX_DEPTH: Final = 20
"""Levels of objects and lists in a whole event; the event is level 1, its data level 2."""

_DATA_LEVEL: Final = 2
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def compact(raw: bytes) -> bytes:
    """The same JSON without white space between its parts; texts and numbers stay as they were written."""
    return msgspec.json.format(raw, indent=-1)


def check_data(event_type: str, data: bytes) -> Refused | None:
    """What is wrong with the data, or None.

    It is decoded with the very decoder that readers of the log use, so that what is accepted can be read.
    """
    try:
        decoded = _decode_object(data)
    except RecursionError:
        return too_deep()
    except msgspec.ValidationError as error:
        return _no_object(error)
    except ValueError as error:
        return malformed("/data", error)
    if _may_be_too_deep(data) and _depth(decoded) + _DATA_LEVEL - 1 > MAX_DEPTH:
        return too_deep()
    if b"\\u0000" in data and _has_nul(decoded):
        return refused(Reason.PAYLOAD, "/data", "a text contains the character U+0000", "leave it out")
    model = PAYLOADS.get(event_type)
    return _check_model(model, data, decoded) if model else None


def too_deep() -> Refused:
    """The refusal of an event with too many levels."""
    return refused(Reason.TOO_DEEP, "/data", f"it has more than {MAX_DEPTH} levels", "flatten it")


def _check_model(model: type[Payload], data: bytes, decoded: dict[str, Any]) -> Refused | None:
    try:
        model.model_validate_json(data)
    except ValidationError as error:
        found = field_errors(error, model, "data")
        return Refused(Reason.PAYLOAD, tuple(_narrowed(one, model, decoded) for one in found))
    except DecimalException:
        return Refused(Reason.PAYLOAD, (FieldError("/data", "an amount is out of range", 'write it like "129.90"'),))
    return None


def _narrowed(error: FieldError, model: type[Payload], decoded: dict[str, Any]) -> FieldError:
    """An error of the data as a whole is laid to the field that most likely has to change."""
    if error.pointer != "/data":
        return error
    if issubclass(model, Priced):
        return _narrowed_price(error, str(decoded.get("currency")))
    if issubclass(model, SurveyResponse):
        return FieldError("/data/score", error.detail, "write the score on the scale of its kind")
    return error


def _narrowed_price(error: FieldError, currency: str) -> FieldError:
    exponent = MINOR_UNIT_EXPONENT.get(currency)
    if exponent is None:
        return FieldError("/data/currency", error.detail, "write an ISO 4217 code such as BRL")
    return FieldError("/data/amount", error.detail, f'write an amount in {currency} like "{129.9:.{exponent}f}"')


def _no_object(error: msgspec.ValidationError) -> Refused:
    if "out of range" in str(error):
        return refused(Reason.PAYLOAD, "/data", "a number is out of range", "write very large numbers as text")
    return refused(Reason.PAYLOAD, "/data", "it is no JSON object", "write an object: { … }")


def _may_be_too_deep(data: bytes) -> bool:
    """Cheap and never wrong when it says no: fewer opening brackets than levels."""
    return data.count(b"{") + data.count(b"[") >= MAX_DEPTH


def _depth(value: object) -> int:
    """Levels of containers, breadth first, no further than matters."""
    level: list[Any] = [value]
    depth = 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [inner for outer in level for inner in _parts(outer) if type(inner) in (dict, list)]
    return depth


def _has_nul(value: object) -> bool:
    level: list[Any] = [value]
    while level:
        texts = [part for part in level if type(part) is str]
        texts += [name for part in level if type(part) is dict for name in part]
        if any("\x00" in text for text in texts):
            return True
        level = [inner for outer in level for inner in _parts(outer)]
    return False


def _parts(value: object) -> list[Any]:
    if type(value) is dict:
        return list(value.values())
    return value if type(value) is list else []
