"""W3C Trace Context: the one id that follows an event from its HTTP request to the webhook.

Only `traceparent` is carried; spans are not recorded here. Source: W3C Recommendation "Trace Context", section 3.2.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

_V00 = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_LATER = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)
_SAMPLED = 1


class Trace(NamedTuple):
    """Where in a trace something happens: 32 and 16 hexadecimal digits, never all zero."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def text(self) -> str:
        """The `traceparent` header, always of version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"


def parse(traceparent: str | None) -> Trace | None:
    """Read a header strictly; None when it is missing or invalid (the specification says: start a new trace then)."""
    if traceparent is None:
        return None
    version_00 = traceparent.startswith("00-")
    found = (_V00 if version_00 else _LATER).fullmatch(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = found.groups()
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def new_trace() -> Trace:
    """The first span of a new trace."""
    return Trace(_random_hex(16), _random_hex(8))


def child(parent: Trace) -> Trace:
    """A new span in the same trace."""
    return Trace(parent.trace_id, _random_hex(8), parent.sampled)


def continued(traceparent: str | None) -> Trace:
    """The next span of the trace that a header names, or of a new one."""
    parent = parse(traceparent)
    return child(parent) if parent else new_trace()


def _random_hex(size: int) -> str:
    digits = os.urandom(size).hex()
    return digits if digits.strip("0") else _random_hex(size)
