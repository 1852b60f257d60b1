"""A webhook receiver on loopback: verifies each signature, remembers each id."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from standardwebhooks import Webhook, WebhookVerificationError

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Receiver:
    """Answers 204 to everything. `secrets` maps a path to what signs there."""

    secrets: dict[str, str] = field(default_factory=dict)
    received: Counter[str] = field(default_factory=Counter)
    forged: list[str] = field(default_factory=list)
    port: int = 0
    _connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = field(default_factory=dict)

    def url(self, path: str) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive until the sender closes it or dies."""
        self._connections[writer] = asyncio.current_task()
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path, headers = _parse(head)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self._take(path, headers, body)
                writer.write(_ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the sender was killed, or has finished
        finally:
            writer.close()
            self._connections.pop(writer, None)

    async def close(self) -> None:
        """Close what senders have kept open."""
        serving = [task for task in self._connections.values() if task]
        for writer in list(self._connections):
            writer.close()
        if serving:
            await asyncio.wait(serving, timeout=2)

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        identity = headers["webhook-id"]
        try:
            Webhook(self.secrets[path]).verify(body, headers)
        except WebhookVerificationError as error:
            self.forged.append(f"{identity}: {error}")
        self.received[identity] += 1


def _parse(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode().split("\r\n")
    pairs = (line.split(":", 1) for line in lines if line)
    return first.split(" ")[1], {name.lower(): value.strip() for name, value in pairs}


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens for as long as the block lasts."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()
