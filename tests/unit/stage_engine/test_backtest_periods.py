"""What a backtest looks at: local days, weeks and months, and what is no answerable question."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from services.stage_engine.backtesting.periods import Asked, Every, Span, span
from shared.contracts.times import parse_text, to_text
from shared.errors import Permanent

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
NOW = parse_text("2026-11-22T21:04:30-03:00")


def looked_at(
    from_: str | None = None, to: str | None = None, every: Every | None = None, zone: ZoneInfo = SAO_PAULO
) -> Span:
    return span(Asked(from_, to, every), zone, NOW)


def moments(found: Span) -> list[str]:
    return [to_text(moment)[:16] for moment in found.moments]


def labels(found: Span) -> list[str]:
    return [found.label(moment) for moment in found.moments]


def test_a_day_as_the_end_is_included_whole_and_begins_where_the_zone_says() -> None:
    found = looked_at("2026-03-02", "2026-03-03")
    assert moments(found) == ["2026-03-02T03:00", "2026-03-03T03:00", "2026-03-04T03:00"]
    assert labels(found) == ["2026-03-01", "2026-03-02", "2026-03-03"]


def test_days_of_a_change_of_clocks_have_23_and_25_hours() -> None:
    lisbon = ZoneInfo("Europe/Lisbon")
    assert moments(looked_at("2026-03-28", "2026-03-30", zone=lisbon)) == [
        "2026-03-28T00:00", "2026-03-29T00:00", "2026-03-29T23:00", "2026-03-30T23:00",
    ]  # fmt: skip
    assert moments(looked_at("2026-10-25", "2026-10-25", zone=lisbon)) == ["2026-10-24T23:00", "2026-10-26T00:00"]


def test_a_time_is_taken_as_it_is_and_cuts_its_day_short() -> None:
    found = looked_at("2026-03-02T10:00:00-03:00", "2026-03-04T06:30:00Z")
    assert moments(found) == ["2026-03-02T13:00", "2026-03-03T03:00", "2026-03-04T03:00", "2026-03-04T06:30"]
    assert labels(found) == ["2026-03-02 10:00", "2026-03-02", "2026-03-03", "2026-03-04 03:30"]


def test_without_an_end_it_is_now_and_without_a_beginning_90_local_days_before() -> None:
    found = looked_at()
    assert (found.to_ms, to_text(found.from_ms)[:16]) == (NOW, "2026-08-24T03:00")
    assert found.every is Every.WEEK


def test_today_as_the_end_is_until_now() -> None:
    assert looked_at("2026-11-01", "2026-11-22").to_ms == NOW


@pytest.mark.parametrize(
    ("from_", "every", "rows"),
    [
        ("2026-10-23", Every.DAY, 31),
        ("2026-10-22", Every.WEEK, 5),
        ("2026-04-27", Every.WEEK, 30),
        ("2026-04-15", Every.MONTH, 8),
        ("2010-01-01", Every.MONTH, 203),
    ],
)
def test_there_are_about_thirty_rows_as_far_as_months_allow(from_: str, every: Every, rows: int) -> None:
    found = looked_at(from_)
    assert (found.every, len(found.moments) - 1) == (every, rows)


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    assert labels(looked_at("2026-03-03", "2026-03-17", every=Every.WEEK)) == [
        "2026-03-02", "2026-03-08", "2026-03-15", "2026-03-17",
    ]  # fmt: skip
    assert labels(looked_at("2026-01-15", "2026-03-01", every=Every.MONTH)) == [
        "2026-01-14", "2026-01-31", "2026-02-28", "2026-03-01",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("2026-03-03", "2026-03-02"), "not before the end"),
        ((None, "2026-11-23"), "in the future"),
        (("soon", None), "neither a date such as"),
        (("2026-03-03T10:00", None), "neither a date such as"),
        (("0001-01-01", None), "from 1900 on"),
        ((None, "9999-12-31"), "from 1900 on"),
        (("0001-01-01T00:00:00Z", None), "within 200 years"),
    ],
)
def test_what_cannot_be_looked_at_is_told(asked: tuple[str | None, str | None], said: str) -> None:
    with pytest.raises(Permanent, match=said):
        looked_at(*asked)


def test_too_many_rows_are_refused_with_advice() -> None:
    with pytest.raises(Permanent, match="rows; ask for fewer with week or month"):
        looked_at("2020-01-01", every=Every.DAY)
