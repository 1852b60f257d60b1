"""Links that end marketing: a token that names a customer and a channel, signed, so that it needs no login.

The signing secret is made once and kept in the database. Tokens do not expire: an old letter's link must work.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from services.notifier.domain.delivery import Channel
from services.notifier.store import contacts, outbox, tables
from services.notifier.store.contacts import customer_key
from services.notifier.store.outbox import Unpublished
from shared.contracts.cloudevent import Posted, encode_posted, record_key
from shared.contracts.events import EventType
from shared.contracts.topics import Topic
from shared.db.port import Database, Transaction

PATH: Final = "/v1/unsubscribe/"
_SECRET_NAME: Final = "unsubscribe"
_SIGNATURE_BYTES: Final = 16
_MAX_TOKEN: Final = 2_000


class Named(msgspec.Struct, frozen=True, array_like=True):
    """Whom and what a token is about."""

    tenant: str
    customer_id: str
    channel: Channel


@dataclass(frozen=True, slots=True)
class Tokens:
    """Makes and reads tokens."""

    secret: bytes

    def make(self, named: Named) -> str:
        """`payload.signature`, URL-safe."""
        payload = msgspec.json.encode(named)
        return f"{_text(payload)}.{_text(self._sign(payload))}"

    def read(self, token: str) -> Named | None:
        """What a token names; None when it is not one of ours."""
        if len(token) > _MAX_TOKEN or not token.isascii():
            return None
        try:
            payload, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
            if not hmac.compare_digest(signature, self._sign(payload)):
                return None
            return msgspec.json.decode(payload, type=Named)
        except ValueError:
            return None

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self.secret, payload, "sha256")[:_SIGNATURE_BYTES]


@dataclass(slots=True)
class LazyTokens:
    """The tokens of this installation: whoever asks first makes the secret, everybody else reads it."""

    database: Database
    _known: Tokens | None = None

    async def get(self) -> Tokens:
        """The tokens, read from the database once. Raises Transient."""
        if self._known is None:
            columns = ("name", "value")
            fresh = (_SECRET_NAME, secrets.token_bytes(32))
            async with self.database.transaction() as tx:
                await tx.insert_new(tables.secrets, columns, [fresh], ("name",))
                rows = await tx.select_many(tables.secrets, ("name",), [(_SECRET_NAME,)], ("value",))
            self._known = Tokens(bytes(rows[0][0]))
        return self._known


async def unsubscribe(tx: Transaction, named: Named, now_ms: int) -> None:
    """End marketing to this customer from the moment of the commit, and tell everybody else by an event.

    The event travels through ingest's topic to the engine and comes back as a withdrawn consent. Doing it twice is
    the same as once.
    """
    key = customer_key(named.tenant, named.customer_id)
    contact = (await contacts.lock(tx, [key]))[key]
    if contact.unsubscribed or contact.consent.get(named.channel) is False:
        return
    unsubscribed = contacts.store({key: replace(contact, unsubscribed=True)})
    await tx.write_all([unsubscribed, outbox.add([_withdrawal(named, now_ms)])])


def _withdrawal(named: Named, now_ms: int) -> Unpublished:
    event_id = f"unsubscribe-{now_ms}"
    data = msgspec.json.encode({"channel": named.channel, "granted": False, "source": "unsubscribe_link"})
    event = Posted(named.tenant, named.customer_id, event_id, EventType.CONSENT_CHANGED, now_ms, data)
    key = record_key(named.tenant, named.customer_id)
    row_id = f"{key.decode()}/{event_id}"
    return Unpublished(row_id, Topic.EVENTS, key, encode_posted(event), EventType.CONSENT_CHANGED, None, now_ms)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
