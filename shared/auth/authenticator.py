"""From an Authorization header to a caller, for every request: a small cache in front of the database.

A key is read again when what is known of it is a second old, so a revocation acts within 2 s. While the database does
not answer, a key that was good keeps working for 60 s from its last reading: ingest needs no database on Kafka, and a
short outage there must not turn events away. After that, and for keys not seen before, the answer is 503, never 401.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.auth.scopes import Caller, Scope, parse_scopes
from shared.auth.tables import api_keys
from shared.auth.tokens import Token, read_authorization
from shared.db.port import Database
from shared.errors import Permanent, Transient

FRESH_SECONDS: Final = 1.0
LOOKUP_SECONDS: Final = 1.0
FIRST_LOOKUP_SECONDS: Final = 3.0
"""For a key of which nothing is known: there is no other answer to fall back on but a 503."""
OUTAGE_SECONDS: Final = 60.0
_MOST_KNOWN: Final = 10_000
_NO_DIGEST: Final = "0" * 64


class Unauthenticated(Permanent):
    """No key, a malformed one, a wrong or a revoked one; which of these is not told."""


class Forbidden(Permanent):
    """The key lacks a scope."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(f"the key lacks the scope {scope}")
        self.scope = scope


class AuthenticationUnavailable(Transient):
    """The database does not answer and the key is not known well enough."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A key as read at `read_at` (monotonic seconds); `caller` is None for one that is unknown or revoked."""

    digest: str
    caller: Caller | None
    read_at: float


class Authenticator:
    """Checks keys. One for each process; safe for any number of requests at once."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._readings: dict[str, asyncio.Task[_Known]] = {}
        self._quiet_until = 0.0

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller that an Authorization header proves. Raises Unauthenticated, AuthenticationUnavailable.

        An unknown id and a wrong secret take the same steps, so that the time of the answer tells nothing.
        """
        token = read_authorization(authorization)
        if token is None:
            raise Unauthenticated("send an API key: Authorization: Bearer jrn_<id>.<secret>")
        known = await self._look_up(token)
        if not token.matches(known.digest) or known.caller is None:
            raise Unauthenticated("the API key is unknown, wrong or revoked")
        return known.caller

    async def _look_up(self, token: Token) -> _Known:
        known = self._known.get(token.key_id)
        now = self._clock()
        if known is not None and now - known.read_at < FRESH_SECONDS:
            return known
        usable = known if known is not None and now - known.read_at < OUTAGE_SECONDS else None
        if usable is not None and now < self._quiet_until:
            return usable
        read = await self._read_in_time(token.key_id, LOOKUP_SECONDS if usable else FIRST_LOOKUP_SECONDS)
        if read is None and usable is not None:
            # Ask again only after a while: an outage must not add a second to every request.
            self._quiet_until = self._clock() + FRESH_SECONDS
        answer = read or usable
        if answer is None:
            raise AuthenticationUnavailable("the API key can't be checked at the moment")
        return answer

    async def _read_in_time(self, key_id: str, patience_seconds: float) -> _Known | None:
        """One reading for all requests that wait for the same key; None when the database does not answer."""
        reading = self._readings.get(key_id)
        if reading is None:
            reading = self._readings[key_id] = asyncio.create_task(self._read(key_id))
            reading.add_done_callback(lambda done: self._finished(key_id, done))
        await asyncio.wait({reading}, timeout=patience_seconds)
        if not reading.done():
            return None
        try:
            return reading.result()
        except Transient:
            return None

    def _finished(self, key_id: str, reading: asyncio.Task[_Known]) -> None:
        del self._readings[key_id]
        if reading.cancelled() or reading.exception() is not None:
            return
        self._known.pop(key_id, None)
        if len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key_id] = reading.result()

    async def _read(self, key_id: str) -> _Known:
        started = self._clock()
        columns = ["tenant", "digest", "scopes", "revoked_ms"]
        async with self._database.reading() as transaction:
            rows = await transaction.select_many(api_keys, ["id"], [(key_id,)], columns)
        if not rows:
            return _Known(_NO_DIGEST, None, started)
        tenant, digest, scopes, revoked_ms = rows[0]
        caller = Caller(tenant, key_id, parse_scopes(scopes.split())) if revoked_ms is None else None
        return _Known(digest, caller, started)
