"""Customers whose early history is trimmed: what both sets of rules can start from, and since when they are counted."""

from __future__ import annotations

from services.stage_engine.backtesting.beginnings import Base
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event
from services.stage_engine.planning.candidate import Candidate
from tests.unit.stage_engine.backtests import CLUB, EASIER, found, over, past, purchase, trying

BEFORE = [purchase("2026-03-01 10:00"), purchase("2026-03-02 12:00")]
"""What was trimmed; who does nothing more is a guest again from March 4th 00:00 on."""
AFTER = purchase("2026-03-03 09:00")
COUNTING = CLUB.replace("stages:", "facts: {bought: {count: purchase}}\nstages:").replace("orders >= 3", "bought >= 2")
RENAMED = CLUB.replace("member", "friend")


def base(candidate: Candidate, events: list[Event]) -> Base:
    """What trimming leaves of events that were lived under the active rules."""
    state = NEW_CUSTOMER
    for event in events:
        decision = advance(candidate.rulebook.rules_of(candidate.active)("t"), state, event)
        assert isinstance(decision, Applied)
        state = decision.state
    return Base(state, state.decided_until_ms, candidate.active)


def test_they_go_on_from_the_base_with_the_facts_of_the_whole_history() -> None:
    candidate = trying(CLUB, CLUB)
    findings = found(candidate, over("2026-03-02", "2026-03-03"), past(AFTER, base=base(candidate, BEFORE)))
    populations = findings.as_json()["populations"]
    assert [each["active"] for each in populations] == [{}, {"member": 1}, {"gold": 1}]
    assert [each["candidate"] for each in populations] == [{}, {"member": 1}, {"gold": 1}]
    assert dict(findings.candidate.moves) == {("member", "gold"): 1}
    assert findings.as_json()["trimmed"] == {"customers": 1, "until": "2026-03-02T15:00:00.000Z"}


def test_the_new_rules_are_looked_at_where_the_base_ends() -> None:
    candidate = trying(EASIER, CLUB)
    findings = found(candidate, over("2026-03-02", "2026-03-03"), past(base=base(candidate, BEFORE)))
    assert [each["candidate"] for each in findings.as_json()["populations"]] == [{}, {"gold": 1}, {"gold": 1}]
    assert dict(findings.candidate.moves) == {}


def test_facts_that_the_base_does_not_know_count_from_there_on() -> None:
    candidate = trying(COUNTING, CLUB)
    pasts = [past(AFTER, base=base(candidate, BEFORE)), past(AFTER, purchase("2026-03-03 10:00"), customer="rui")]
    findings = found(candidate, over("2026-03-02", "2026-03-03"), *pasts)
    assert findings.as_json()["populations"][-1]["candidate"] == {"member": 1, "gold": 1}


def test_facts_whose_definition_is_another_count_from_there_on_too() -> None:
    three = COUNTING.replace("bought >= 2", "bought >= 3")
    candidate = trying(three.replace("count: purchase", "count: [purchase, referral]"), three)
    findings = found(candidate, over("2026-03-03", "2026-03-03"), past(AFTER, base=base(candidate, BEFORE)))
    last = findings.as_json()["populations"][-1]
    assert (last["active"], last["candidate"]) == ({"gold": 1}, {"member": 1})


def test_facts_whose_definition_is_the_same_are_kept() -> None:
    candidate = trying(COUNTING.replace("36h", "37h"), COUNTING)
    findings = found(candidate, over("2026-03-02", "2026-03-03"), past(base=base(candidate, BEFORE[:1])))
    assert findings.as_json()["populations"][-1]["candidate"] == {"guest": 1}
    findings = found(candidate, over("2026-03-02", "2026-03-02"), past(BEFORE[1], base=base(candidate, BEFORE[:1])))
    assert findings.as_json()["populations"][-1]["candidate"] == {"gold": 1}


def test_a_stage_that_is_no_more_begins_where_migrate_says() -> None:
    candidate = trying(RENAMED, CLUB, migrate={"member": "friend"})
    findings = found(candidate, over("2026-03-02", "2026-03-02"), past(base=base(candidate, BEFORE)))
    last = findings.as_json()["populations"][-1]
    assert (last["active"], last["candidate"]) == ({"member": 1}, {"friend": 1})


def test_where_one_side_cannot_go_on_both_begin_anew() -> None:
    candidate = trying(RENAMED, CLUB)
    findings = found(candidate, over("2026-03-02", "2026-03-03"), past(AFTER, base=base(candidate, BEFORE)))
    populations = findings.as_json()["populations"]
    assert [each["active"] for each in populations] == [{}, {}, {"gold": 1}]
    assert [each["candidate"] for each in populations] == [{}, {"guest": 1}, {"gold": 1}]


def test_where_the_active_side_cannot_go_on_both_begin_anew_too() -> None:
    earlier, candidate = trying(CLUB, CLUB), trying(EASIER, RENAMED, migrate={"friend": "member"})
    candidate.rulebook.take(earlier.definition, 7)
    began = base(earlier, BEFORE)._replace(versions={"club": 7})
    findings = found(candidate, over("2026-03-02", "2026-03-02"), past(base=began))
    last = findings.as_json()["populations"][-1]
    assert (last["active"], last["candidate"]) == ({"guest": 1}, {"guest": 1})


def test_who_has_nothing_but_a_base_from_after_the_end_is_not_counted() -> None:
    candidate = trying(EASIER, CLUB)
    findings = found(candidate, over("2026-02-01", "2026-03-01"), past(AFTER, base=base(candidate, BEFORE)))
    assert (findings.customers, findings.trimmed.customers) == (0, 1)
