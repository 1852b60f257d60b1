"""Bodies are bounded in size and time, whatever the client announces."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import Request
from pydantic import BaseModel
from starlette.types import Message

from shared.http.body import read_body, read_model
from shared.http.problems import Problem


class _Client:
    """Sends chunks, then stalls for ever or ends."""

    def __init__(self, *chunks: bytes, ends: bool = True) -> None:
        self.left = list(chunks)
        self.ends = ends
        self.asked = 0

    async def receive(self) -> Message:
        self.asked += 1
        if not self.left:
            await asyncio.Event().wait()
        chunk = self.left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self.left) or not self.ends}

    def request(self, **headers: str) -> Request:
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, self.receive)


async def test_chunks_are_put_together() -> None:
    assert await read_body(_Client(b"ab", b"", b"c").request(), limit=3) == b"abc"


async def test_body_beyond_the_limit_is_413_at_the_chunk_that_passes_it() -> None:
    client = _Client(b"ab", b"cd", b"ef")
    with pytest.raises(Problem) as caught:
        await read_body(client.request(), limit=3)
    assert (caught.value.kind.status, client.asked) == (413, 2)


@pytest.mark.parametrize("length", ["4", "99999999999999999999999999"])
async def test_announced_length_is_refused_without_reading(length: str) -> None:
    client = _Client(b"abcd")
    with pytest.raises(Problem) as caught:
        await read_body(client.request(content_length=length), limit=3)
    assert (caught.value.kind.status, client.asked) == (413, 0)


async def test_stalling_body_is_408() -> None:
    with pytest.raises(Problem) as caught:
        await read_body(_Client(b"ab", ends=False).request(), timeout_seconds=0.02)
    assert caught.value.kind.status == 408


class _Lines(BaseModel):
    quantity: int


class _Order(BaseModel):
    lines: list[_Lines]


async def test_model_errors_point_to_the_field() -> None:
    with pytest.raises(Problem) as caught:
        await read_model(_Client(b'{"lines":[{"quantity":1},{"quantity":"many"}]}').request(), _Order)
    assert (caught.value.kind.status, caught.value.errors[0].pointer) == (422, "/lines/1/quantity")
