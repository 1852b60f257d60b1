"""Laws of backtests, on random lifecycles and random histories."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from services.stage_engine.backtesting.backtest import Past, compare
from services.stage_engine.backtesting.findings import Findings, begin
from services.stage_engine.backtesting.periods import Asked, Every, span
from services.stage_engine.domain.event import Lived
from services.stage_engine.planning.candidate import Candidate
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store.customers import CustomerKey
from shared.auth.tenants import Tenants
from shared.contracts.times import DAY_MS, to_text
from tests.properties.declared import CURRENCY
from tests.properties.histories import ANCHORS, histories, taken
from tests.properties.lifecycles import definition_of, lifecycle_sets
from tests.properties.oracle import Oracle, Plan
from tests.properties.records import Record

Lives = tuple[list[Plan], list[list[Record]]]


class _NoTenants(Tenants):
    """Nobody's currency is asked for."""

    def __init__(self) -> None:
        pass


LIVES: st.SearchStrategy[Lives] = ANCHORS.flatmap(
    lambda anchor: st.tuples(lifecycle_sets(anchor[0]), st.lists(histories(anchor[1]), min_size=1, max_size=3))
)


def _against_itself(plans: Sequence[Plan]) -> Candidate:
    """The first lifecycle, to be published as version 2 with the same text."""
    definitions = [definition_of(plan) for plan in plans]
    rulebook = RuleBook({(each.name, 1): each for each in definitions}, _NoTenants(), CURRENCY)
    rulebook.take(definitions[0], 2)
    versions = {each.name: 1 for each in definitions}
    return Candidate(definitions[0], 2, versions, {**versions, definitions[0].name: 2}, {}, rulebook)


def _found(candidate: Candidate, lives: Sequence[Sequence[Record]], days: int) -> Findings:
    zone = ZoneInfo(candidate.definition.shape.time_zone)
    first = min(record.arrival for life in lives for record in life)
    last = max(record.arrival for life in lives for record in life)
    ends = (to_text(first + DAY_MS // 3), to_text(last + days * DAY_MS))
    findings = begin(candidate, span(Asked(*ends, Every.DAY), zone, last + 400 * DAY_MS))
    for number, life in enumerate(lives):
        events = [Lived(place, taken(record)) for place, record in enumerate(life)]
        in_order = sorted(events, key=lambda each: (each.event.arrival_ms, each.offset))
        compare(candidate, findings, Past(CustomerKey("t", f"c{number}"), in_order))
    return findings


@given(LIVES, st.sampled_from((1, 6)))
def test_rules_beside_themselves_differ_in_nothing(of: Lives, days: int) -> None:
    found = _found(_against_itself(of[0]), of[1], days)
    told = found.as_json()
    assert told["differences"]["ever_elsewhere"] == told["differences"]["end_elsewhere"] == 0
    assert found.passed_over == 0
    for each in told["populations"]:
        assert (each["active"], each["difference"]) == (each["candidate"], {})
    for each in (*told["moves"], *told["stages"]):
        assert each["active"] == each["candidate"]


@given(LIVES, st.sampled_from((1, 6)))
def test_populations_are_those_of_the_rules_read_literally(of: Lives, days: int) -> None:
    found = _found(_against_itself(of[0]), of[1], days)
    expected: list[dict[str, int]] = [{} for _ in found.span.moments]
    for records in of[1]:
        literal = Oracle(of[0])
        changes = [
            change for record in records if record.arrival < found.span.to_ms for change in literal.take(record) or []
        ]
        changes += literal.let_pass(found.span.to_ms - 1)
        own = [change for change in changes if change.lifecycle == found.name]
        for place, moment in enumerate(found.span.moments):
            if reached := bisect_left([change.at for change in own], moment):
                stage = own[reached - 1].to
                expected[place][stage] = expected[place].get(stage, 0) + 1
    assert [found.candidate.population(place) for place in range(len(expected))] == expected


@given(LIVES)
def test_populations_change_by_nothing_but_moves(of: Lives) -> None:
    found = _found(_against_itself(of[0]), of[1], 6)
    first, last = found.candidate.population(0), found.candidate.population(-1)
    for stage in found.stages:
        flow = found.candidate.flow(stage)
        assert last.get(stage, 0) - first.get(stage, 0) == flow.entered - flow.left
        assert 0 <= flow.went_on <= flow.entered
