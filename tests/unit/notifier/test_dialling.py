"""Resolve once, refuse unless all is public, dial exactly what was checked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpcore2
import pytest

from services.notifier.channels.dialling import AddressRefused, GuardedBackend


class Names:
    """A resolver that answers differently each time, as an attacker's does."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return self._answers.pop(0)


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"], []])
async def test_one_address_that_is_not_public_refuses_the_name(answer: list[str]) -> None:
    with pytest.raises(AddressRefused, match="rebind\\.example"):
        await GuardedBackend(allow_private=False, resolve=Names(answer)).connect_tcp("rebind.example", 443)


async def test_the_name_is_resolved_once_and_the_checked_address_is_dialled() -> None:
    reached = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names = Names(["127.0.0.1"])
    stream = await GuardedBackend(allow_private=True, resolve=names).connect_tcp("name.example", port)
    await asyncio.wait_for(reached.wait(), 5)
    await stream.aclose()
    server.close()


async def test_the_next_address_is_tried_when_one_refuses() -> None:
    closed = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.2", 0)
    port = closed.sockets[0].getsockname()[1]
    names = Names(["127.0.0.1", "127.0.0.2"])
    stream = await GuardedBackend(allow_private=True, resolve=names).connect_tcp("name.example", port, 5)
    await stream.aclose()
    closed.close()


async def test_a_pool_never_reaches_a_private_address() -> None:
    pool = httpcore2.AsyncConnectionPool(
        network_backend=GuardedBackend(allow_private=False, resolve=Names(["10.1.2.3"]))
    )
    with pytest.raises(AddressRefused):
        await pool.request("POST", "http://rebind.example/")
    await pool.aclose()
