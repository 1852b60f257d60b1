"""Opens connections for webhooks: resolves once, refuses unless every address is public, dials one that was checked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore2

from services.notifier.channels.address_guard import is_public
from services.notifier.channels.wire import open_wire

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressRefused(Exception):
    """The name leads to an address that webhooks may not go to."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, from the system's resolver. Raises httpcore2.ConnectError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(f"{host} has no address: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """A network backend that hands TCP on only to addresses it has checked; TLS still names the host."""

    def __init__(self, *, allow_private: bool, resolve: Resolve = resolve) -> None:
        self._allow_private = allow_private
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        refused = [] if self._allow_private else [one for one in addresses if not is_public(one)]
        if refused or not addresses:
            raise AddressRefused(f"{host} leads to an address that is not public; webhooks go to public ones only")
        return await self._dial(addresses, port, timeout)

    async def _dial(self, addresses: Sequence[str], port: int, timeout: float | None) -> httpcore2.AsyncNetworkStream:
        for address in addresses[:-1]:
            try:
                return await open_wire(address, port, timeout)
            except httpcore2.ConnectError:
                continue
        return await open_wire(addresses[-1], port, timeout)

    async def connect_unix_socket(self, *_args: Any, **_options: Any) -> httpcore2.AsyncNetworkStream:
        raise AddressRefused("webhooks never go to local sockets")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
