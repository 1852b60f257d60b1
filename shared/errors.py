"""The three kinds of error. Whoever catches decides by kind alone: wait and retry, give up on it, or set it aside."""

from __future__ import annotations


class Transient(Exception):
    """A server is away or busy; the same call may succeed later. Never a reason to set data aside."""


class Permanent(Exception):
    """The same call will fail again; somebody has to change something, and the message says what."""


class Poison(Exception):
    """One record can't be read or applied, now or ever; the others can."""
