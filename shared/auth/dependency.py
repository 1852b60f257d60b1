"""The FastAPI side of authentication: `caller: Annotated[Caller, Depends(require(Scope.CUSTOMERS_READ))]`.

FastAPI reads a declared body before it resolves dependencies. An endpoint with a body therefore takes the `Request`
and reads it by `shared.http.body` once the caller is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from shared.auth.authenticator import AuthenticationUnavailable, Authenticator, Forbidden, Unauthenticated
from shared.auth.scopes import Caller, Scope
from shared.http.parameters import check_parameters
from shared.http.problems import FORBIDDEN, UNAUTHENTICATED, Problem, unavailable

DOCUMENTED_KEY = HTTPBearer(scheme_name="api_key", description="`jrn_<id>.<secret>`", auto_error=False)
"""How openapi.json describes the key; it checks nothing itself."""


def require(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency that gives the caller, or answers 401 (no good key), 403 (scope missing) or 503."""

    async def caller(request: Request, _bearer: Annotated[object, Depends(DOCUMENTED_KEY)]) -> Caller:
        return await authorise(request, scope)

    return caller


async def authorise(request: Request, scope: Scope) -> Caller:
    """The caller of a request, who has `scope`. Raises Problem 401, 403 or 503. Reads no body."""
    authenticator: Authenticator = request.app.state.authenticator
    try:
        caller = await authenticator.authenticate(request.headers.get("authorization"))
    except Unauthenticated as error:
        raise Problem(UNAUTHENTICATED, str(error), headers={"WWW-Authenticate": "Bearer"}) from None
    except AuthenticationUnavailable as error:
        raise unavailable(str(error)) from None
    if not caller.may(scope):
        raise missing_scope(Forbidden(scope))
    if request.scope.get("query_string"):
        check_parameters(request)
    return caller


def missing_scope(error: Forbidden) -> Problem:
    """403 that names the scope."""
    challenge = f'Bearer error="insufficient_scope", scope="{error.scope}"'
    return Problem(FORBIDDEN, f"{error}; make a key that has it", headers={"WWW-Authenticate": challenge})
