"""The text form of an API key, `jrn_<id>.<secret>`: a public id to look it up by, and a 256-bit secret.

A digest without salt or stretching is enough: nobody guesses 256 random bits, however fast the hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

_FORM = re.compile(r"jrn_([0-9a-f]{16})\.([A-Za-z0-9_-]{43})", re.ASCII)
_BEARER = re.compile(r"bearer +(\S+) *", re.ASCII | re.IGNORECASE)


class Token(NamedTuple):
    """A key in its two parts. Its text is shown once, when it is made."""

    key_id: str
    secret: str

    def text(self) -> str:
        """What goes into the Authorization header after `Bearer`."""
        return f"jrn_{self.key_id}.{self.secret}"

    def digest(self) -> str:
        """SHA-256 of the secret, hexadecimal: all that is stored of it."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def matches(self, digest: str) -> bool:
        """Whether the stored digest is of this secret, in constant time."""
        return hmac.compare_digest(self.digest(), digest)


def new_token() -> Token:
    """A fresh key from the operating system's randomness."""
    return Token(secrets.token_hex(8), secrets.token_urlsafe(32))


def read_authorization(header: str | None) -> Token | None:
    """The token of an Authorization header; None when there is none of our form."""
    bearer = _BEARER.fullmatch(header) if header else None
    found = _FORM.fullmatch(bearer[1]) if bearer else None
    return Token(found[1], found[2]) if found else None
