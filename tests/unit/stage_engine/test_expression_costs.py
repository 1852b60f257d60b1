"""What an expression may cost when it is evaluated, whoever wrote it: memory and time are bounded by text and event."""

from __future__ import annotations

from typing import Any

import pytest

from services.stage_engine.definitions.cel import LONGEST_TEXT, CelCondition, CelFormula
from services.stage_engine.definitions.expressions import MAX_SUMS, ConditionError, Scope
from services.stage_engine.domain.conditions import Verdict
from services.stage_engine.domain.facts import FactType
from services.stage_engine.domain.own_facts import FactFailed

FACTS = Scope((("word", FactType.TEXT), ("other", FactType.TEXT)), frozenset(), "BRL", "expr")
EVENT = Scope((), frozenset({"gift"}), "BRL")


@pytest.mark.parametrize(
    ("source", "offset", "advice"),
    [
        ("['a'].map(x, x + x).size() > 3", 6, "`map()` is not allowed"),
        ("event.tags . filter (t, t == 'a').size() > 0", 13, "`filter()` is not allowed"),
        ("event.tags.exists(t, event.tags.all(u, t != u))", 32, "only one of all(), exists() and exists_one()"),
        (" + ".join(["event.word"] * (MAX_SUMS + 2)) + " == 'a'", 0, f"at most {MAX_SUMS} are allowed"),
    ],
)
def test_what_may_grow_without_bounds_is_refused_with_its_place(source: str, offset: int, advice: str) -> None:
    with pytest.raises(ConditionError) as refused:
        CelCondition(source, EVENT)
    assert (refused.value.offset, advice in refused.value.message) == (offset, True), refused.value


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("event.tags.exists(t, t == 'vip')", {"tags": ["new", "vip"]}),
        ("event.tags.all(t, t != '.map(')", {"tags": ["new"]}),
        ("event.tags.exists_one(t, t == 'a+b+c')", {"tags": ["a+b+c"]}),
        (" + ".join(["event.word"] * (MAX_SUMS + 1)) + " != ''", {"word": "x" * 256_000}),
    ],
)
def test_one_question_about_a_list_and_some_sums_are_allowed(source: str, data: dict[str, Any]) -> None:
    assert CelCondition(source, EVENT).evaluate({}, data).verdict is Verdict.HOLDS


def test_a_text_that_is_a_fact_can_not_grow() -> None:
    doubled = CelFormula("facts.word + facts.word", FACTS)
    assert doubled.compute({"word": "x" * (LONGEST_TEXT // 2)}) == "x" * LONGEST_TEXT
    with pytest.raises(FactFailed, match=r"gives a text of 202 characters; a fact holds 200"):
        doubled.compute({"word": "x" * (LONGEST_TEXT // 2 + 1)})


def test_what_takes_all_memory_is_an_error_of_its_condition_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy:
        def eval(self, **_: object) -> None:
            raise MemoryError("std::bad_alloc")

    condition, formula = CelCondition("event.word == 'a'", EVENT), CelFormula("facts.word", FACTS)
    for each in (condition._evaluate.__self__, formula._expression):  # type: ignore[attr-defined]
        monkeypatch.setattr(each, "compiled", Greedy())
    assert condition.evaluate({}, {"word": "a"}).verdict is Verdict.ERROR
    with pytest.raises(FactFailed, match="bad_alloc"):
        formula.compute({"word": "a"})
