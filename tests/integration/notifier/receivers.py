"""Receivers for notifier tests: a real SMTP server and a real HTTP server on loopback, in the test's own loop."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.smtp import SMTP


async def until(condition: Callable[[], bool], what: str, timeout_seconds: float = 15.0) -> None:
    """Wait for something in this loop or another; fails when the time is over."""
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what} did not happen within {timeout_seconds:g} s")
        await asyncio.sleep(0.01)


@dataclass
class Mailbox:
    """What a mail server has taken, and over how many connections. `answers` maps a recipient to an SMTP answer other
    than 250."""

    url: str = ""
    messages: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    connections: int = 0
    answers: dict[str, list[str]] = field(default_factory=dict)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if self.answers.get(address):
            return self.answers[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        content = cast("bytes", envelope.content)
        self.raw.append(content)
        self.messages.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 taken"

    def subjects(self) -> list[str]:
        """The subjects, in order of arrival."""
        return [str(one["Subject"]) for one in self.messages]


@asynccontextmanager
async def mail_server() -> AsyncIterator[Mailbox]:
    """An aiosmtpd server on a free port."""
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()

    def connected() -> SMTP:
        mailbox.connections += 1
        return SMTP(mailbox, loop=loop, hostname="test")

    server = await loop.create_server(connected, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    mailbox.url = f"smtp://{host}:{port}"
    try:
        yield mailbox
    finally:
        server.close()


@dataclass(frozen=True)
class Hook:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP server. `answers` maps a path to raw answers, used one by one and then 204; `silent` paths never answer."""

    url: str = ""
    hooks: list[Hook] = field(default_factory=list)
    answers: dict[str, list[bytes]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    waiting: int = 0
    connections: int = 0

    def at(self, path: str) -> list[Hook]:
        """The requests to one path."""
        return [one for one in self.hooks if one.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                hook = await self._read(head, reader)
                self.hooks.append(hook)
                if hook.path in self.silent:
                    self.waiting += 1
                    await reader.read()
                    return
                queued = self.answers.get(hook.path)
                writer.write(queued.pop(0) if queued else answer(204))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _read(self, head: bytes, reader: asyncio.StreamReader) -> Hook:
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Hook(first.split()[1], headers, body)


def answer(status: int, **headers: str) -> bytes:
    """An empty HTTP answer."""
    lines = [f"HTTP/1.1 {status} Said", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    length = [] if status == 204 else ["content-length: 0"]
    return "\r\n".join([*lines, *length, "", ""]).encode()


@asynccontextmanager
async def http_server() -> AsyncIterator[Receiver]:
    """A receiver of webhooks on a free port."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    receiver.url = f"http://{host}:{port}"
    try:
        yield receiver
    finally:
        server.close()
