"""One attempt to hand an e-mail over: by SMTP, or into a folder where nobody is disturbed.

Connections to the mail server are kept and used again; one that broke while idle is replaced before it counts as a
failure. A message may arrive twice if the connection breaks between its end and the answer: e-mail is at-least-once.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

from services.notifier.channels.letters import CannotWrite, Writer, Written
from services.notifier.domain.delivery import Attempted, Email, PendingDispatch
from services.notifier.liquid import TemplateError
from services.notifier.unsubscribing import LazyTokens
from shared.errors import Permanent, Transient

SMTP_SECONDS: Final = 20.0
_IDLE_SECONDS: Final = 30.0
_PORTS: Final = {"smtp": 25, "smtps": 465}
_NO_ADDRESS: Final = (
    "JORNADA_SMTP_URL must be written like smtp://host:25 or smtps://user:password@host:465, with a number for the port "
    "and with %40 for @, %2F for / and %3A for : in user and password"
)


class Transport(Protocol):
    """Takes a finished message. Raises aiosmtplib's errors and OSError."""

    async def hand_over(self, delivery_id: str, sender: str, written: Written) -> None:
        """Returns once the message is the other side's."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """Writes each message as `<delivery id>.eml`, complete or not at all."""

    path: Path

    async def hand_over(self, delivery_id: str, sender: str, written: Written) -> None:
        await asyncio.to_thread(self._write, f"{delivery_id}.eml", written.data)

    def _write(self, name: str, data: bytes) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        partial = self.path / f".{name}.partial"
        partial.write_bytes(data)
        os.replace(partial, self.path / name)

    async def close(self) -> None:
        return


@dataclass(slots=True)
class MailServer:
    """A mail server named by `smtp[s]://user:password@host:port`. Raises Permanent for what is no such address."""

    url: str
    _idle: list[tuple[float, aiosmtplib.SMTP]] = field(default_factory=list)

    def __post_init__(self) -> None:
        client_of(self.url, SMTP_SECONDS)

    async def hand_over(self, delivery_id: str, sender: str, written: Written) -> None:
        while (client := self._take()) is not None:
            try:
                await self._send(client, sender, written)
                return
            except aiosmtplib.SMTPServerDisconnected:
                # It was closed while idle. Before the end of the data that is harmless, after it at-least-once.
                client.close()
        await self._send(await self._connect(), sender, written)

    async def _send(self, client: aiosmtplib.SMTP, sender: str, written: Written) -> None:
        try:
            await client.sendmail(sender, [written.recipient], written.data)
        except (aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused):
            await _reset(client)
            self._idle.append((time.monotonic(), client))
            raise
        except BaseException:
            client.close()
            raise
        self._idle.append((time.monotonic(), client))

    def _take(self) -> aiosmtplib.SMTP | None:
        while self._idle:
            since, client = self._idle.pop()
            if client.is_connected and time.monotonic() - since < _IDLE_SECONDS:
                return client
            client.close()
        return None

    async def _connect(self) -> aiosmtplib.SMTP:
        client = client_of(self.url, SMTP_SECONDS)
        await client.connect()
        return client

    async def close(self) -> None:
        for _, client in self._idle:
            client.close()
        self._idle.clear()


def client_of(url: str, timeout_seconds: float) -> aiosmtplib.SMTP:
    """A client of the mail server that a URL names, not yet connected. Raises Permanent for what is no such address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text may quote a password
        raise Permanent(_NO_ADDRESS) from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise Permanent(_NO_ADDRESS)
    return aiosmtplib.SMTP(
        hostname=parts.hostname,
        port=port or _PORTS[parts.scheme],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=parts.scheme == "smtps",
        timeout=timeout_seconds,
    )


async def _reset(client: aiosmtplib.SMTP) -> None:
    try:
        await client.rset()
    except (aiosmtplib.SMTPException, OSError):
        client.close()


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """Writes a message and hands it to a transport. `clock` gives milliseconds."""

    writer: Writer
    transport: Transport
    tokens: LazyTokens
    clock: Callable[[], int]

    async def attempt(self, pending: PendingDispatch, email: Email) -> Attempted:
        """Send once. Never raises for what the message, the server or the network does."""
        started_ms, began = self.clock(), time.monotonic()
        code, error, permanent = await self._try(pending, email, started_ms)
        duration_ms = round((time.monotonic() - began) * 1000)
        return Attempted(not error, started_ms, duration_ms, code, error[:300], permanent)

    async def _try(self, pending: PendingDispatch, email: Email, now_ms: int) -> tuple[int | None, str, bool]:
        try:
            written = self.writer.write(pending, email, await self.tokens.get(), now_ms)
            async with asyncio.timeout(SMTP_SECONDS):
                await self.transport.hand_over(pending.planned.id, self.writer.sender.address, written)
        except (TemplateError, CannotWrite) as error:
            return None, str(error), True
        except aiosmtplib.SMTPRecipientsRefused as error:
            code = error.recipients[0].code
            return code, f"the mail server refused the recipient ({code})", code >= 500
        except aiosmtplib.SMTPResponseException as error:
            return error.code, f"the mail server answered {error.code}", error.code >= 500
        except Transient as error:
            return None, str(error), False
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return None, f"the mail server can't be reached: {type(error).__name__}", False
        return 250, "", False
