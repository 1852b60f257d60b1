"""Waits that lead in a circle: time alone moves a silent customer so often and no more, whenever it is noticed."""

from __future__ import annotations

import pytest

from services.stage_engine.domain.advance import MOST_BY_TIME
from services.stage_engine.domain.state import decode_state, encode_state
from tests.unit.stage_engine.timeline import D, Played, Step, imported, lifecycle, live, play, purchase, rules, tick

CIRCLE = lifecycle("a b", "id: there, from: a, to: b, after: 5m", "id: back, from: b, to: a, after: 5m, demotion: true")
QUIET = lifecycle("on off", "id: quiet, from: on, to: off, after: 60d, demotion: true", name="silence")
ENDS = 5 * MOST_BY_TIME
"""The minute of the last move after an event at minute 0."""


def moves(played: Played, name: str = "l") -> int:
    return sum(each.lifecycle.name == name and each.from_ is not None for each in played.changes)


def test_who_is_silent_rests_at_last_and_it_is_told_once() -> None:
    played = play(rules(CIRCLE), live(0, "engagement"), tick(400 * D), tick(800 * D))
    assert (moves(played), played.changes[-1].effective_ms) == (MOST_BY_TIME, ENDS * 60_000)
    assert played.state.lifecycles["l"].wake_ms is None
    (error,) = played.errors
    assert (error.lifecycle, error.transition) == ("l", "there")
    assert "moves them no further" in error.detail


@pytest.mark.parametrize("every", [7, 60, 2 * D])
def test_it_makes_no_difference_when_time_is_noticed(every: int) -> None:
    at_once = play(rules(CIRCLE), live(0, "engagement"), tick(10 * D))
    in_between = play(rules(CIRCLE), live(0, "engagement"), *map(tick, range(every, 10 * D + every, every)))
    assert (at_once.table, at_once.state) == (in_between.table, in_between.state)


def test_what_leads_out_ends_the_rest_and_time_counts_anew() -> None:
    bought = (
        CIRCLE
        + "  - {id: bought, from: [a, b], to: c, on: purchase, demotion: true}\n  - {id: on, from: c, to: b, after: 5m}\n"
    )
    by = rules(bought.replace("transitions:", "  c: {order: 5}\ntransitions:"))
    steps: list[Step] = [live(0, "engagement"), tick(9 * D), live(10 * D, "engagement"), purchase(11 * D)]
    played = play(by, *steps)
    assert moves(played) == MOST_BY_TIME + 1, "an event that leads nowhere leaves them where they are"
    again = decode_state(encode_state(played.state))
    later = play(by, tick(30 * D), state=again)
    assert moves(later) == MOST_BY_TIME
    assert later.state == play(by, *steps, tick(30 * D)).state


def test_other_lifecycles_go_on() -> None:
    played = play(rules(CIRCLE, QUIET), live(0, "engagement"), tick(100 * D))
    assert (moves(played), moves(played, "silence")) == (MOST_BY_TIME, 1)
    assert played.changes[-1].effective_ms == 60 * D * 60_000


def test_a_lifecycle_that_is_drawn_along_is_no_circle_of_its_own() -> None:
    reads = lifecycle(
        "x y",
        "id: with, from: x, to: y, when: \"stages.l == 'b'\"",
        "id: and_back, from: y, to: x, when: \"stages.l == 'a'\", demotion: true",
        name="reader",
    )
    played = play(rules(CIRCLE, reads), live(0, "engagement"), tick(100 * D))
    assert (moves(played), moves(played, "reader")) == (MOST_BY_TIME, MOST_BY_TIME)


def test_an_import_is_lived_in_a_bounded_number_of_steps() -> None:
    played = play(rules(CIRCLE), imported(800 * D, 0, "engagement"), imported(800 * D, 400 * D, "engagement"))
    assert (moves(played), len(played.errors)) == (MOST_BY_TIME, 1)
