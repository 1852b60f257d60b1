"""Request bodies, read with a bound on size and time. Call it after the caller is authenticated, never before."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from shared.contracts.field_errors import field_errors
from shared.http.problems import BODY_READ, INVALID, MALFORMED, TIMEOUT, TOO_LARGE, UNSUPPORTED, Problem

MAX_BODY_BYTES: Final = 1024 * 1024
BODY_SECONDS: Final = 10.0

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request, limit: int = MAX_BODY_BYTES, timeout_seconds: float = BODY_SECONDS) -> bytes:
    """The whole body, counted while it arrives. Raises Problem 413 beyond `limit` bytes, 408 when it is too slow."""
    _check_head(request, limit)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _read(request, limit)
    except TimeoutError:
        raise Problem(TIMEOUT, f"the body did not arrive within {timeout_seconds:g} s") from None


async def read_model(request: Request, model: type[Model], limit: int = MAX_BODY_BYTES) -> Model:
    """The body as a pydantic model. Raises Problem 422 with a pointer to each wrong field."""
    body = await read_body(request, limit)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Problem(INVALID, "the body does not fit", field_errors(error, model)) from None


def _check_head(request: Request, limit: int) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Problem(UNSUPPORTED, f"Content-Encoding {encoding[:50]} is not taken; send the JSON as it is")
    length = request.headers.get("content-length")
    if length is not None and length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)


async def _read(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    left = limit
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Problem(MALFORMED, "the connection ended before the body did")
        chunk: bytes = message.get("body", b"")
        left -= len(chunk)
        if left < 0:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            request.scope[BODY_READ] = True
            return chunk if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> Problem:
    return Problem(TOO_LARGE, f"a body has at most {limit:,} bytes; send several requests")
