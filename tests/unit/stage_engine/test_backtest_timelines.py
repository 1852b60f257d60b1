"""Hand-worked backtests: who is where when, who moves on, and where two lives part."""

from __future__ import annotations

from typing import Any

import pytest

from services.stage_engine.backtesting.counting import Flow, Stays
from services.stage_engine.backtesting.findings import Findings
from services.stage_engine.backtesting.periods import Every
from shared.contracts.times import DAY_MS, HOUR_MS, to_text
from tests.unit.stage_engine.backtests import CLUB, EASIER, at, event, found, over, past, purchase, trying

ANA = past(purchase("2026-03-02 10:00"), purchase("2026-03-03 12:00"), purchase("2026-03-05 09:00"))
"""Silent from March 3rd 12:00 on for 36 hours, which are over at the very start of March 5th, and for good from March 5th on."""
MARCH = over("2026-03-02", "2026-03-08")


def course(findings: Findings, side: str = "active") -> list[str]:
    """The stage of the only customer at each moment, or `-` before they are known."""
    populations = [each[side] for each in findings.as_json()["populations"]]
    assert all(sum(each.values()) <= 1 for each in populations)
    return [next(iter(each), "-") for each in populations]


def test_populations_are_counted_as_each_local_day_ends() -> None:
    findings = found(trying(EASIER, CLUB), MARCH, ANA)
    assert course(findings) == ["-", "member", "member", "member", "gold", "guest", "guest", "guest"]
    assert course(findings, "candidate") == ["-", "member", "gold", "gold", "gold", "guest", "guest", "guest"]
    third = findings.as_json()["populations"][2]
    assert (third["label"], third["until"]) == ("2026-03-03", "2026-03-04T03:00:00.000Z")
    assert third["difference"] == {"member": -1, "gold": 1}


def test_what_goes_off_at_local_midnight_belongs_to_the_day_that_begins() -> None:
    findings = found(trying(CLUB, CLUB), over("2026-03-05T02:59:59.999Z", "2026-03-05T03:10:00Z"), ANA)
    assert course(findings) == ["member", "member", "guest"]


def test_a_timer_goes_off_between_events_and_after_the_last_one_once_it_is_ripe() -> None:
    last = "2026-03-06T21:05:00-03:00"
    assert found(trying(CLUB, CLUB), over("2026-03-06", last), ANA).as_json()["populations"][-1]["active"] == {
        "gold": 1
    }
    ripe = "2026-03-06T21:05:00.001-03:00"
    assert found(trying(CLUB, CLUB), over("2026-03-06", ripe), ANA).as_json()["populations"][-1]["active"] == {
        "guest": 1
    }


@pytest.mark.parametrize(
    ("to", "events", "stage"),
    [
        ("2026-03-03T12:00:00.000-03:00", 1, {"member": 1}),
        ("2026-03-03T12:00:00.001-03:00", 2, {"gold": 1}),
    ],
)
def test_an_event_that_arrives_at_the_very_end_is_not_seen(to: str, events: int, stage: dict[str, int]) -> None:
    findings = found(trying(EASIER, CLUB), over("2026-03-01", to), ANA)
    assert findings.events == events
    assert findings.as_json()["populations"][-1]["candidate"] == stage


def test_an_event_counts_by_its_arrival_and_moves_at_its_time() -> None:
    late = past(purchase("2026-03-02 10:00"), purchase("2026-03-03 12:00", arrives="2026-03-03 15:00"))
    assert found(trying(EASIER, CLUB), over("2026-03-01", "2026-03-03T14:00:00-03:00"), late).events == 1
    findings = found(trying(EASIER, CLUB), over("2026-03-01", "2026-03-03"), late)
    assert findings.events == 2
    assert to_text(findings.differences.examples()[0].at_ms) == "2026-03-03T15:00:00.000Z"


def test_moves_and_stays_within_the_span_are_counted_for_both() -> None:
    findings = found(trying(EASIER, CLUB), MARCH, ANA)
    assert findings.as_json()["moves"] == [
        {"from": None, "to": "guest", "active": 1, "candidate": 1},
        {"from": "guest", "to": "member", "active": 2, "candidate": 2},
        {"from": "member", "to": "guest", "active": 1, "candidate": 0},
        {"from": "member", "to": "gold", "active": 1, "candidate": 2},
        {"from": "gold", "to": "guest", "active": 1, "candidate": 2},
    ]
    active, tried = findings.sides()
    assert active.flow("guest") == Flow(entered=3, left=2, went_on=2, median_ms=9 * HOUR_MS)
    assert active.flow("member") == Flow(entered=2, left=2, went_on=2, median_ms=62 * HOUR_MS)
    assert active.flow("gold") == Flow(entered=1, left=1, went_on=0, median_ms=36 * HOUR_MS)
    assert tried.flow("member") == Flow(entered=2, left=2, went_on=2, median_ms=26 * HOUR_MS)
    assert tried.flow("gold") == Flow(entered=2, left=2, went_on=0, median_ms=36 * HOUR_MS)


def test_what_happened_before_the_span_shows_only_where_people_are() -> None:
    findings = found(trying(EASIER, CLUB), over("2026-03-05", "2026-03-08"), ANA)
    assert course(findings) == ["member", "gold", "guest", "guest", "guest"]
    active = findings.sides()[0]
    assert dict(active.moves) == {
        ("member", "guest"): 1, ("guest", "member"): 1, ("member", "gold"): 1, ("gold", "guest"): 1,
    }  # fmt: skip
    assert active.flow("member") == Flow(entered=1, left=2, went_on=1, median_ms=62 * HOUR_MS)


def test_going_on_to_a_higher_stage_may_take_detours_but_not_longer_than_the_span() -> None:
    findings = found(trying(CLUB, CLUB), over("2026-03-02", "2026-03-04"), ANA)
    assert findings.sides()[0].flow("member") == Flow(entered=1, left=0, went_on=0, median_ms=None)
    assert findings.sides()[0].flow("guest") == Flow(entered=1, left=1, went_on=1, median_ms=None)


def test_who_ends_elsewhere_is_told_with_the_moment_and_the_reason() -> None:
    findings = found(
        trying(EASIER, CLUB), over("2026-03-01", "2026-03-04"), ANA, past(event("2026-03-02 10:00", "signup"))
    )
    told = findings.as_json()["differences"]
    assert (told["ever_elsewhere"], told["end_elsewhere"]) == (1, 1)
    assert told["ends"] == [
        {"active": "member", "candidate": "gold", "customers": 1},
        {"active": "guest", "candidate": "guest", "customers": 1},
    ]
    assert told["examples"] == [
        {
            "tenant": "t",
            "customer_id": "ana",
            "ends": {"active": "member", "candidate": "gold"},
            "at": "2026-03-03T15:00:00.000Z",
            "active": {"stage": "member", "moves": []},
            "candidate": {
                "stage": "gold",
                "moves": [
                    {
                        "from": "member",
                        "to": "gold",
                        "transition": "spends",
                        "cause": {
                            "kind": "event",
                            "id": "purchase-2026-03-03 12:00",
                            "type": "purchase",
                            "time": "2026-03-03T15:00:00.000Z",
                        },
                        "facts": {"orders": 2},
                    }
                ],
            },
        }
    ]


def test_who_was_elsewhere_for_a_while_and_ends_in_the_same_stage_is_no_example() -> None:
    told = found(trying(EASIER, CLUB), MARCH, ANA).as_json()["differences"]
    assert (told["ever_elsewhere"], told["end_elsewhere"], told["examples"]) == (1, 0, [])


def test_lives_do_not_part_where_one_decision_leads_another_way_to_the_same_stage() -> None:
    direct = CLUB.replace("transitions:", "transitions:\n  - {id: at_once, from: guest, to: gold, on: purchase}")
    through = EASIER.replace(">= 2", ">= 1")
    findings = found(trying(direct, through), over("2026-03-01", "2026-03-03"), past(purchase("2026-03-02 10:00")))
    assert findings.differences.ever == 0
    assert [each.moves["guest", "gold"] for each in findings.sides()] == [0, 1]


def test_five_examples_show_every_way_before_they_repeat_one() -> None:
    easy = CLUB.replace("facts.orders >= 3", "facts.orders >= 2 || facts.referrals >= 1")
    buyers = [past(*ANA_EVENTS[:2], customer=f"b{number}") for number in range(9)]
    friend = past(event("2026-03-02 09:00", "referral"), customer="friend")
    direct = easy.replace("transitions:", "transitions:\n  - {id: friends, from: guest, to: member, on: referral}")
    findings = found(trying(direct, CLUB), over("2026-03-01", "2026-03-03"), *buyers, friend)
    assert [each.customer.customer_id for each in findings.differences.examples()] == ["b0", "friend", "b1", "b2", "b3"]


ANA_EVENTS = [each.event for each in ANA.lived]


def test_a_lifecycle_that_is_new_has_only_its_own_column() -> None:
    told = found(trying(CLUB), MARCH, ANA).as_json()
    assert (told["active_version"], told["candidate_version"], told["differences"]) == (None, 1, None)
    assert [each["active"] for each in told["populations"]] == [None] * 8
    assert told["populations"][1]["candidate"] == {"member": 1}
    assert told["moves"][0] == {"from": None, "to": "guest", "active": None, "candidate": 1}


def test_a_lifecycle_that_is_read_runs_along_and_is_not_counted() -> None:
    reading = """
lifecycle: perks
start: none
time_zone: America/Sao_Paulo
stages: {none: {order: 1}, lounge: {order: 2}}
transitions:
  - {id: in, from: none, to: lounge, when: "stages.club == 'member'"}
"""
    stricter = reading.replace("'member'", "'gold'")
    findings = found(trying(stricter, reading, [CLUB]), over("2026-03-02", "2026-03-05"), ANA)
    assert course(findings) == ["-", "lounge", "lounge", "lounge", "lounge"]
    assert course(findings, "candidate") == ["-", "none", "none", "none", "lounge"]
    assert findings.stages == ("none", "lounge")


def test_stages_that_only_one_side_has_are_shown_with_the_others() -> None:
    renamed = EASIER.replace("gold", "golden")
    told = found(trying(renamed, CLUB, migrate={"gold": "golden"}), MARCH, ANA).as_json()
    assert [each["stage"] for each in told["stages"]] == ["guest", "member", "golden", "gold"]
    assert told["populations"][4]["difference"] == {"golden": 1, "gold": -1}


def test_stages_stand_in_the_order_of_the_file_that_is_tried() -> None:
    other = CLUB.replace("{order: 20}", "{order: 40}").replace("to: gold,", "to: gold, demotion: true,")
    assert found(trying(other, CLUB), MARCH, ANA).stages == ("guest", "gold", "member")


def test_who_is_not_heard_of_before_the_end_is_not_counted() -> None:
    findings = found(trying(EASIER, CLUB), over("2026-03-01", "2026-03-01"), ANA)
    assert (findings.customers, findings.events, course(findings)) == (0, 0, ["-", "-"])


def test_weeks_and_months_are_counted_as_they_end() -> None:
    weekly = found(trying(EASIER, CLUB), over("2026-03-04", "2026-03-10", Every.WEEK), ANA)
    assert course(weekly) == ["member", "guest", "guest"]
    monthly = found(trying(EASIER, CLUB), over("2026-02-10", "2026-03-05", Every.MONTH), ANA)
    assert course(monthly, "candidate") == ["-", "-", "gold"]


@pytest.mark.parametrize(
    ("lengths", "median"),
    [
        ([], None),
        ([0], 0),
        ([60 * DAY_MS] * 3, 60 * DAY_MS),
        ([HOUR_MS, HOUR_MS, 5 * DAY_MS], HOUR_MS),
        ([HOUR_MS, 5 * DAY_MS], HOUR_MS),
        ([100 * DAY_MS, 500, 3 * DAY_MS, 300, 3 * DAY_MS], 3 * DAY_MS),
    ],
)
def test_the_median_of_equal_stays_is_exact(lengths: list[int], median: int | None) -> None:
    assert _median(lengths) == median


def test_any_median_is_right_to_within_a_tenth() -> None:
    lengths = [1_000 * 7**power + 13 * power for power in range(12)] + [90_000 + 777 * step for step in range(200)]
    exact = sorted(lengths)[(len(lengths) - 1) // 2]
    median = _median(lengths)
    assert median is not None
    assert abs(median - exact) <= exact / 10


def _median(lengths: list[int]) -> Any:
    stays = Stays()
    for length in lengths:
        stays.add(length)
    return stays.median_ms()


def test_times_of_this_page_are_those_of_sao_paulo() -> None:
    assert to_text(at("2026-03-02 10:00")) == "2026-03-02T13:00:00.000Z"
