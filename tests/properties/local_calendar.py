"""Which local day it is, told by looking at every minute: slow, and without any knowledge of how zones change."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS

_EPOCH_DAY = date(1970, 1, 1).toordinal()


def shown(moment: int, zone: str) -> int:
    """The date that a wall calendar there shows, as its ordinal."""
    return datetime.fromtimestamp(moment // 1000, ZoneInfo(zone)).toordinal()


@lru_cache(None)
def begins(day: int, zone: str) -> int:
    """The first minute at which the calendar shows the day, or, of a day that is never shown, a later one."""
    moment = (day - _EPOCH_DAY) * DAY_MS - 16 * HOUR_MS
    while shown(moment, zone) < day:
        moment += MINUTE_MS
    return moment


def day_at(moment: int, zone: str) -> int:
    """The last day that has begun."""
    day = shown(moment, zone)
    return day + 1 if begins(day + 1, zone) <= moment else day
