"""What one look came to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `advice` says what to do about a failure."""

    name: str
    ok: bool
    detail: str
    advice: str = ""
