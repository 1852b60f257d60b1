"""Local days, as windows count them: a day starts at the first instant at which the zone's calendar shows its date.

Daylight saving makes days of 23 and 25 hours, and some that start at one o'clock; where clocks are set back over midnight,
the day that has begun does not end again.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.contracts.times import SECOND_MS, to_ms

Day = int
"""A local day, as its number in the proleptic Gregorian calendar (1 is 0001-01-01)."""


def day_of(moment_ms: int, zone: ZoneInfo) -> Day:
    """The local day that has begun last."""
    shown = datetime.fromtimestamp(moment_ms // SECOND_MS, zone).toordinal()
    return shown + 1 if start_of(shown + 1, zone) <= moment_ms else shown


@lru_cache(8_192)
def start_of(day: Day, zone: ZoneInfo) -> int:
    """When a local day begins, in milliseconds. A midnight that is skipped is the instant that skips it; of one that
    comes twice, the first counts."""
    midnight = datetime.combine(date.fromordinal(day), time(0), tzinfo=zone)
    return to_ms(midnight.astimezone(UTC))
