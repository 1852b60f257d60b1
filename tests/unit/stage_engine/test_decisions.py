"""What a decision leaves behind: the clock, the armed wake-up, refusals, what a change carries, errors."""

from __future__ import annotations

import pytest

from services.stage_engine.domain.decision import Applied, BehindClock, Unapplicable
from services.stage_engine.domain.state import encode_state
from shared.contracts.times import MINUTE_MS
from tests.unit.stage_engine.timeline import D, imported, lifecycle, live, nps, play, purchase, rules, table, tick

UP = lifecycle("a b c", "id: up, from: a, to: b, on: signup")
SILENCE = lifecycle("a b", "id: quiet, from: a, to: b, after: 60m, since: facts.last_engagement_at")
WAIT = lifecycle("a b", "id: wait, from: a, to: b, after: 60m")
WAIT_OR_ANSWER = lifecycle(
    "a b c", "id: answered, from: a, to: c, on: survey_response", "id: wait, from: a, to: b, after: 60m"
)


def test_a_late_event_corrects_facts_without_rewriting_history() -> None:
    played = play(rules(SILENCE), live(0, "engagement"), tick(65), live(70, "engagement", 20))
    assert played.table == table("""0 l - a - 1 1 1 s e1
                                    60 l a b quiet 1 2 2 s due:60""")
    assert played.state.facts["engagements"] == 2
    assert played.state.facts["last_engagement_at"] == 20 * MINUTE_MS
    assert played.clock() == 60


def test_every_event_moves_the_clock_of_every_lifecycle_and_none_moves_it_back() -> None:
    by = rules(UP, lifecycle("a", name="m"))
    assert [play(by, live(50, "signup")).clock(name) for name in "lm"] == [50, 50]
    played = play(by, live(50, "signup"), live(70, "engagement"), live(80, "engagement", 60))
    assert [played.clock(name) for name in "lm"] == [70, 70]
    assert played.state.revision == 3


def test_a_wake_up_that_changes_nothing_leaves_no_trace() -> None:
    by = rules(lifecycle("a b", 'id: w, from: a, to: b, after: 60m, when: "facts.nps >= 9"'))
    before = play(by, live(0, "signup"))
    after = play(by, tick(D), state=before.state)
    assert (after.state.revision, after.clock(), after.changes) == (1, 0, [])


def test_a_wake_up_that_changes_nothing_is_done_with() -> None:
    by = rules(lifecycle("a b", 'id: w, from: a, to: b, after: 60m, when: "facts.nps >= 9"'))
    played = play(by, live(0, "signup"), tick(D))
    assert played.state.lifecycles["l"].wake_ms is None


def test_the_next_wake_up_is_the_first_that_is_due_after_the_clock() -> None:
    edges = ("id: w, from: a, to: b, after: 60m", "id: v, from: a, to: b, after: 30m, since: facts.first_seen")
    played = play(rules(lifecycle("a b", *edges)), live(10, "signup"))
    assert played.state.lifecycles["l"].wake_ms == 40 * MINUTE_MS


def test_nothing_is_armed_for_an_edge_with_on() -> None:
    by = rules(lifecycle("a b", "id: w, from: a, to: b, on: engagement, after: 60m"))
    assert play(by, live(0, "signup")).state.lifecycles["l"].wake_ms is None


def test_a_backfill_behind_a_clock_is_refused_and_changes_nothing() -> None:
    before = play(rules(WAIT), imported(D, 50, "signup"))
    after = play(rules(WAIT), imported(D + 1, 49, "engagement"), state=before.state)
    assert after.decisions == [BehindClock(50 * MINUTE_MS)]
    assert after.state == before.state


def test_a_backfill_behind_the_clock_of_one_lifecycle_is_refused_for_all() -> None:
    by = rules(lifecycle("a", name="plain"), WAIT)
    before = play(by, live(0, "signup"), tick(65))
    refused = play(by, imported(D, 62, "engagement"), state=before.state)
    assert refused.decisions == [BehindClock(65 * MINUTE_MS)]


def test_a_backfill_from_before_an_arrival_is_refused_though_no_clock_has_come_so_far() -> None:
    before = play(rules(WAIT), live(100, "signup", time=50))
    refused = play(rules(WAIT), imported(D, 60, "engagement"), state=before.state)
    assert refused.decisions == [BehindClock(100 * MINUTE_MS)]


def test_a_timer_that_was_news_when_it_ripened_is_live_also_when_an_import_finds_it_in_a_replay() -> None:
    lived = play(rules(WAIT), live(0, "signup"), tick(70), imported(D, 90, "engagement"))
    replayed = play(rules(WAIT), live(0, "signup"), imported(D, 90, "engagement"))
    assert lived.table == replayed.table


def test_a_payload_that_cannot_be_used_applies_nothing_not_even_wake_ups() -> None:
    before = play(rules(WAIT), live(0, "signup"))
    refused = play(rules(WAIT), live(D, "purchase", order_id="o", amount="a lot", currency="BRL"), state=before.state)
    assert isinstance(refused.decisions[0], Unapplicable)
    assert refused.state == before.state


def test_direction_goes_by_order_and_is_same_between_equals() -> None:
    text = lifecycle(
        "a b c",
        "id: up, from: a, to: b, on: signup",
        "id: over, from: b, to: c, on: referral",
        "id: down, from: c, to: a, on: survey_response, demotion: true",
    ).replace("c: {order: 20}", "c: {order: 10}")
    played = play(rules(text), live(0, "signup"), live(1, "referral"), nps(2, 5))
    assert [c.lifecycle.direction(c.from_, c.to) for c in played.changes] == ["up", "up", "same", "down"]


def test_a_change_says_when_the_stage_before_was_entered() -> None:
    edges = ("id: up, from: a, to: b, on: referral", 'id: on, from: b, to: c, when: "facts.referrals >= 1"')
    played = play(rules(lifecycle("a b c", *edges)), live(3, "signup"), live(8, "referral"))
    assert [change.previous_entered_ms for change in played.changes] == [None, 3 * MINUTE_MS, 8 * MINUTE_MS]


def test_the_state_in_a_change_is_that_after_the_whole_decision() -> None:
    edges = ("id: up, from: a, to: b, on: referral", 'id: on, from: b, to: c, when: "facts.referrals >= 1"')
    played = play(rules(lifecycle("a b c", *edges)), live(3, "signup"), live(8, "referral"))
    assert [change.after for change in played.changes[1:]] == [played.state, played.state]


def test_a_change_carries_the_facts_that_its_condition_and_its_since_name() -> None:
    edge = (
        "id: w, from: a, to: b, after: 1d, since: facts.last_purchase_at, "
        'when: "facts.orders >= 1 && !known.nps && (facts.csat >= 4 || facts.revenue >= 10.0)"'
    )
    played = play(rules(lifecycle("a b", edge)), purchase(7, amount="12.34"), tick(2 * D))
    assert dict(played.changes[0].facts) == {}
    assert dict(played.changes[1].facts) == {"orders": 1, "revenue": 1234, "last_purchase_at": 7 * MINUTE_MS}


def test_an_edge_with_on_carries_the_facts_as_the_event_has_left_them() -> None:
    edge = 'id: up, from: a, to: b, on: purchase, when: "facts.orders >= 1 && event.amount >= 5.0"'
    played = play(rules(lifecycle("a b", edge)), purchase(7))
    assert dict(played.changes[1].facts) == {"orders": 1}


class TestConditionsThatFail:
    """A division by zero: the facts still apply, the edge does not hold, an error says which and with what."""

    EDGE = 'id: ratio, from: a, to: b, when: "12 / facts.engagements >= 4"'

    def test_facts_apply_the_edge_does_not_hold_and_the_next_one_is_tried(self) -> None:
        text = lifecycle("a b c", self.EDGE, 'id: other, from: a, to: c, when: "facts.orders >= 0"')
        played = play(rules(text), purchase(3))
        assert played.table == table("""3 l - a - 1 1 1 . e1
                                        3 l a c other 1 2 1 s e1""")
        assert played.state.facts["orders"] == 1

    def test_the_error_names_lifecycle_transition_expression_facts_and_time(self) -> None:
        (error,) = play(rules(lifecycle("a b", self.EDGE)), purchase(3)).errors
        assert (error.lifecycle, error.transition, error.at_ms) == ("l", "ratio", 3 * MINUTE_MS)
        assert error.expression == "12 / facts.engagements >= 4"
        assert dict(error.facts) == {"engagements": 0}
        assert "zero" in error.detail

    def test_something_unknown_is_no_error(self) -> None:
        assert not play(rules(lifecycle("a b", 'id: u, from: a, to: b, when: "facts.nps >= 9"')), purchase(3)).errors

    def test_the_timer_is_consumed_and_its_error_reported_once(self) -> None:
        text = lifecycle("a b", self.EDGE + ", after: 60m")
        played = play(rules(text), live(0, "signup"), tick(64), tick(65), tick(D), tick(2 * D))
        assert [error.at_ms for error in played.errors] == [60 * MINUTE_MS]
        assert played.state.lifecycles["l"].wake_ms is None

    @pytest.mark.parametrize("ticks", [[65, 95], [95], [D]])
    def test_a_later_wake_up_does_not_evaluate_the_edge_again(self, ticks: list[int]) -> None:
        text = lifecycle(
            "a b c", self.EDGE + ", after: 60m", 'id: w, from: a, to: c, after: 90m, when: "facts.nps >= 9"'
        )
        played = play(rules(text), live(0, "signup"), *map(tick, ticks))
        assert [error.at_ms for error in played.errors] == [60 * MINUTE_MS]

    def test_an_edge_that_fails_before_its_time_is_not_evaluated(self) -> None:
        played = play(rules(lifecycle("a b", self.EDGE + ", after: 60m")), live(0, "signup"), live(1, "engagement"))
        assert not played.errors


def test_the_input_state_is_left_as_it_was() -> None:
    by = rules(WAIT_OR_ANSWER)
    before = play(by, live(0, "signup"), purchase(3), live(4, "complaint", complaint_id="k")).state
    stored = encode_state(before)
    play(by, purchase(20), nps(30, 9), live(31, "complaint_resolved", complaint_id="k"), tick(D), state=before)
    assert encode_state(before) == stored


def test_a_lifecycle_that_is_new_to_a_known_customer_starts_at_the_next_event() -> None:
    before = play(rules(UP), live(0, "signup"))
    by = rules(UP, lifecycle("x y", "id: go, from: x, to: y, on: referral", name="m"))
    played = play(by, tick(D), live(2 * D, "referral"), state=before.state)
    assert played.table == table(f"""{2 * D} m - x - 1 3 2 . e2
                                     {2 * D} m x y go 1 4 2 s e2""")


def test_ticks_never_run_ahead_of_what_they_are_told() -> None:
    decision = play(rules(WAIT), live(0, "signup"), tick(64)).decisions[-1]
    assert isinstance(decision, Applied)
    assert decision.state == play(rules(WAIT), live(0, "signup")).state
