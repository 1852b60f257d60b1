"""Random histories of one customer, as hypothesis strategies: around an instant at which something may be special."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from services.stage_engine.domain.event import Event, Origin
from shared.contracts.times import DAY_MS, MINUTE_MS
from tests.properties.declared import CURRENCY
from tests.properties.records import Record

START_MS = 1_750_000_000_000
TYPES = (
    "signup",
    "purchase",
    "purchase",
    "purchase_refunded",
    "complaint",
    "complaint_resolved",
    "survey_response",
    "engagement",
    "referral",
    "gift",
)

_CHANGES_OF_CLOCKS = (
    ("America/Sao_Paulo", "2018-11-04T01:00"),  # midnight is skipped
    ("America/Sao_Paulo", "2018-02-17T23:00"),  # the last hour of a day comes twice
    ("Europe/Lisbon", "2024-03-31T02:00"),
    ("Europe/Lisbon", "2024-10-27T01:00"),
    ("America/New_York", "2024-11-03T01:00"),
    ("Australia/Lord_Howe", "2024-10-06T02:30"),  # by half an hour
    ("Australia/Lord_Howe", "2024-04-07T01:30"),
    ("America/Havana", "2023-11-05T00:00"),  # midnight comes twice
    ("America/Havana", "2023-03-12T01:00"),  # midnight is skipped
    ("America/St_Johns", "2010-11-06T23:01"),  # a day begins, ends after a minute and begins again
)
ZONES = tuple(sorted({"UTC", "Asia/Kolkata", *(zone for zone, _ in _CHANGES_OF_CLOCKS)}))


def _instant(change: tuple[str, str]) -> tuple[str, int]:
    zone, local = change
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone), fold=1)
    return zone, int(moment.timestamp()) * 1000


ANCHORS = st.sampled_from([(zone, START_MS) for zone in ZONES[:2]] + [_instant(each) for each in _CHANGES_OF_CLOCKS])
"""A zone and an instant; mostly one at which its clocks change."""


def _data(type_: str) -> st.SearchStrategy[dict[str, Any]]:
    money = st.sampled_from(("25.20", "100.80", "252.00"))
    currency = st.sampled_from((CURRENCY, CURRENCY, CURRENCY, "USD"))
    complaint = st.sampled_from(("k1", "k2", "k3"))
    by_type: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "purchase": st.fixed_dictionaries({"order_id": st.just("o"), "amount": money, "currency": currency}),
        "complaint": st.fixed_dictionaries({"complaint_id": complaint}),
        "survey_response": st.fixed_dictionaries(
            {"kind": st.sampled_from(("nps", "nps", "csat")), "score": st.integers(1, 5)}
        ),
        "engagement": st.fixed_dictionaries({"channel": st.sampled_from(("visit", "ad"))}),
        "gift": st.fixed_dictionaries(
            {}, optional={"points": st.integers(0, 2), "weight": st.sampled_from((0, 0.5, 2, 4.25, "2", True, None))}
        ),
    }
    by_type |= {"purchase_refunded": by_type["purchase"], "complaint_resolved": by_type["complaint"]}
    return by_type.get(type_, st.just({}))


_MINUTES = (0, 0, 1, 4, 5, 6, 10, 30, 60, 61, 205, 700, 1380, 1440, 1500, 2000, 2880)
_GAPS = st.sampled_from(_MINUTES).map(lambda minutes: minutes * MINUTE_MS)
_LAGS = st.sampled_from((0, 0, 0, 0, 1, 4, 6, 20, 100, 1440, 3000, 6000, -3)).map(lambda minutes: minutes * MINUTE_MS)


@st.composite
def histories(draw: st.DrawFn, around: int = START_MS, *, may_import: bool = True) -> list[Record]:
    """An import that is ordered by time, or none, and then a life: late events, equal times, clocks that run ahead."""
    records: list[Record] = []
    imported = around - draw(st.sampled_from((1, 2, 4, 7))) * DAY_MS // 2
    happened = imported - 4 * DAY_MS
    for number in range(draw(st.integers(0, 4)) if may_import and draw(st.booleans()) else 0):
        happened += draw(_GAPS)
        type_ = draw(st.sampled_from(TYPES))
        # Log times of an import are odd, so that no timer is ripe in the very millisecond in which the import ends.
        records.append(Record(f"i{number}", type_, happened, imported + 2 * number + 1, True, draw(_data(type_))))
    arrival = imported + DAY_MS // 2
    for number in range(draw(st.integers(1, 10))):
        arrival += draw(_GAPS)
        type_ = draw(st.sampled_from(TYPES))
        records.append(Record(f"r{number}", type_, arrival - draw(_LAGS), arrival, False, draw(_data(type_))))
    return records


def taken(record: Record, customer: str = "c") -> Event:
    """The record as the engine takes it."""
    origin = Origin("t", customer, record.id, record.type)
    return Event.taken(origin, record.said, record.logged, backfill=record.backfill, data=record.data)
