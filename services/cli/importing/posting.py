"""One batch to ingest, and its answer. What is away is waited for; what must be mended by somebody is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from services.cli.importing.ordering import Queued
from services.ingest.domain.outcome import Reason
from shared.contracts.field_errors import FieldError
from shared.contracts.times import SECOND_MS, now_ms, to_ms
from shared.errors import Permanent

_TIMEOUT_SECONDS = 30.0
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SHOWN = 300
_KEY_ADVICE = (
    "an import needs a key with the scopes events:write and events:backfill: "
    "`jornada keys create --tenant … --scope events:write --scope events:backfill`"
)


class Item(msgspec.Struct, frozen=True):
    """What ingest says of one event of a batch."""

    index: int
    status: str
    reason: str | None = None
    errors: tuple[FieldError, ...] = ()


class BatchAnswer(msgspec.Struct, frozen=True):
    """202, 207 and 422: an entry for each event."""

    accepted: int
    refused: int
    items: list[Item]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How the time between two tries passes. `pause` waits for seconds; `say` tells somebody why."""

    say: Callable[[str], None]
    pause: Callable[[float], None] = time.sleep


class Ingest:
    """POST /v1/events at one address with one key. Use as a context."""

    def __init__(self, url: str, key: str, waiting: Waiting) -> None:
        self._where = f"{url.rstrip('/')}/v1/events"
        self._waiting = waiting
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            timeout=_TIMEOUT_SECONDS,
            trust_env=urlsplit(url).hostname not in _LOOPBACK,  # a proxy is never on the way to this machine
        )

    def __enter__(self) -> Ingest:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def post(self, batch: Sequence[Queued]) -> list[Item]:
        """Post events until ingest has answered for each; gives the refused ones, which the log does not have.

        An answer that does not come leaves open whether the events were taken; their ids make it harmless to send them
        again. Raises Permanent when somebody has to change something first.
        """
        body = b"[" + b",".join(event.body for event in batch) + b"]"
        answered = self._answered(body)
        if answered.status_code not in (202, 207, 422):
            raise _refusal(answered, self._where)
        return _refused_items(answered, len(batch))

    def _answered(self, body: bytes) -> httpx2.Response:
        """The first answer that is none to wait after."""
        seconds = _FIRST_WAIT_SECONDS
        while True:
            try:
                answered = self._client.post(self._where, content=body)
            except httpx2.TransportError as error:
                why, asked = f"{type(error).__name__}: {error}", 0.0
            else:
                if answered.status_code not in _AGAIN:
                    return answered
                why, asked = f"it answers {answered.status_code}", _retry_after_seconds(answered)
            self._waiting.say(f"{self._where}: {why}; waiting for it")
            self._waiting.pause(max(seconds, asked))
            seconds = min(2 * seconds, _LONGEST_WAIT_SECONDS)


def checked_url(url: str) -> str:
    """The address of ingest without a slash at its end. Raises Permanent."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise Permanent(f"--url {url!r} is no address; write one such as http://127.0.0.1:8000")
    return url.rstrip("/").removesuffix("/v1/events")


def _refused_items(answered: httpx2.Response, posted: int) -> list[Item]:
    try:
        answer = msgspec.json.decode(answered.content, type=BatchAnswer)
    except ValueError:
        raise Permanent(f"the answer is none of ingest's: {_shown(answered)}; does --url name it?") from None
    if answer.accepted + answer.refused != posted or len(answer.items) != posted:
        raise Permanent(f"ingest answered for {len(answer.items)} events of {posted}; nothing further was posted")
    refused = [item for item in answer.items if item.status != "accepted"]
    if any(item.reason == Reason.SCOPE for item in refused):
        raise Permanent(f"the key lacks the scope events:backfill; {_KEY_ADVICE}")
    return refused


def _refusal(answered: httpx2.Response, where: str) -> Permanent:
    status = answered.status_code
    if status in (401, 403):
        return Permanent(f"{where} answered {status}: {_detail(answered)}; {_KEY_ADVICE}")
    if status in (404, 405) or 200 <= status < 400:
        to = f" to {answered.headers['location']}" if "location" in answered.headers else ""
        return Permanent(f"{where} answered {status}{to}; --url must be the address of ingest itself")
    return Permanent(f"{where} answered {status}: {_detail(answered)}")


def _detail(answered: httpx2.Response) -> str:
    try:
        document: Any = msgspec.json.decode(answered.content)
    except ValueError:
        return _shown(answered)
    return str(document.get("detail", _shown(answered))) if isinstance(document, dict) else _shown(answered)


def _shown(answered: httpx2.Response) -> str:
    return repr(answered.text[:_SHOWN])


def _retry_after_seconds(answered: httpx2.Response) -> float:
    """What `Retry-After` asks for, as seconds or as a date (RFC 9110); 0 when it asks for nothing that can be read."""
    asked = answered.headers.get("retry-after", "")
    if asked.isascii() and asked.isdigit():
        return float(asked[:6])
    try:
        return max(0.0, (to_ms(parsedate_to_datetime(asked)) - now_ms()) / SECOND_MS)
    except ValueError:
        return 0.0
