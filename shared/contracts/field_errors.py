"""What was wrong in a document that somebody sent: where, as a JSON pointer (RFC 6901), and what to send instead. Pure."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_MOST_ERRORS = 20

_FORMS = {
    "currency": "write an ISO 4217 code such as BRL",
    "email": "write one address, such as ana@example.com",
    "phone": "write it in E.164 form, such as +5511912345678",
    "locale": "write a language tag such as pt-BR",
    "time_zone": "write an IANA zone such as America/Sao_Paulo",
}
_ADVICE = {
    "missing": "add it",
    "decimal_parsing": 'write an amount like "129.90"',
    "decimal_type": 'write an amount like "129.90"',
    "finite_number": 'write an amount like "129.90"',
    "bool_type": "write true or false",
    "int_type": "write a whole number without quotes",
    "string_type": "write it in quotes",
    "list_type": "write a list: [ … ]",
    "dict_type": "write an object: { … }",
    "model_type": "write an object: { … }",
}


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong in a request: where (a JSON pointer into the body), what, and what to do."""

    pointer: str
    detail: str
    advice: str = ""


def pointer(*parts: str | int) -> str:
    """A JSON pointer: `pointer("data", 0, "a/b")` is `/data/0/a~1b`."""
    return "".join(
        f"/{part.replace('~', '~0').replace('/', '~1')}" if isinstance(part, str) else f"/{part}" for part in parts
    )


def field_errors(error: ValidationError, model: type[BaseModel], *at: str | int) -> tuple[FieldError, ...]:
    """Each wrong field (the first 20), under the pointer `at`. `model` says which names might have been meant."""
    found = error.errors(include_url=False, include_context=True, include_input=False)
    return tuple(_field_error(one, model, at) for one in found[:_MOST_ERRORS])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean "amount"?`, or a list of what is known."""
    names = list(known)
    close = difflib.get_close_matches(name[:100], names, n=1)
    return f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(names)}"


def _field_error(one: ErrorDetails, model: type[BaseModel], at: Sequence[str | int]) -> FieldError:
    where = one["loc"]
    return FieldError(pointer(*at, *where), _detail(one), _advice(one, model))


def _detail(one: ErrorDetails) -> str:
    if one["type"] == "extra_forbidden":
        return "there is no such field"
    if one["type"] == "value_error":
        return str(one["ctx"]["error"])
    return one["msg"].replace("Input should", "it should").replace("Field required", "it is required")


def _advice(one: ErrorDetails, model: type[BaseModel]) -> str:
    if one["type"] == "extra_forbidden":
        *path, name = one["loc"]
        owner = _model_at(model, path)
        known = list(owner.model_fields) if owner else []
        own = '; what is your own goes under "properties"' if "properties" in known else ""
        return did_you_mean(str(name), known) + own
    if one["type"] == "string_pattern_mismatch":
        return _FORMS.get(str(one["loc"][-1]), "leave out control characters")
    return _ADVICE.get(one["type"], "")


def _model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    for step in path:
        if isinstance(step, str):
            field = model.model_fields.get(step)
            inner = _model_in(field.annotation) if field else None
            if inner is None:
                return None
            model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside `X`, `list[X]`, `X | None` or `Annotated[X, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {list, Union, types.UnionType, Annotated}:
        return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
    return None
