"""Timelines of windows over the nights in which clocks change, worked by hand from the zones' rules."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.declaring import declaring, minute
from tests.unit.stage_engine.timeline import D, Step, play, purchase, rules, table, tick

BOUGHT = "id: bought, from: a, to: b, on: purchase"
ONE_DAY = {"orders_1d": "count: purchase, within: 1d"}
QUIET_1D = 'id: quiet, from: b, to: c, when: "facts.orders_1d == 0"'
TWO_DAYS = {"orders_2d": "count: purchase, within: 2d"}
QUIET_2D = 'id: quiet, from: b, to: c, when: "facts.orders_2d == 0"'


def day_in(zone: str) -> list[str]:
    """A lifecycle whose customers are quiet from the midnight after their order on."""
    return [declaring(ONE_DAY, "a b c", BOUGHT, QUIET_1D, time_zone=zone)]


def quiet_at(bought: str, left: str) -> str:
    """Bought at one time, quiet from another."""
    return f"""{minute(bought)} l - a -      1 1 1 . e1
               {minute(bought)} l a b bought 1 2 1 s e1
               {minute(left)}   l b c quiet  1 3 2 s due:{minute(left)}"""


def in_the_days_after(bought: str) -> list[Step]:
    """An order, and then nothing but time."""
    return [purchase(minute(bought)), tick(minute(bought) + 5 * D)]


TIMELINES: dict[str, tuple[list[str], list[Step], str]] = {
    "a day whose midnight is skipped begins where clocks go to": (
        day_in("America/Sao_Paulo"),
        in_the_days_after("2018-11-03T22:00-03:00"),
        quiet_at("2018-11-03T22:00-03:00", "2018-11-04T01:00-02:00"),
    ),
    "the day that begins so has 23 hours": (
        day_in("America/Sao_Paulo"),
        in_the_days_after("2018-11-04T01:00-02:00"),
        quiet_at("2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"),
    ),
    "the hour that comes twice before midnight is of the day that ends": (
        day_in("America/Sao_Paulo"),
        in_the_days_after("2018-02-17T23:30-03:00"),
        quiet_at("2018-02-17T23:30-03:00", "2018-02-18T00:00-03:00"),
    ),
    "the hour before midnight is so when it comes for the first time too": (
        day_in("America/Sao_Paulo"),
        in_the_days_after("2018-02-17T23:30-02:00"),
        quiet_at("2018-02-17T23:30-02:00", "2018-02-18T00:00-03:00"),
    ),
    "a midnight that comes twice begins its day the first time": (
        day_in("America/Havana"),
        in_the_days_after("2023-11-04T12:00-04:00"),
        quiet_at("2023-11-04T12:00-04:00", "2023-11-05T00:00-04:00"),
    ),
    "a day that has begun once does not begin again": (
        day_in("America/Havana"),
        in_the_days_after("2023-11-05T00:30-04:00"),
        quiet_at("2023-11-05T00:30-04:00", "2023-11-06T00:00-05:00"),
    ),
    "nor does it end when the calendar shows yesterday again": (
        day_in("America/St_Johns"),
        in_the_days_after("2010-11-06T23:30-03:30"),
        quiet_at("2010-11-06T23:30-03:30", "2010-11-08T00:00-03:30"),
    ),
    "two local days over the night in which clocks go forward are 47 hours": (
        [declaring(TWO_DAYS, "a b c", BOUGHT, QUIET_2D, time_zone="Europe/Lisbon")],
        in_the_days_after("2024-03-30T12:00+00:00"),
        quiet_at("2024-03-30T12:00+00:00", "2024-04-01T00:00+01:00"),
    ),
    "two local days over the night in which clocks go back are 49 hours": (
        [declaring(TWO_DAYS, "a b c", BOUGHT, QUIET_2D, time_zone="Europe/Lisbon")],
        in_the_days_after("2024-10-26T12:00+01:00"),
        quiet_at("2024-10-26T12:00+01:00", "2024-10-28T00:00+00:00"),
    ),
    "half an hour is enough": (
        day_in("Australia/Lord_Howe"),
        in_the_days_after("2024-10-06T12:00+11:00"),
        quiet_at("2024-10-06T12:00+11:00", "2024-10-07T00:00+11:00"),
    ),
    "a zone half an hour off has its own midnight": (
        day_in("Asia/Kolkata"),
        in_the_days_after("2024-01-01T23:59+05:30"),
        quiet_at("2024-01-01T23:59+05:30", "2024-01-02T00:00+05:30"),
    ),
    "each lifecycle counts the days of its own zone": (
        [
            declaring(ONE_DAY, "a b c", BOUGHT, QUIET_1D, name="east", time_zone="Asia/Kolkata"),
            declaring(ONE_DAY, "a b c", BOUGHT, QUIET_1D, name="west", time_zone="America/Bogota"),
        ],
        [purchase(600), tick(9 * D)],
        f"""600 east - a - 1 1 1 . e1
            600 east a b bought 1 2 1 s e1
            600 west - a - 1 3 1 . e1
            600 west a b bought 1 4 1 s e1
            {D - 330} east b c quiet 1 5 2 s due:{D - 330}
            {D + 300} west b c quiet 1 6 3 s due:{D + 300}""",
    ),
}


@pytest.mark.parametrize("name", TIMELINES)
def test_timeline(name: str) -> None:
    lifecycles, steps, expected = TIMELINES[name]
    assert play(rules(*lifecycles), *steps).table == table(expected)
