"""One attempt to post a webhook, signed as Standard Webhooks says (https://www.standardwebhooks.com, version 1).

The connection pool is used bare: nothing here follows redirects, keeps cookies, asks a proxy or unpacks a body. The
deadline covers everything up to the last byte that is read.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpcore2
import msgspec
from standardwebhooks import Webhook

from services.notifier.channels.dialling import AddressRefused, GuardedBackend, Resolve, resolve
from services.notifier.domain.delivery import Attempted, Post, Story
from services.notifier.domain.subscription import Subscription
from shared.contracts.cloudevent import TRACEPARENT
from shared.contracts.stage_changed import STAGE_CHANGED_TYPE
from shared.contracts.times import SECOND_MS, from_ms, to_ms, to_text
from shared.telemetry import tracing

MAX_RESPONSE_BYTES: Final = 16 * 1024
PING_TYPE: Final = "webhook.ping"
_IDLE_SECONDS: Final = 20.0

Headers = list[tuple[bytes, bytes]]


def is_allowed_url(url: str, *, allow_private: bool) -> str:
    """What is wrong with an endpoint's URL; empty when nothing is. Where it leads is checked when it is dialled."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "it is no URL; write it like https://shop.example/hooks"
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        return "it must start with https://"
    if not parts.hostname or port == 0 or not url.isascii() or any(character <= " " for character in url):
        return "it needs a host, and holds only ASCII without spaces"
    return (
        "it must not hold a user name or password; the signature proves who is sending" if "@" in parts.netloc else ""
    )


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is posted: `id` stays the same over all attempts, the signature's time does not."""

    id: str
    body: bytes
    traceparent: str | None = None


class WebhookChannel:
    """Posts webhooks over one pool of connections. `clock` gives milliseconds."""

    def __init__(
        self, *, allow_private: bool, timeout_seconds: float, clock: Callable[[], int], resolve: Resolve = resolve
    ) -> None:
        self._timeout = timeout_seconds
        self._clock = clock
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            # How many run at once is the dispatcher's to say; a limit here would let one endpoint starve another.
            max_connections=None,
            max_keepalive_connections=100,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=GuardedBackend(allow_private=allow_private, resolve=resolve),
        )

    async def attempt(self, subscription: Subscription, envelope: Envelope) -> Attempted:
        """Post once. Never raises for what the receiver or the network does."""
        started_ms, began = self._clock(), time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                status, headers = await self._post(subscription, envelope, started_ms)
        except AddressRefused as error:
            return Attempted(False, started_ms, _since(began), error=str(error))
        except TimeoutError:
            return Attempted(False, started_ms, _since(began), error=f"no full answer within {self._timeout:g} s")
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
            return Attempted(False, started_ms, _since(began), error=f"{type(error).__name__}: {error}"[:300])
        return judge(status, headers, started_ms, _since(began))

    async def _post(self, subscription: Subscription, envelope: Envelope, now_ms: int) -> tuple[int, Headers]:
        headers = signed_headers(subscription.secrets, envelope, now_ms)
        async with self._pool.stream("POST", subscription.url, headers=headers, content=envelope.body) as response:
            read = 0
            async for part in response.aiter_stream():
                read += len(part)
                if read > MAX_RESPONSE_BYTES:
                    break
            return response.status, response.headers

    async def close(self) -> None:
        """Close idle connections."""
        await self._pool.aclose()


def signed_headers(secrets: tuple[str, ...], envelope: Envelope, now_ms: int) -> Headers:
    """The headers of one attempt; after a rotation the old secret signs too, so that receivers can change over."""
    text = envelope.body.decode()
    signatures = (Webhook(secret).sign(envelope.id, from_ms(now_ms), text) for secret in secrets)
    plain = {
        "content-type": "application/json",
        "content-length": str(len(envelope.body)),
        "user-agent": "Jornada-Webhooks/1",
        "accept-encoding": "identity",
        "webhook-id": envelope.id,
        "webhook-timestamp": str(now_ms // SECOND_MS),
        "webhook-signature": " ".join(signatures),
        TRACEPARENT: tracing.continued(envelope.traceparent).text(),
    }
    return [(name.encode(), value.encode()) for name, value in plain.items()]


def judge(status: int, headers: Headers, started_ms: int, duration_ms: int) -> Attempted:
    """An answer as an attempt: 2xx is taken, 410 is gone; whatever else is, by the standard, a failure to retry."""
    if 200 <= status < 300:
        return Attempted(True, started_ms, duration_ms, status)
    ended_ms = started_ms + duration_ms
    return Attempted(
        ok=False,
        started_ms=started_ms,
        duration_ms=duration_ms,
        status_code=status,
        error=f"the receiver answered {status}",
        gone=status == 410,
        retry_after_ms=retry_after_ms(headers, ended_ms),
    )


def retry_after_ms(headers: Headers, now_ms: int) -> int | None:
    """Retry-After in milliseconds from now: seconds or an HTTP date (RFC 9110, section 10.2.3); None if unreadable."""
    text = next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"retry-after"), "")
    if text.isascii() and text.isdigit():
        return int(text[:9]) * SECOND_MS
    try:
        return max(0, to_ms(parsedate_to_datetime(text)) - now_ms)
    except (ValueError, TypeError):
        return None


def envelope_of(delivery_id: str, post: Post) -> Envelope:
    """The webhook of a delivery: the stage change's own words, with the customer only if that was asked for."""
    return Envelope(
        delivery_id, body_of(post.story, include_customer=post.subscription.include_customer), post.story.traceparent
    )


def body_of(story: Story, *, include_customer: bool) -> bytes:
    """`{"type", "timestamp", "data"}`; the same bytes at every attempt."""
    data = story.data[:-1] + b',"customer":' + story.customer + b"}" if include_customer else story.data
    raw = {"type": STAGE_CHANGED_TYPE, "timestamp": to_text(story.effective_ms), "data": msgspec.Raw(data)}
    return msgspec.json.encode(raw)


def ping_envelope(ping_id: str, now_ms: int) -> Envelope:
    """A webhook that only asks whether anybody is there."""
    return Envelope(ping_id, msgspec.json.encode({"type": PING_TYPE, "timestamp": to_text(now_ms), "data": {}}))


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
