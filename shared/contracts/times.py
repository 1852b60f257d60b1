"""Instants as the whole system keeps them: integer milliseconds since 1970-01-01T00:00:00Z.

Kafka's arrival times are milliseconds, both databases store and compare integers alike, and there is no zone to forget.
Text forms appear only at the borders: RFC 3339, UTC, always with milliseconds and a `Z`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_MS = timedelta(milliseconds=1)


def now_ms() -> int:
    """The wall clock, in milliseconds. Never called by domain code, which takes times as arguments."""
    return time.time_ns() // 1_000_000


def to_ms(moment: datetime) -> int:
    """Milliseconds of an aware datetime, rounded down. Raises ValueError for a naive one: its zone is unknown."""
    if moment.tzinfo is None:
        raise ValueError("the time has no zone; write it with an offset, such as 2026-11-22T14:03:11Z")
    return (moment - _EPOCH) // _ONE_MS


def from_ms(milliseconds: int) -> datetime:
    """The aware UTC datetime of an instant in milliseconds."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


@lru_cache(4_096)  # the same instant is written several times about one customer
def to_text(milliseconds: int) -> str:
    """RFC 3339 text, for example `2026-11-22T14:03:11.000Z`."""
    return from_ms(milliseconds).isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_text(text: str) -> int:
    """Milliseconds of RFC 3339 text with an offset. Raises ValueError that says what to write."""
    try:
        return to_ms(datetime.fromisoformat(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is no RFC 3339 time ({error}); write it like 2026-11-22T14:03:11Z") from None


def duration_text(milliseconds: int) -> str:
    """ISO 8601 text of a length of time, in days of 24 hours and below: `P14DT6H`, `PT0.25S`; a minus sign in front of a
    negative one."""
    days, rest = divmod(abs(milliseconds), DAY_MS)
    hours, rest = divmod(rest, HOUR_MS)
    minutes, rest = divmod(rest, MINUTE_MS)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n) + (f"{seconds}S" if rest else "")
    text = ("P" if milliseconds >= 0 else "-P") + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")
    return text if text[-1] != "P" else "PT0S"
