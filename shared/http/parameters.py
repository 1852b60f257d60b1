"""Query parameters: one that nobody reads is most likely misspelt, and `?stages=churned` must not list everybody."""

from __future__ import annotations

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.contracts.field_errors import FieldError, did_you_mean
from shared.http.problems import INVALID, Problem


def check_parameters(request: Request) -> None:
    """Raises Problem 422 that names each query parameter which the route does not read."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = sorted(_read_by(route.dependant))
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        advice = [did_you_mean(name, known) if known else "leave it out" for name in unknown]
        errors = [
            FieldError("", f"query parameter {name[:100]}: there is no such parameter", told)
            for name, told in zip(unknown, advice, strict=True)
        ]
        raise Problem(INVALID, "some of the request does not fit", errors)


def _read_by(part: Dependant) -> set[str]:
    """The query parameters of an endpoint and of what it depends on."""
    return {field.alias for field in part.query_params}.union(*map(_read_by, part.dependencies))
