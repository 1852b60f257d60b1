"""Errors as RFC 9457 problem details, with a pointer (RFC 6901) to what was wrong and advice on what to send instead."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from fastapi import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shared.contracts.field_errors import FieldError

MEDIA_TYPE: Final = "application/problem+json"
BODY_READ: Final = "jornada.body_read"
"""Key in the ASGI scope that says that the request's body was read to its end."""

_LINGER_BYTES: Final = 8 * 1024 * 1024
_LINGER_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem. `slug` is its stable name for programs, `title` the same for people."""

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The problem's type, a URN."""
        return f"urn:jornada:problem:{self.slug}"


MALFORMED = Kind("malformed-request", 400, "The request can't be read")
UNAUTHENTICATED = Kind("unauthenticated", 401, "An API key is needed")
FORBIDDEN = Kind("missing-scope", 403, "The API key may not do this")
NOT_FOUND = Kind("not-found", 404, "There is nothing here")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "This can't be done here")
TIMEOUT = Kind("request-timeout", 408, "The request took too long to arrive")
CONFLICT = Kind("conflict", 409, "This does not go with what is there already")
TOO_LARGE = Kind("too-large", 413, "The request is too large")
UNSUPPORTED = Kind("unsupported-media-type", 415, "The body has a form that is not taken")
INVALID = Kind("invalid-request", 422, "Something in the request is wrong")
INTERNAL = Kind("internal-error", 500, "Something went wrong on our side")
UNAVAILABLE = Kind("unavailable", 503, "A server behind this one is away")


@dataclass(eq=False)
class Problem(Exception):
    """Raise it anywhere in a request; it becomes the answer. `members` are added to the document."""

    kind: Kind
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The problem as the JSON object that is sent."""
        known: dict[str, Any] = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        if self.errors:
            known["errors"] = list(self.errors)
        return {**known, **self.members}


def unavailable(detail: str, retry_after_seconds: int = 1) -> Problem:
    """503: the same request may succeed later."""
    return Problem(UNAVAILABLE, detail, headers={"Retry-After": str(retry_after_seconds)})


def answer(request: Request, problem: Problem) -> Response:
    """The response to send; takes care of a body that is still on its way."""
    body = msgspec.json.encode(problem.document())
    kind = Response if _was_read(request) else LingeringResponse
    return kind(body, problem.kind.status, dict(problem.headers), MEDIA_TYPE)


def _was_read(request: Request) -> bool:
    announced = "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"
    return not announced or bool(request.scope.get(BODY_READ))


class LingeringResponse(Response):
    """Answers at once although the body is still arriving, swallows a bounded rest of it, and closes the connection.

    Closing with unread bytes makes the operating system reset the connection, and the client might lose the answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await _swallow(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _swallow(receive: Receive) -> None:
    left = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message: Message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
