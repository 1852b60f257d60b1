"""Durations in definition files: one whole number with one of s, m, h, d, w."""

from __future__ import annotations

import re

from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

_UNITS_MS = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_FORM = re.compile(r"^([0-9]{1,6})(s|m|h|d|w)$")
_LONGEST_MS = 3_660 * DAY_MS
_MOST_SHOWN = 60


def parse_duration(text: str) -> int:
    """Milliseconds; `60d` is 60 × 24 h. Raises ValueError that says what to write."""
    found = _FORM.match(text)
    if not found:
        raise ValueError(
            f"{text[:_MOST_SHOWN]!r} is no duration; write one whole number with s, m, h, d or w, such as 60d"
        )
    milliseconds = int(found[1]) * _UNITS_MS[found[2]]
    if not 0 < milliseconds <= _LONGEST_MS:
        raise ValueError(f"{text!r} is out of range; a duration is from 1s to 10 years")
    return milliseconds


_LONGEST_WINDOW_DAYS = 400
"""A window keeps a number for each day: longer than a year and a month would make a customer's state large."""


def parse_days(text: str) -> int:
    """The length of a window in local days. Raises ValueError that says what to write."""
    found = re.fullmatch(r"([0-9]{1,4})(d|w)", text)
    if not found:
        raise ValueError(f"{text[:_MOST_SHOWN]!r} is no number of days; a window counts local days, such as 90d or 4w")
    days = int(found[1]) * (7 if found[2] == "w" else 1)
    if not 1 <= days <= _LONGEST_WINDOW_DAYS:
        raise ValueError(f"{text!r} is out of range; a window is from 1d to {_LONGEST_WINDOW_DAYS}d long")
    return days
