"""Which span of time a backtest looks at, and at which moments it counts who is where: ends of local days, weeks, months."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.stage_engine.domain.local_days import Day, day_of, start_of
from shared.contracts.times import DAY_MS, SECOND_MS, parse_text, to_text
from shared.errors import Permanent

DEFAULT_DAYS = 90
"""How many days before its end a backtest begins unless told otherwise."""
_FEW_ROWS = 31
_MOST_ROWS = 1_000
_LONGEST_MS = 200 * 366 * DAY_MS


class Every(StrEnum):
    """How often it is counted who is where."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Asked(NamedTuple):
    """What a person wants to see: dates (of the lifecycle's local days) or RFC 3339 times, and how often to count."""

    from_: str | None = None
    to: str | None = None
    every: Every | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """From `from_ms` up to, but without, `to_ms`. `moments` are `from_ms`, the ends of days, weeks or months within, and
    `to_ms`: who is where is counted as it stands just before each of them."""

    from_ms: int
    to_ms: int
    zone: ZoneInfo
    every: Every
    moments: tuple[int, ...]

    @property
    def begins(self) -> str:
        """Its beginning for people: the local day that it begins with, or day and time."""
        return self._shown(self.from_ms, 0)

    def label(self, moment_ms: int) -> str:
        """A moment for people: the last local day that is over then, or day and time where it is no day's end."""
        return self._shown(moment_ms, 1)

    def _shown(self, moment_ms: int, days_before: int) -> str:
        day = day_of(moment_ms, self.zone)
        if start_of(day, self.zone) == moment_ms:
            return date.fromordinal(day - days_before).isoformat()
        local = datetime.fromtimestamp(moment_ms // SECOND_MS, self.zone)
        return f"{local:%Y-%m-%d %H:%M}"


def span(asked: Asked, zone: ZoneInfo, now_ms: int) -> Span:
    """What to look at. A date as the end is that day whole, or today until now; counted daily, weekly or monthly, whichever
    first gives about thirty rows. Raises Permanent for what is no time, for an end in the future and for too many rows."""
    to_ms = _end(asked.to, zone, now_ms)
    from_ms = _begin(asked.from_, zone, to_ms)
    if from_ms >= to_ms:
        raise Permanent(
            f"--from is {to_text(from_ms)}, which is not before the end, {to_text(to_ms)}; give an earlier one"
        )
    if to_ms - from_ms > _LONGEST_MS:
        raise Permanent(f"--from is {to_text(from_ms)}: give one within 200 years before the end")
    chosen = (asked.every,) if asked.every else (Every.DAY, Every.WEEK, Every.MONTH)
    for every in chosen:
        moments = (from_ms, *_ends(from_ms, to_ms, zone, every), to_ms)
        if len(moments) - 1 <= _FEW_ROWS:
            break
    if len(moments) > _MOST_ROWS:
        raise Permanent(
            f"--every {every} gives {len(moments):,} rows; ask for fewer with week or month, or a later --from"
        )
    return Span(from_ms, to_ms, zone, every, moments)


def _end(text: str | None, zone: ZoneInfo, now_ms: int) -> int:
    if text is None:
        return now_ms
    day = _day(text)
    if day is not None and day == day_of(now_ms, zone):
        return now_ms
    end = _moment("--to", text) if day is None else start_of(day + 1, zone)
    if end > now_ms:
        raise Permanent(f"--to {text} is in the future, of which there is no history; leave it out to look until now")
    return end


def _begin(text: str | None, zone: ZoneInfo, to_ms: int) -> int:
    if text is None:
        return start_of(day_of(to_ms, zone) - DEFAULT_DAYS, zone)
    day = _day(text)
    return _moment("--from", text) if day is None else start_of(day, zone)


def _day(text: str) -> Day | None:
    """A local day, if the text is a date of one that can be asked for."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    if not 1900 <= found.year < 9999:
        raise Permanent(f"{text} is no day that a backtest can look at; write one from 1900 on, such as 2026-09-01")
    return found.toordinal()


def _moment(option: str, text: str) -> int:
    try:
        return parse_text(text)
    except ValueError:
        raise Permanent(
            f"{option}: {text!r} is neither a date such as 2026-09-01 nor a time such as 2026-09-01T12:00:00-03:00"
        ) from None


def _ends(from_ms: int, to_ms: int, zone: ZoneInfo, every: Every) -> Iterator[int]:
    """The starts of local days within that begin another day, week (on Monday) or month."""
    for day in range(day_of(from_ms, zone) + 1, day_of(to_ms, zone) + 1):
        local = date.fromordinal(day)
        begins = every is Every.DAY or (local.weekday() == 0 if every is Every.WEEK else local.day == 1)
        if begins and start_of(day, zone) < to_ms:
            yield start_of(day, zone)
