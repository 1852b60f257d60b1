"""Something that nobody has thought of goes wrong for one customer: the others go on, and a replay comes to the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, cast

import pytest
from msgspec.structs import replace

from services.stage_engine.batches.deciding import Decided, States, decide_events
from services.stage_engine.definitions.cel import CelFormula
from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.definitions.expressions import Scope
from services.stage_engine.domain import advance as advancing
from services.stage_engine.domain import recomputing
from services.stage_engine.domain.event import Activation, Event, Lived, Tick
from services.stage_engine.domain.facts import FactType
from services.stage_engine.domain.own_facts import FactFailed
from services.stage_engine.domain.state import CustomerState, Recomputed
from services.stage_engine.looking_back import Life, PastLives
from services.stage_engine.publications import catching_up
from services.stage_engine.publications.catching_up import Course, meet_all, replay
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Entry
from shared.auth.tenants import Tenants
from shared.contracts.times import MINUTE_MS
from tests.unit.stage_engine.timeline import Step, imported, lifecycle, live, occurrence, play, rules

TEXT = lifecycle("a b", "id: w, from: a, to: b, after: 60m")
ANA, RUI = CustomerKey("t", "c"), CustomerKey("t", "rui")

Occurrence = Event | Tick | Activation


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes `advance`, as one module calls it, fail for some occurrences of some states."""

    def patch(module: ModuleType, fails: Callable[[CustomerState, Occurrence], bool]) -> None:
        def advance(by: Any, state: CustomerState, happened: Any) -> Any:
            if fails(state, happened):
                raise ZeroDivisionError("nobody has thought of this")
            return advancing.advance(by, state, happened)

        monkeypatch.setattr(module, "advance", advance)

    return patch


def _entry(offset: int, step: Step, customer: str = "c") -> Entry:
    event = occurrence(step, f"e{offset}")
    assert isinstance(event, Event)
    return Entry(replace(event, customer_id=customer), 0, offset, b"")


def _decided(states: Mapping[CustomerKey, CustomerState], entries: list[Entry], life: list[Entry]) -> Decided:
    lived = [Lived(each.offset, each.event) for each in life]
    started = States(dict(states), lives=PastLives({ANA: lived}))
    return decide_events(entries, {}, started, lambda _tenant: rules(TEXT))


def _behind() -> CustomerState:
    """Somebody of whom history holds more than was decided."""
    return replace(play(rules(TEXT), live(100, "signup")).state, behind=True, imported_until_ms=100 * MINUTE_MS)


@pytest.mark.parametrize(
    "fails",
    [
        pytest.param(lambda _, happened: isinstance(happened, Event) and happened.id == "e1", id="an event"),
        pytest.param(lambda _, happened: isinstance(happened, Tick), id="time"),
    ],
)
def test_a_life_that_cannot_be_lived_again_stays_as_it_is_and_others_go_on(
    failing: Callable[..., None], fails: Callable[[CustomerState, Occurrence], bool]
) -> None:
    failing(recomputing, fails)
    before, past = _behind(), [_entry(1, imported(101, 50, "engagement")), _entry(0, live(100, "signup"))]
    now = [_entry(2, live(110, "engagement")), _entry(3, live(111, "signup"), "rui")]
    decided = _decided({ANA: before}, now, [*past, now[0]])
    assert decided.refusals == []
    assert decided.states.keys() == {ANA, RUI}
    after = decided.states[ANA]
    assert (after.behind, after.recomputed, after.facts["engagements"]) == (False, None, 1)
    told = [error for customer, error in decided.errors if customer == ANA]
    assert [error.expression for error in told] == ["history lived again"]
    assert "ZeroDivisionError: nobody has thought of this" in told[0].detail


def test_an_imported_event_before_which_time_cannot_go_by_is_set_aside(failing: Callable[..., None]) -> None:
    failing(recomputing, lambda _, happened: isinstance(happened, Tick))
    before = play(rules(TEXT), live(100, "signup")).state
    now = [_entry(2, imported(200, 150, "engagement")), _entry(3, live(201, "signup"), "rui")]
    decided = _decided({ANA: before}, now, [])
    assert [(each.entry, "nobody has thought" in each.detail) for each in decided.refusals] == [(now[0], True)]
    assert decided.states.keys() == {RUI}


@pytest.mark.parametrize("what", [Tick, Activation])
def test_who_cannot_meet_a_version_is_passed_over_by_it_living_and_in_a_replay(
    failing: Callable[..., None], what: type[Occurrence]
) -> None:
    known = {("l", number): parse_definition("l.yaml", f"{TEXT}# {number}\n") for number in (1, 2)}
    steps = [Stored(0, each, str(each), "l", each + 1, 5 * each, each, False, {}, {"l": each + 1}) for each in (0, 1)]
    course = Course(RuleBook(known, cast(Tenants, None), "BRL"), steps, 0)
    lived = [Lived(each.offset, each.event) for each in (_entry(0, live(0, "signup")), _entry(9, live(9, "referral")))]
    before = play(rules(TEXT), live(0, "signup")).state
    failing(catching_up, lambda _, happened: isinstance(happened, what))
    met = meet_all(course, Life(ANA, lived), before)
    assert met[-1].state == replace(before, activation=1)
    assert [(error.lifecycle, error.expression) for error in met[-1].errors] == [("l", "version 2")]
    assert "nobody has thought of this" in met[-1].errors[0].detail
    again = replay(course, Life(ANA, lived))
    assert again[-1].state == play(rules(TEXT), live(9, "referral"), state=met[-1].state).state


def test_a_replay_says_which_event_it_can_not_live_again(failing: Callable[..., None]) -> None:
    failing(recomputing, lambda _, happened: isinstance(happened, Event) and happened.id == "e1")
    lived = [Lived(each.offset, each.event) for each in (_entry(0, live(0, "signup")), _entry(1, live(9, "referral")))]
    course = Course(
        RuleBook({("l", 1): parse_definition("l.yaml", TEXT)}, cast(Tenants, None), "BRL"),
        [Stored(0, 0, "start", "", 0, 0, 0, False, {}, {"l": 1})],
        0,
    )
    for recomputed in (None, Recomputed(2, 0, 0, 0, 0)):
        with pytest.raises(recomputing.NotLivable, match=r"'e1' of 'c' was applied once .*: ZeroDivisionError"):
            replay(course, Life(ANA, lived), recomputed)


def test_a_formula_over_a_value_that_is_none_fails_as_formulas_do() -> None:
    formula = CelFormula("facts.at", Scope((("at", FactType.TIME),), frozenset(), "BRL"))
    with pytest.raises(FactFailed, match=r"^facts\.at: cannot convert float NaN"):
        formula.compute({"at": float("nan")})


def test_a_formula_over_one_that_failed_says_what_that_one_said() -> None:
    class Failed(dict[str, Any]):
        def get(self, name: str, default: object = None) -> Any:
            raise FactFailed(f"{name} is no more")

    formula = CelFormula("facts.rate * 2.0", Scope((("rate", FactType.NUMBER),), frozenset(), "BRL"))
    with pytest.raises(FactFailed, match=r"^rate is no more$"):
        formula.compute(Failed())
