"""Timelines of lifecycles that read each other's stages, worked by hand. They run in dependency order, not by name."""

from __future__ import annotations

import pytest

from shared.contracts.times import MINUTE_MS
from tests.unit.stage_engine.declaring import declaring, together
from tests.unit.stage_engine.timeline import D, Step, lifecycle, live, nps, play, purchase, rules, table, tick

SHOP = lifecycle("a b", "id: bought, from: a, to: b, on: purchase", name="shop")
WAITS = lifecycle("a b", "id: waited, from: a, to: b, after: 60m", name="shop")
CARE = lifecycle("a b", "id: follows, from: a, to: b, when: \"stages.shop == 'b'\"", name="care")
CLUB = lifecycle("a b", "id: joins, from: a, to: b, when: \"stages.care == 'b'\"", name="club")
TIMELINES: dict[str, tuple[list[str], list[Step], str]] = {
    "what was just decided by the same event is seen, though the name of the reader comes first": (
        [CARE, SHOP],
        [live(0, "signup"), purchase(5)],
        """0 shop - a - 1 1 1 s e1
           0 care - a - 1 2 1 s e1
           5 shop a b bought  1 3 2 s e2
           5 care a b follows 1 4 2 s e2""",
    ),
    "so by the first event": (
        [CARE, SHOP],
        [purchase(5)],
        """5 shop - a -       1 1 1 . e1
           5 shop a b bought  1 2 1 s e1
           5 care - a -       1 3 1 . e1
           5 care a b follows 1 4 1 s e1""",
    ),
    "a wake-up that moves one moves its reader there and then, in one decision": (
        [CARE, WAITS],
        [live(0, "signup"), tick(64), tick(65)],
        """0  shop - a - 1 1 1 s e1
           0  care - a - 1 2 1 s e1
           60 shop a b waited  1 3 2 s due:60
           60 care a b follows 1 4 2 s due:60""",
    ),
    "a chain of three goes all the way, by an event": (
        [CLUB, CARE, SHOP],
        [live(0, "signup"), purchase(5)],
        """0 shop - a - 1 1 1 s e1
           0 care - a - 1 2 1 s e1
           0 club - a - 1 3 1 s e1
           5 shop a b bought  1 4 2 s e2
           5 care a b follows 1 5 2 s e2
           5 club a b joins   1 6 2 s e2""",
    ),
    "and by a wake-up": (
        [CLUB, CARE, WAITS],
        [live(0, "signup"), tick(D)],
        """0  shop - a - 1 1 1 s e1
           0  care - a - 1 2 1 s e1
           0  club - a - 1 3 1 s e1
           60 shop a b waited  1 4 2 s due:60
           60 care a b follows 1 5 2 s due:60
           60 club a b joins   1 6 2 s due:60""",
    ),
    "who reads the second of three stays where the second does": (
        [CLUB, CARE.replace("== 'b'", "== 'b' && known.nps"), WAITS],
        [live(0, "signup"), tick(D), nps(2 * D, 9)],
        f"""0  shop - a - 1 1 1 s e1
            0  care - a - 1 2 1 s e1
            0  club - a - 1 3 1 s e1
            60 shop a b waited  1 4 2 s due:60
            {2 * D} care a b follows 1 5 3 s e3
            {2 * D} club a b joins   1 6 3 s e3""",
    ),
    "a reader that has come further than the wake-up moves at its own clock": (
        [
            WAITS.replace("lateness: 5m", "lateness: 60m"),
            lifecycle(
                "a b c",
                "id: own, from: a, to: b, after: 70m",
                "id: follows, from: b, to: c, when: \"stages.shop == 'b'\"",
                name="care",
            ),
        ],
        [live(0, "signup"), tick(D)],
        """0  shop - a - 1 1 1 s e1
           0  care - a - 1 2 1 s e1
           70 care a b own     1 3 2 s due:70
           60 shop a b waited  1 4 3 s due:60
           70 care b c follows 1 5 3 s due:60""",
    ),
    "where the reader does not move its clock stays, so that an event from before is not late there": (
        [CARE.replace("== 'b'", "== 'b' && known.nps"), WAITS],
        [live(0, "signup"), tick(D), nps(2 * D, 9, time=30)],
        """0  shop - a - 1 1 1 s e1
           0  care - a - 1 2 1 s e1
           60 shop a b waited  1 3 2 s due:60
           30 care a b follows 1 4 3 s e3""",
    ),
    "a stage that was only passed through is not seen": (
        [
            lifecycle(
                "a b c",
                "id: up, from: a, to: b, on: purchase",
                'id: on, from: b, to: c, when: "facts.orders > 0"',
                name="shop",
            ),
            CARE,
        ],
        [live(0, "signup"), purchase(5)],
        """0 shop - a - 1 1 1 s e1
           0 care - a - 1 2 1 s e1
           5 shop a b up 1 3 2 . e2
           5 shop b c on 1 4 2 s e2""",
    ),
    "an edge that holds for a stage of another is not taken again while nothing that it reads changes": (
        [
            lifecycle(
                "a b",
                "id: follows, from: a, to: b, when: \"stages.shop == 'b'\"",
                "id: back, from: b, to: a, on: survey_response, demotion: true",
                name="care",
            ),
            SHOP,
        ],
        [purchase(5), nps(6, 1), live(7, "engagement"), purchase(8)],
        """5 shop - a -       1 1 1 . e1
           5 shop a b bought  1 2 1 s e1
           5 care - a -       1 3 1 . e1
           5 care a b follows 1 4 1 s e1
           6 care b a back    2 5 2 s e2""",
    ),
    "an edge with on sees the stage that its own event has brought": (
        [lifecycle("a b", "id: both, from: a, to: b, on: purchase, when: \"stages.shop == 'b'\"", name="care"), SHOP],
        [live(0, "signup"), purchase(5)],
        """0 shop - a - 1 1 1 s e1
           0 care - a - 1 2 1 s e1
           5 shop a b bought 1 3 2 s e2
           5 care a b both   1 4 2 s e2""",
    ),
    "one of several stages, and none of them": (
        [
            lifecycle(
                "a b c",
                "id: up, from: a, to: b, on: purchase",
                "id: left, from: b, to: c, on: survey_response",
                name="shop",
            ),
            lifecycle(
                "x y z",
                "id: in, from: x, to: y, when: \"stages.shop in ['b', 'c']\"",
                "id: more, from: y, to: z, when: \"stages.shop != 'b' && stages.shop != 'a'\"",
                name="care",
            ),
        ],
        [live(0, "signup"), purchase(5), nps(6, 1)],
        """0 shop - a - 1 1 1 s e1
           0 care - x - 1 2 1 s e1
           5 shop a b up   1 3 2 s e2
           5 care x y in   1 4 2 s e2
           6 shop b c left 1 5 3 s e3
           6 care y z more 1 6 3 s e3""",
    ),
    "service within times that differ by the customer's stage": (
        [
            lifecycle("new loyal", "id: up, from: new, to: loyal, on: referral", name="shop"),
            lifecycle(
                "open late",
                "id: soon, from: open, to: late, after: 1h, when: \"stages.shop == 'loyal'\"",
                "id: later, from: open, to: late, after: 4h",
                name="care",
            ),
        ],
        [live(0, "signup"), live(90, "referral"), tick(D)],
        """0  shop - new - 1 1 1 s e1
           0  care - open - 1 2 1 s e1
           90 shop new loyal up  1 3 2 s e2
           90 care open late soon 1 4 2 s e2""",
    ),
    "a day that leaves a window in one lifecycle moves its reader": (
        [
            declaring(
                {"orders_1d": "count: purchase, within: 1d"},
                "a b",
                "id: in, from: a, to: b, on: purchase",
                'id: out, from: b, to: a, when: "facts.orders_1d == 0", demotion: true',
                name="shop",
            ),
            lifecycle(
                "x y",
                "id: in, from: x, to: y, when: \"stages.shop == 'b'\"",
                "id: out, from: y, to: x, when: \"stages.shop == 'a'\", demotion: true",
                name="care",
            ),
        ],
        [purchase(600), tick(9 * D)],
        f"""600 shop - a - 1 1 1 . e1
            600 shop a b in 1 2 1 s e1
            600 care - x - 1 3 1 . e1
            600 care x y in 1 4 1 s e1
            {D} shop b a out 2 5 2 s due:{D}
            {D} care y x out 2 6 2 s due:{D}""",
    ),
    "a reader's own wake-up at the same instant is part of the decision that moves it": (
        [WAITS, lifecycle("a b", "id: own, from: a, to: b, after: 60m, when: \"stages.shop == 'b'\"", name="care")],
        [live(0, "signup"), tick(D)],
        """0  shop - a - 1 1 1 s e1
           0  care - a - 1 2 1 s e1
           60 shop a b waited 1 3 2 s due:60
           60 care a b own    1 4 2 s due:60""",
    ),
    "a reader that is ripe first has looked before the other has moved, and looks again then": (
        [
            WAITS.replace("lateness: 5m", "lateness: 30m"),
            lifecycle("a b", "id: own, from: a, to: b, after: 60m, when: \"stages.shop == 'b'\"", name="care"),
        ],
        [live(0, "signup"), tick(66), tick(D)],
        """0  shop - a - 1 1 1 s e1
           0  care - a - 1 2 1 s e1
           60 shop a b waited 1 3 2 s due:60
           60 care a b own    1 4 2 s due:60""",
    ),
}


@pytest.mark.parametrize("name", TIMELINES)
def test_timeline(name: str) -> None:
    lifecycles, steps, expected = TIMELINES[name]
    assert play(together(*lifecycles), *steps).table == table(expected)


def test_lifecycles_that_do_not_read_each_other_run_by_name() -> None:
    by = together(*(lifecycle("a", name=name) for name in ("m", "z", "b")), CARE, SHOP)
    assert [each.name for each in by.lifecycles] == ["b", "m", "shop", "care", "z"]


def test_a_lifecycle_that_is_not_there_has_no_stage_so_that_nothing_holds() -> None:
    negated = CARE.replace("stages.shop == 'b'", "stages.shop != 'b'")
    for text in (CARE, negated):
        assert play(rules(text), live(0, "signup"), purchase(5)).table == table("0 care - a - 1 1 1 s e1")


def test_the_state_in_every_change_of_a_chain_is_that_after_the_whole_decision() -> None:
    played = play(together(CLUB, CARE, WAITS), live(0, "signup"), tick(D))
    assert {id(change.after) for change in played.changes[3:]} == {id(played.state)}
    assert dict(played.changes[-1].facts) == {"stages.care": "b"}
    assert [played.state.lifecycles[name].clock_ms for name in ("shop", "care", "club")] == [60 * MINUTE_MS] * 3
