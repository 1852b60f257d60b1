"""The pool's connections: what is known without asking the system, and TLS that trusts nobody unknown."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpcore2
import pytest
import trustme

from services.notifier.channels.dialling import GuardedBackend
from services.notifier.channels.wire import open_wire

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Peer:
    """A server that answers every request, and tells what came in one piece and over how many connections."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.connections: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        while piece := await reader.read(65_536):
            self.pieces.append(piece)
            writer.write(ANSWER)
        writer.close()


@asynccontextmanager
async def listening(peer: Peer, secured: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(peer, "127.0.0.1", 0, ssl=secured)
    yield server.sockets[0].getsockname()[1]
    for one in peer.connections:
        one.close()
    server.close()


@asynccontextmanager
async def pooled(context: ssl.SSLContext | None = None) -> AsyncIterator[httpcore2.AsyncConnectionPool]:
    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    backend = GuardedBackend(allow_private=True, resolve=here)
    async with httpcore2.AsyncConnectionPool(ssl_context=context, network_backend=backend) as pool:
        yield pool


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Vouches for shop.example, to those who trust it."""
    return trustme.CA()


@pytest.fixture
def serving(authority: trustme.CA) -> ssl.SSLContext:
    """What shop.example serves with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("shop.example").configure_cert(context)
    return context


async def test_requests_follow_each_other_on_one_connection_each_in_one_piece() -> None:
    peer = Peer()
    async with listening(peer) as port, pooled() as pool:
        for _ in range(3):
            answer = await pool.request("POST", f"http://shop.example:{port}/", content=b"body")
            assert (answer.status, answer.content) == (200, b"ok")
    assert len(peer.connections) == 1
    assert len(peer.pieces) == 3
    assert all(piece.endswith(b"\r\n\r\nbody") for piece in peer.pieces)


async def test_a_connection_that_the_other_side_has_closed_is_not_used_again() -> None:
    peer = Peer()
    async with listening(peer) as port, pooled() as pool:
        await pool.request("POST", f"http://shop.example:{port}/", content=b"1")
        [idle] = pool.connections
        peer.connections[0].close()
        async with asyncio.timeout(5):
            while not idle.has_expired():
                await asyncio.sleep(0)
        assert (await pool.request("POST", f"http://shop.example:{port}/", content=b"2")).status == 200
    assert len(peer.connections) == 2


async def test_what_came_before_the_end_is_still_read_and_then_the_end() -> None:
    async def say(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 300_000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    stream = await open_wire("127.0.0.1", server.sockets[0].getsockname()[1], 5)
    read = 0
    while part := await stream.read(10_000, 5):
        assert len(part) <= 10_000
        read += len(part)
    assert read == 300_000
    await stream.aclose()
    server.close()


async def test_a_read_that_gets_nothing_ends_in_time() -> None:
    peer = Peer()
    async with listening(peer) as port:
        stream = await open_wire("127.0.0.1", port, 5)
        with pytest.raises(httpcore2.ReadTimeout):
            await stream.read(10, 0.01)
        await stream.aclose()


async def test_nobody_listening_is_a_connect_error() -> None:
    server = await asyncio.start_server(Peer(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(httpcore2.ConnectError):
        await open_wire("127.0.0.1", port, 5)


async def test_tls_names_the_host_and_works_for_many_requests(authority: trustme.CA, serving: ssl.SSLContext) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    peer = Peer()
    async with listening(peer, serving) as port, pooled(trusting) as pool:
        for _ in range(2):
            assert (await pool.request("POST", f"https://shop.example:{port}/", content=b"b")).content == b"ok"
        with pytest.raises(httpcore2.ConnectError, match=r"(?i)certificate"):
            await pool.request("POST", f"https://other.example:{port}/", content=b"b")
    assert len(peer.pieces) == 2


async def test_a_certificate_that_nobody_vouches_for_is_refused(serving: ssl.SSLContext) -> None:
    peer = Peer()
    async with listening(peer, serving) as port, pooled(ssl.create_default_context()) as pool:
        with pytest.raises(httpcore2.ConnectError, match=r"(?i)certificate"):
            await pool.request("POST", f"https://shop.example:{port}/", content=b"b")
    assert not peer.pieces
