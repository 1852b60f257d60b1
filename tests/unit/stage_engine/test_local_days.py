"""When local days begin, worked by hand for the nights in which clocks change, and as laws for all zones."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.stage_engine.domain.local_days import day_of, start_of
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, to_ms

BEGINNINGS = {
    "an ordinary day": ("UTC", "2024-05-01", "2024-05-01T00:00+00:00"),
    "half an hour off": ("Asia/Kolkata", "2024-05-01", "2024-05-01T00:00+05:30"),
    "midnight is skipped": ("America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00-02:00"),
    "midnight is skipped in spring": ("America/Havana", "2023-03-12", "2023-03-12T01:00-04:00"),
    "the last hour of the day before comes twice": ("America/Sao_Paulo", "2018-02-18", "2018-02-18T00:00-03:00"),
    "midnight comes twice": ("America/Havana", "2023-11-05", "2023-11-05T00:00-04:00"),
    "it begins, is yesterday again, and comes back": ("America/St_Johns", "2010-11-07", "2010-11-07T00:00-02:30"),
    "clocks go forward later that day": ("Europe/Lisbon", "2024-03-31", "2024-03-31T00:00+00:00"),
    "the day after that": ("Europe/Lisbon", "2024-04-01", "2024-04-01T00:00+01:00"),
    "clocks go back later that day": ("America/New_York", "2024-11-03", "2024-11-03T00:00-04:00"),
    "the day after that one": ("America/New_York", "2024-11-04", "2024-11-04T00:00-05:00"),
    "by half an hour": ("Australia/Lord_Howe", "2024-04-08", "2024-04-08T00:00+10:30"),
    "a day that a zone left out begins when the next one does": (
        "Pacific/Apia",
        "2011-12-30",
        "2011-12-31T00:00+14:00",
    ),
    "the one after it": ("Pacific/Apia", "2011-12-31", "2011-12-31T00:00+14:00"),
}


def instant(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_day_begins_when_its_date_is_shown_first(name: str) -> None:
    zone, day, begins = BEGINNINGS[name]
    assert start_of(date.fromisoformat(day).toordinal(), ZoneInfo(zone)) == instant(begins)


DAYS = {
    "just before a midnight": ("Asia/Kolkata", "2024-05-01T23:59:59.999+05:30", "2024-05-01"),
    "at midnight": ("Asia/Kolkata", "2024-05-02T00:00+05:30", "2024-05-02"),
    "just before a midnight that is skipped": ("America/Sao_Paulo", "2018-11-03T23:59:59.999-03:00", "2018-11-03"),
    "where clocks go to": ("America/Sao_Paulo", "2018-11-04T01:00-02:00", "2018-11-04"),
    "the last hour, for the second time": ("America/Sao_Paulo", "2018-02-17T23:00-03:00", "2018-02-17"),
    "the first hour, for the second time": ("America/Havana", "2023-11-05T00:00-05:00", "2023-11-05"),
    "the first minute": ("America/St_Johns", "2010-11-07T00:00:59.999-02:30", "2010-11-07"),
    "yesterday again": ("America/St_Johns", "2010-11-06T23:01-03:30", "2010-11-07"),
    "yesterday's last minute again": ("America/St_Johns", "2010-11-06T23:59:59.999-03:30", "2010-11-07"),
    "before a day is left out": ("Pacific/Apia", "2011-12-29T23:59:59.999-10:00", "2011-12-29"),
    "after it": ("Pacific/Apia", "2011-12-31T00:00+14:00", "2011-12-31"),
    "before 1970": ("America/New_York", "1969-12-31T23:59-05:00", "1969-12-31"),
}


@pytest.mark.parametrize("name", DAYS)
def test_an_instant_is_of_the_day_that_has_begun_last(name: str) -> None:
    zone, moment, day = DAYS[name]
    assert date.fromordinal(day_of(instant(moment), ZoneInfo(zone))).isoformat() == day


ZONES = st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"}))
FIRST_MS, LAST_MS = (to_ms(datetime(year, 1, 1, tzinfo=UTC)) for year in (1971, 2051))


@lru_cache(500)
def changes_of(zone: str, year: int) -> tuple[int, ...]:
    """The hours of a year in which clocks there change."""
    hours = range(to_ms(datetime(year, 1, 1, tzinfo=UTC)), to_ms(datetime(year + 1, 1, 1, tzinfo=UTC)), HOUR_MS)
    offsets = [datetime.fromtimestamp(hour // 1000, ZoneInfo(zone)).utcoffset() for hour in hours]
    return tuple(hour for hour, one, next_ in zip(hours, offsets, offsets[1:], strict=False) if one != next_)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> int:
    """Any instant of eighty years; mostly one near a midnight, or within a day of clocks that change."""
    kind = draw(st.sampled_from(("any", "midnight", "change", "change")))
    moment = draw(st.integers(FIRST_MS, LAST_MS))
    if kind == "midnight":
        moment = start_of(day_of(moment, ZoneInfo(zone)), ZoneInfo(zone)) + draw(st.integers(-3, 3))
    changes = changes_of(zone, draw(st.integers(1971, 2049))) if kind == "change" else ()
    if changes:
        moment = draw(st.sampled_from(changes)) + draw(st.integers(-24 * 60, 24 * 60)) * MINUTE_MS
    return moment


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_instant_lies_within_its_day_and_days_only_go_forward(data: st.DataObject) -> None:
    name = data.draw(ZONES)
    zone, one = ZoneInfo(name), data.draw(moments(name))
    day = day_of(one, zone)
    assert start_of(day, zone) <= one < start_of(day + 1, zone)
    for later in (1, 1000, MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS, DAY_MS):
        assert day_of(one + later, zone) >= day
    assert day_of(start_of(day, zone), zone) == day
    assert day_of(start_of(day, zone) - 1, zone) < day


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_calendar_shows_a_day_before_it_begins(data: st.DataObject) -> None:
    name = data.draw(ZONES)
    zone, moment = ZoneInfo(name), data.draw(moments(name))
    day = day_of(moment, zone)

    def shown(at: int) -> int:
        return datetime.fromtimestamp(at // 1000, zone).toordinal()

    begins = start_of(day, zone)
    assert shown(begins) >= day
    assert shown(moment) <= day
    for before in (1, *range(MINUTE_MS, 4 * HOUR_MS, 5 * MINUTE_MS)):
        assert shown(begins - before) < day
