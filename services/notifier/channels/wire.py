"""A TCP or TLS connection for the webhooks' pool that costs few system calls.

The pool asks of every idle connection, at every request, whether the other side has hung up. Here the event loop reads
all the time, so the answer is known without asking the system; and what is written leaves with the next read, so head
and body of a request go out together.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, cast

import httpcore2

_MOST_BUFFERED = 64 * 1024


class Wire(asyncio.Protocol):
    """Keeps what has come until it is read; takes no more than 64 KiB (and one packet) ahead."""

    def __init__(self) -> None:
        self.came = bytearray()
        self.ended = False
        self.error: Exception | None = None
        self.transport: asyncio.Transport | None = None
        self._paused = False
        self._reader: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.came += data
        if self.transport is not None and not self._paused and len(self.came) > _MOST_BUFFERED:
            self._paused = True
            self.transport.pause_reading()
        self._tell()

    def eof_received(self) -> None:
        self.ended = True
        self._tell()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended, self.error = True, self.error or error
        self._tell()

    async def take(self, most: int) -> bytes:
        """Up to `most` bytes, as soon as there are any; empty at the end. Raises ReadError for a broken connection."""
        if not self.came and not self.ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        if not self.came and self.error is not None:
            raise httpcore2.ReadError(str(self.error)) from self.error
        taken = bytes(self.came[:most])
        del self.came[:most]
        if self.transport is not None and self._paused and not self.ended:
            self._paused = False
            self.transport.resume_reading()
        return taken

    def _tell(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class WireStream(httpcore2.AsyncNetworkStream):
    """A connection as the pool uses it. `timeout` is in seconds, None for no limit."""

    def __init__(self, wire: Wire, transport: asyncio.Transport) -> None:
        self._wire = wire
        self._transport = transport
        self._unsent: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._send()
        try:
            async with asyncio.timeout(timeout):
                return await self._wire.take(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout(f"nothing came within {timeout} s") from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            self._unsent.append(buffer)

    def _send(self) -> None:
        if self._unsent and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        secured: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(timeout):
                secured = await asyncio.get_running_loop().start_tls(
                    self._transport, self._wire, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"no TLS within {timeout} s") from error
        except OSError as error:  # a wrong certificate is one too
            raise httpcore2.ConnectError(str(error)) from error
        finally:
            if secured is None:
                self._transport.abort()
        if secured is None:
            raise httpcore2.ConnectError("the connection ended before TLS began")
        self._wire.transport = secured
        return WireStream(self._wire, secured)

    async def aclose(self) -> None:
        # Nothing is left to be said, and a farewell might never be answered.
        self._transport.abort()
        await asyncio.sleep(0)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._wire.ended or bool(self._wire.came)
        names = {"ssl_object": "ssl_object", "client_addr": "sockname", "server_addr": "peername", "socket": "socket"}
        return self._transport.get_extra_info(names[info]) if info in names else None


async def open_wire(address: str, port: int, timeout: float | None) -> WireStream:
    """Connect to an IP address. Raises httpcore2.ConnectError, ConnectTimeout."""
    try:
        async with asyncio.timeout(timeout):
            transport, wire = await asyncio.get_running_loop().create_connection(Wire, address, port)
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(f"{address} did not answer within {timeout} s") from error
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from error
    return WireStream(wire, transport)
