"""Moves by hand, worked by hand: where a person puts a customer, what follows from there, and what is refused."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.by_hand import MANUAL_MOVE, Moved
from services.stage_engine.domain.decision import Applied, BehindClock, ByHand, Unapplicable
from services.stage_engine.domain.event import Activation, Event, Lived
from services.stage_engine.domain.publishing import publish_change
from services.stage_engine.looking_back import Life
from services.stage_engine.publications.catching_up import Course, replay
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from shared.auth.tenants import Tenants
from shared.contracts.stage_changed import ManualCause
from shared.contracts.times import MINUTE_MS
from tests.unit.stage_engine.declaring import declaring, together
from tests.unit.stage_engine.timeline import (
    D,
    Played,
    Step,
    imported,
    lifecycle,
    live,
    nps,
    occurrence,
    play,
    purchase,
    row,
    rules,
    table,
    tick,
)

BARE = lifecycle("a b c")
BUYS = lifecycle("a b c", "id: buys, from: a, to: b, on: purchase", "id: again, from: b, to: c, on: purchase")
WAITS = lifecycle("a b c", "id: waits, from: a, to: b, after: 60m")
RESTS = lifecycle("a b", "id: rests, from: b, to: a, after: 60m, demotion: true")
SHOP = lifecycle("a b", name="shop")
CARE = lifecycle("a b", "id: follows, from: a, to: b, when: \"stages.shop == 'b'\"", name="care")
CLUB = lifecycle("a b", "id: joins, from: a, to: b, when: \"stages.care == 'b'\"", name="club")
WINDOW = declaring(
    {"lately": "count: purchase, within: 1d"}, "a b c", 'id: cold, from: b, to: c, when: "facts.lately == 0"'
)


def by_hand(arrival: int, to: str, time: int | None = None, **given: Any) -> Step:
    """Eva puts the customer into a stage of the lifecycle `l`, unless told otherwise."""
    return live(arrival, MANUAL_MOVE, time, **{"lifecycle": "l", "to": to, "by": "eva", "reason": "asked", **given})


def shop(arrival: int, to: str) -> Step:
    return by_hand(arrival, to, lifecycle="shop")


TIMELINES: dict[str, tuple[list[str], list[Step], str]] = {
    "to where no transition leads, up and down; entries are counted": (
        [BARE],
        [live(0, "signup"), by_hand(5, "c"), by_hand(7, "a"), by_hand(9, "c")],
        """0 l - a - 1 1 1 s e1
           5 l a c - 1 2 2 s hand:e2
           7 l c a - 2 3 3 s hand:e3
           9 l a c - 2 4 4 s hand:e4""",
    ),
    "on along transitions that wait for no event, in the same decision": (
        [
            lifecycle(
                "a b c d", 'id: pays, from: b, to: c, when: "facts.orders >= 1"', "id: on, from: c, to: d, after: 1h"
            )
        ],
        [purchase(0), by_hand(5, "b"), tick(D)],
        """0  l - a -    1 1 1 s e1
           5  l a b -    1 2 2 . hand:e2
           5  l b c pays 1 3 2 s hand:e2
           65 l c d on   1 4 3 s due:65""",
    ),
    "not along transitions that an event takes; the next one does": (
        [BUYS],
        [live(0, "signup"), by_hand(5, "b"), purchase(6)],
        """0 l - a -     1 1 1 s e1
           5 l a b -     1 2 2 s hand:e2
           6 l b c again 1 3 3 s e3""",
    ),
    "never back to where the customer came from; only when something that is read changes": (
        [lifecycle("a b", 'id: up, from: a, to: b, when: "facts.orders >= 1"')],
        [purchase(0), by_hand(5, "a"), live(10, "engagement", channel="visit"), tick(D), purchase(2 * D)],
        f"""0 l - a -  1 1 1 . e1
            0 l a b up 1 2 1 s e1
            5 l b a -  2 3 2 s hand:e2
            {2 * D} l a b up 2 4 4 s e5""",
    ),
    "past the way back, the next transition in the file is tried": (
        [
            lifecycle(
                "a b c",
                'id: up, from: a, to: b, when: "facts.orders >= 1"',
                'id: far, from: a, to: c, when: "facts.orders >= 1"',
            )
        ],
        [purchase(0), by_hand(5, "a")],
        """0 l - a -   1 1 1 . e1
           0 l a b up  1 2 1 s e1
           5 l b a -   2 3 2 . hand:e2
           5 l a c far 1 4 2 s hand:e2""",
    ),
    "the new stage's wait counts from the move": (
        [RESTS],
        [live(0, "signup"), by_hand(5, "b"), tick(69), tick(70)],
        """0  l - a -     1 1 1 s e1
           5  l a b -     1 2 2 s hand:e2
           65 l b a rests 2 3 3 s due:65""",
    ),
    "the wait of the stage that was left never ends": (
        [WAITS],
        [live(0, "signup"), by_hand(64, "c"), tick(D)],
        """0  l - a - 1 1 1 s e1
           64 l a c - 1 2 2 s hand:e2""",
    ),
    "what was ripe goes off before the move": (
        [WAITS],
        [live(0, "signup"), by_hand(66, "c", expected_stage="b")],
        """0  l - a -     1 1 1 s e1
           60 l a b waits 1 2 2 s due:60
           66 l b c -     1 3 3 s hand:e2""",
    ),
    "a wait since a fact that is over already is over at once": (
        [lifecycle("a b c", "id: quiet, from: b, to: c, after: 60m, since: facts.last_purchase_at")],
        [purchase(0), by_hand(100, "b")],
        """0   l - a -     1 1 1 s e1
           100 l a b -     1 2 2 . hand:e2
           100 l b c quiet 1 3 2 s hand:e2""",
    ),
    "a window is read at the move": (
        [WINDOW],
        [purchase(0), by_hand(3 * D, "b")],
        f"""0       l - a -    1 1 1 s e1
            {3 * D} l a b -    1 2 2 . hand:e2
            {3 * D} l b c cold 1 3 2 s hand:e2""",
    ),
    "and its decay is waited for in the new stage": (
        [WINDOW],
        [purchase(10), by_hand(20, "b"), tick(2 * D)],
        f"""10  l - a -    1 1 1 s e1
            20  l a b -    1 2 2 s hand:e2
            {D} l b c cold 1 3 3 s due:{D}""",
    ),
    "from before the clock it counts at the clock, and is late": (
        [BARE],
        [live(0, "signup"), live(10, "engagement", channel="visit"), by_hand(12, "b", 3)],
        """0  l - a - 1 1 1 s e1
           10 l a b - 1 2 3 sl hand:e3""",
    ),
    "from the future it counts at its arrival": (
        [BARE],
        [live(0, "signup"), by_hand(12, "b", 99)],
        """0  l - a - 1 1 1 s e1
           12 l a b - 1 2 2 s hand:e2""",
    ),
    "those that read the stage are looked at in the same decision, as far as it goes": (
        [CLUB, CARE, SHOP],
        [live(0, "signup"), shop(5, "b")],
        """0 shop - a -       1 1 1 s e1
           0 care - a -       1 2 1 s e1
           0 club - a -       1 3 1 s e1
           5 shop a b -       1 4 2 s hand:e2
           5 care a b follows 1 5 2 s hand:e2
           5 club a b joins   1 6 2 s hand:e2""",
    ),
    "those that are read stay": (
        [CLUB, CARE, SHOP],
        [live(0, "signup"), by_hand(5, "b", lifecycle="care")],
        """0 shop - a -     1 1 1 s e1
           0 care - a -     1 2 1 s e1
           0 club - a -     1 3 1 s e1
           5 care a b -     1 4 2 s hand:e2
           5 club a b joins 1 5 2 s hand:e2""",
    ),
    "a reader that has come further moves at its own clock": (
        [
            SHOP,
            lifecycle(
                "a b c",
                "id: own, from: a, to: b, on: purchase",
                "id: follows, from: b, to: c, when: \"stages.shop == 'b'\"",
                name="care",
            ),
        ],
        [live(0, "signup"), purchase(10), by_hand(12, "b", 3, lifecycle="shop")],
        """0  shop - a -       1 1 1 s e1
           0  care - a -       1 2 1 s e1
           10 care a b own     1 3 2 s e2
           10 shop a b -       1 4 3 sl hand:e3
           10 care b c follows 1 5 3 s hand:e3""",
    ),
    "an imported one counts at its own time, as backfill": (
        [BARE],
        [
            imported(D, 0, "signup"),
            imported(D, 7, MANUAL_MOVE, lifecycle="l", to="b", by="eva", reason="asked"),
        ],
        """0 l - a - 1 1 1 sb e1
           7 l a b - 1 2 2 sb hand:e2""",
    ),
}


@pytest.mark.parametrize("name", TIMELINES)
def test_where_a_move_leads(name: str) -> None:
    texts, steps, expected = TIMELINES[name]
    played = play(together(*texts), *steps)
    assert played.table == table(expected)
    assert not played.errors


def test_a_move_says_who_and_why_and_which_way() -> None:
    played = play(rules(BARE), live(0, "signup"), by_hand(5, "c"), by_hand(7, "b"))
    up, down = played.changes[1:]
    told = [_published(played, number) for number in (1, 2)]
    assert isinstance(up.cause, ByHand)
    assert (up.lifecycle.direction(up.from_, up.to), down.lifecycle.direction(down.from_, down.to)) == ("up", "down")
    assert [each["direction"] for each in told] == ["up", "down"]
    assert (told[0]["transition"], told[0]["facts"], told[0]["mode"]) == (None, {}, "live")
    assert told[0]["cause"] == {"kind": "manual", "by": "eva", "reason": "asked", "move_id": "e2"}
    assert told[1]["previous_stage_entered_at"] == "1970-01-01T00:05:00.000Z"


def _published(played: Played, number: int) -> Any:
    return msgspec.json.decode(publish_change(played.changes[number], "t", "c", "BRL").kept)


def test_every_hop_of_the_decision_names_the_move() -> None:
    played = play(together(CARE, SHOP), live(0, "signup"), shop(5, "b"))
    causes = [_published(played, number)["cause"] for number in (2, 3)]
    assert [ManualCause(each["by"], each["reason"], each["move_id"]) for each in causes] == [
        ManualCause("eva", "asked", "e2")
    ] * 2


def test_a_move_changes_no_fact_of_the_customer() -> None:
    by = rules(declaring({"all": "count: [signup, purchase]"}, "a b"))
    before = play(by, live(0, "signup"), purchase(3)).state
    after = play(by, by_hand(50, "b"), state=before).state
    assert (after.facts, after.notes) == (before.facts, before.notes)
    assert after.facts["last_seen"] == 3 * MINUTE_MS
    assert after.lifecycles["l"].tallies == before.lifecycles["l"].tallies


def test_history_before_a_move_cannot_be_added_to_without_deciding_anew() -> None:
    played = play(rules(BARE), live(0, "signup"), by_hand(50, "b"), imported(60, 49, "signup"))
    assert played.decisions[-1] == BehindClock(50 * MINUTE_MS)


def test_the_outcome_names_the_first_change_of_the_move() -> None:
    on = 'id: on, from: c, to: d, when: "facts.orders == 0"'
    by = rules(lifecycle("a b c d", "id: waits, from: a, to: b, after: 60m", on))
    outcome = _moved(play(by, live(0, "signup"), by_hand(66, "c")))
    assert (outcome.sequence, outcome.refusal) == (3, None)  # 1 the start, 2 the wait, 4 from c to d
    assert (outcome.move_id, outcome.at_ms, outcome.move.by) == ("e2", 66 * MINUTE_MS, "eva")


def _moved(played: Played) -> Moved:
    decision = played.decisions[-1]
    assert isinstance(decision, Applied)
    assert decision.moved is not None
    return decision.moved


def test_only_moves_have_an_outcome() -> None:
    played = play(rules(BARE), live(0, "signup"), purchase(1), tick(2))
    assert [each.moved for each in played.decisions if isinstance(each, Applied)] == [None] * 3


REFUSED: dict[str, tuple[Step, str]] = {
    "a lifecycle that does not run": (by_hand(5, "b", lifecycle="other"), "'other'"),
    "a stage that there is not": (by_hand(5, "z"), "l version 1 has no stage 'z'"),
    "a customer who is elsewhere": (by_hand(5, "c", expected_stage="b"), "expected in b and is in a"),
    "an expected stage that there is not": (by_hand(5, "c", expected_stage="z"), "expected in z and is in a"),
    "a customer who is there": (by_hand(5, "a"), "in a already"),
    "a customer who is there, as expected": (by_hand(5, "a", expected_stage="a"), "in a already"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_move_says_why_and_leaves_no_trace(name: str) -> None:
    step, why = REFUSED[name]
    before = play(rules(BARE), live(0, "signup")).state
    played = play(rules(BARE), step, state=before)
    outcome = _moved(played)
    assert why in str(outcome.refusal)
    assert outcome.sequence is None
    assert played.state == before
    assert not played.changes


def test_nobody_begins_by_a_move() -> None:
    played = play(rules(BARE), by_hand(5, "b"))
    assert (played.state, played.table) == (NEW_CUSTOMER, [])
    assert _moved(played).refusal == "the customer is in no stage of l yet; an event brings them there"


def test_nobody_enters_a_further_lifecycle_by_a_move() -> None:
    before = play(rules(BARE), live(0, "signup")).state
    played = play(rules(BARE, SHOP), shop(5, "b"), state=before)
    assert _moved(played).refusal == "the customer is in no stage of shop yet; an event brings them there"
    assert played.state == before


def test_a_move_that_comes_too_late_for_its_expectation_is_refused_by_what_is_ripe_and_leaves_that_to_its_timer() -> (
    None
):
    before = play(rules(WAITS), live(0, "signup")).state
    played = play(rules(WAITS), by_hand(65, "c", expected_stage="a"), state=before)
    assert "expected in a and is in b" in str(_moved(played).refusal)
    assert played.state == before
    assert play(rules(WAITS), tick(65), state=played.state).table == table("60 l a b waits 1 2 2 s due:60")


def test_of_two_moves_that_expect_the_same_stage_the_second_is_refused() -> None:
    first, second = by_hand(5, "b", expected_stage="a"), by_hand(5, "c", expected_stage="a")
    played = play(rules(BARE), live(0, "signup"), first, second)
    assert [row(each) for each in played.changes][1:] == ["5 l a b - 1 2 2 s hand:e2"]
    assert "expected in a and is in b" in str(_moved(played).refusal)


@pytest.mark.parametrize(
    ("spoilt", "named"),
    [
        ({"to": None}, "to"),
        ({"to": 7}, "to"),
        ({"by": None}, "by"),
        ({"reason": ["x"]}, "reason"),
        ({"lifecycle": {}}, "lifecycle"),
        ({"expected_stage": 3}, "expected_stage"),
    ],
)
def test_what_is_no_move_is_set_aside_with_the_name_of_its_field(spoilt: dict[str, Any], named: str) -> None:
    state = play(rules(BARE), live(0, "signup")).state
    decision = advance(rules(BARE), state, occurrence(by_hand(5, **{"to": "b", **spoilt}), "m"))
    assert isinstance(decision, Unapplicable)
    assert f"`$.{named}`" in decision.detail


def test_a_move_without_its_fields_is_set_aside() -> None:
    decision = advance(rules(BARE), NEW_CUSTOMER, occurrence(live(5, MANUAL_MOVE), "m"))
    assert isinstance(decision, Unapplicable)
    assert "lifecycle" in decision.detail


def test_a_move_goes_by_the_rules_of_its_place_in_the_log() -> None:
    wide = lifecycle("a b c d", 'id: pays, from: d, to: b, when: "facts.orders >= 1", demotion: true')
    before = play(rules(BARE), purchase(0), by_hand(3, "d"))
    assert "has no stage 'd'" in str(_moved(before).refusal)
    met = advance(rules(wide), before.state, Activation(1, 4 * MINUTE_MS, "l", 2, "p"))
    after = play(rules(wide), by_hand(5, "d"), state=met.state)
    assert after.table == table("5 l a d - 1 2 2 . hand:e1\n5 l d b pays 1 3 2 s hand:e1")


def test_a_history_with_moves_lived_again_gives_the_same_state() -> None:
    later = WAITS.replace("waits,", "soon,").replace("60m", "30m")
    steps = [
        *(live(0, "signup"), by_hand(66, "c", expected_stage="b"), by_hand(70, "b", expected_stage="a")),
        *(by_hand(200, "a", expected_stage="c"), by_hand(210, "z"), nps(400, 9)),
    ]
    stored = [_stored(0, 0, 0), _stored(1, 3, 150)]
    lived = [_lived(number, step) for number, step in enumerate(steps)]
    old, new = play(rules(WAITS), *steps[:3]), rules(later)
    met = advance(new, play(rules(WAITS), tick(150), state=old.state).state, Activation(1, 150 * MINUTE_MS, "l", 2, ""))
    again = replay(Course(_book(WAITS, later), stored, 0), Life(CustomerKey("t", "c"), lived))
    assert again[-1].state == play(new, *steps[3:], state=met.state).state
    outcomes = [each.moved.refusal is None for each in again if each.moved]
    assert outcomes == [True, False, True, False]
    assert again[-1].state.lifecycles["l"].stage == "b"  # by the new wait, from the stage that the third move gave


def _stored(number: int, offset: int, at: int) -> Stored:
    return Stored(0, number, str(number), "l", number + 1, offset, at * MINUTE_MS, False, {}, {"l": number + 1})


def _lived(offset: int, step: Step) -> Lived:
    event = occurrence(step, f"e{offset}")
    assert isinstance(event, Event)
    return Lived(offset, event)


def _book(*texts: str) -> RuleBook:
    """Versions of one lifecycle; nobody's currency is asked for."""
    definitions = [parse_definition("l.yaml", text) for text in texts]
    known = {("l", version): definition for version, definition in enumerate(definitions, start=1)}
    return RuleBook(known, cast(Tenants, None), "BRL")


def test_when_time_is_noticed_makes_no_difference_to_a_move() -> None:
    steps = [live(0, "signup"), by_hand(66, "c"), by_hand(80, "a"), by_hand(139, "b", expected_stage="a"), nps(200, 9)]
    noticed = [[tick(each.logged), each, tick(each.logged + 1)] for each in steps]
    lived, again = play(rules(WAITS), *steps), play(rules(WAITS), *(step for each in noticed for step in each))
    assert [_but_for_the_cause(each) for each in again.table] == [_but_for_the_cause(each) for each in lived.table]
    assert (again.state, len(lived.changes)) == (lived.state, 5)


def _but_for_the_cause(line: str) -> str:
    """The steps' own numbers are in it, which ticks change."""
    return line.rpartition(" ")[0]
