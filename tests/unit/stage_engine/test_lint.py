"""Warnings: each with its place and what to do, and silence about what is meant. `«` marks where a warning must point."""

from __future__ import annotations

from time import perf_counter

import pytest

from services.stage_engine.definitions.definition import SHIPPED, load_definition, parse_definition
from services.stage_engine.definitions.lint import lint

WAY = "{id: go, from: a, to: b, on: signup}"
BACK = "{id: back, from: b, to: a, on: purchase, demotion: true}"


def file(*edges: str, stages: str = "a b", facts: str = "") -> str:
    """A file: stages by rising order (`!` in front says `end: true`), transitions in flow style, facts in lines."""
    lines = ["lifecycle: l", f"start: {stages.split()[0].strip('«!')}"]
    lines += ["facts:", *(f"  {fact}" for fact in facts.split("; "))] if facts else []
    lines.append("stages:")
    for place, stage in enumerate(stages.split()):
        mark, end = "«" * stage.startswith("«"), ", end: true" if "!" in stage else ""
        lines.append(f"  {stage.strip('«!')}: {mark}{{order: {place}{end}}}")
    return "\n".join([*lines, "transitions:", *(f"  - {edge}" for edge in edges), ""])


def pure(id_: str, from_: str, to: str, when: str) -> str:
    return f'{{id: {id_}, from: {from_}, to: {to}, when: "{when}", demotion: true}}'


def on(id_: str, type_: str, more: str = "", to: str = "b") -> str:
    return f"{{id: {id_}, from: a, to: {to}, on: {type_}{more}}}"


def after(id_: str, wait: str, to: str, more: str = "") -> str:
    return f"{{id: {id_}, from: a, to: {to}, after: {wait}{more}}}"


END = "a b !c"

WARNINGS: dict[str, tuple[str, list[str]]] = {
    # Stages
    "a stage that no way leads to": (file(WAY, BACK, stages="a b «!c"), ["nobody can reach `c`", "from `a`"]),
    "a stage that only unreachable ones lead to": (
        file(WAY, BACK, "{id: x, from: c, to: d, on: signup}", stages="a b «c !d"),
        ["nobody can reach `c`"],
    ),
    "a dead end": (file(WAY, stages="a «b"), ["nothing leads out of `b`", "`end: true`"]),
    "an end that has a way out": (file(WAY, BACK, stages="a «!b"), ["`b` says `end: true`", "a transition leads out"]),
    # Transitions that are never taken
    "the same event again": (
        file(on("x", "purchase"), on("«y", "purchase", to="c"), BACK, stages=END),
        ["`y` is never taken", "`x`", "always holds"],
    ),
    "the same event with a condition": (
        file(on("x", "purchase"), on("«y", "purchase", ', when: "facts.orders > 3"', "c"), BACK, stages=END),
        ["`y`", "`x`"],
    ),
    "one of the events": (
        file(on("x", "[purchase, signup]"), on("«y", "signup", to="c"), BACK, stages=END),
        ["`y`", "`x`"],
    ),
    "a condition that says more": (
        file(
            pure("x", "a", "b", "facts.orders > 3"),
            pure("«y", "a", "c", "facts.nps > 8 && facts.orders > 3"),
            stages="a !b !c",
        ),
        ["`y`", "`x`"],
    ),
    "whatever its spaces and brackets": (
        file(
            on("x", "purchase", ', when: "facts.orders  >  3"'),
            on("«y", "purchase", ', when: "(facts.nps > 8 && (facts.orders > 3))"', "c"),
            BACK,
            stages=END,
        ),
        ["`y`", "`x`"],
    ),
    "a longer wait": (
        file(after("x", "30d", "b"), after("«y", "60d", "c"), "{id: z, from: b, to: c, on: signup}", stages=END),
        ["`y`", "`x`"],
    ),
    "a longer wait since what is meant anyway": (
        file(after("x", "1w", "b"), after("«y", "7d", "c", ", since: entered"), "{id: z, from: b, to: c, on: signup}", stages=END),  # noqa: E501
        ["`y`", "`x`"],
    ),
    "each source has another winner": (
        file(
            on("x", "signup"),
            "{id: w, from: b, to: c, on: signup}",
            "{id: «y, from: [a, b], to: d, on: signup}",
            stages="a b !c !d",
        ),
        ["`y` is never taken", "`w`, `x`", "always hold"],
    ),
    # Circles
    "a circle of two": (
        file(pure("«x", "a", "b", "facts.orders > 1"), pure("y", "b", "a", "facts.orders > 2")),
        ["`x`, `y` can hold at once", "a → b → a", "exclude"],
    ),
    "a circle of three": (
        file(
            pure("«x", "a", "b", "facts.nps > 8"),
            pure("y", "b", "c", "facts.orders > 1"),
            pure("z", "c", "a", "known.nps"),
            stages="a b c",
        ),
        ["`x`, `y`, `z`", "a → b → c → a"],
    ),
    "bounds that touch": (
        file(pure("«x", "a", "b", "facts.orders >= 2"), pure("y", "b", "a", "facts.orders <= 2")),
        ["a → b → a"],
    ),
    "a circle by time alone": (
        file("{id: «x, from: a, to: b, after: 5m}", "{id: y, from: b, to: a, after: 1d, demotion: true}"),
        ["`x`, `y` lead in a circle by time alone: a → b → a", "1,000 times", "`on` or a `when`"],
    ),
    # Facts
    "a fact that nothing reads": (
        file(WAY, BACK, facts="f: «{count: purchase}"),
        ["no transition and no other fact reads `f`"],
    ),
    "a fact of that name in a text": (
        file(on("x", "complaint", ", when: \"event.severity == 'facts.f'\""), BACK, facts="f: «{count: purchase}"),
        ["reads `f`"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WARNINGS)
def test_what_is_hardly_meant_is_told_with_its_place_and_advice(name: str) -> None:
    marked, fragments = WARNINGS[name]
    before, rest = marked.split("«")
    found = lint(parse_definition("my.yaml", before + rest))
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    here = [each.message for each in found if (each.line, each.column) == (line, column)]
    assert len(here) == 1, [str(each) for each in found]
    assert [fragment for fragment in fragments if fragment not in here[0]] == []
    assert len(found) == 1 or "only unreachable" in name, [str(each) for each in found]


def both(one: str, other: str) -> str:
    """Two pure transitions, there and back."""
    return file(pure("x", "a", "b", one), pure("y", "b", "a", other))


SILENT: dict[str, str] = {
    "a plain file": file(WAY, BACK),
    "an end that is meant": file(WAY, stages="a !b"),
    # The later transition may be taken
    "another event": file(on("x", "purchase"), on("y", "signup", to="c"), BACK, stages=END),
    "more events": file(on("x", "purchase"), on("y", "[purchase, signup]", to="c"), BACK, stages=END),
    "the particular one first": file(
        on("x", "purchase", ', when: "facts.orders > 3"'), on("y", "purchase", to="c"), BACK, stages=END
    ),
    "another condition": file(
        on("x", "purchase", ', when: "facts.orders > 3"'),
        on("y", "purchase", ', when: "facts.orders > 2"', "c"),
        BACK,
        stages=END,
    ),
    "one of several": file(
        on("x", "purchase", ', when: "facts.orders > 3 || facts.nps > 8"'),
        on("y", "purchase", ', when: "facts.orders > 3"', "c"),
        BACK,
        stages=END,
    ),
    "texts that differ in spaces": file(
        on("x", "complaint", ", when: \"event.category == 'a  b'\""),
        on("y", "complaint", ", when: \"event.category == 'a b'\"", "c"),
        BACK,
        stages=END,
    ),
    "another source": file(on("x", "purchase"), "{id: y, from: [a, b], to: c, on: purchase}", stages=END),
    "a shorter wait": file(
        after("x", "60d", "b"), after("y", "30d", "c"), "{id: z, from: b, to: c, on: signup}", stages=END
    ),
    "a wait that counts from something else": file(
        after("x", "30d", "b", ", since: facts.last_seen"),
        after("y", "60d", "c"),
        "{id: z, from: b, to: c, on: signup}",
        stages=END,
    ),
    "an event and none": file(
        on("x", "purchase"), after("y", "30d", "c"), "{id: z, from: b, to: c, on: signup}", stages=END
    ),
    "the earlier one may be blocked by where the customer came from": file(
        "{id: there, from: a, to: b, on: signup}",
        pure("back", "b", "a", "facts.orders > 3"),
        pure("on", "b", "c", "facts.orders > 3 && facts.nps > 8"),
        stages=END,
    ),
    # Circles that can't come about
    "bounds apart": both("facts.orders >= 2", "facts.orders < 2"),
    "bounds apart on large numbers": both("facts.revenue > 1000000000.0", "facts.revenue <= 1000000000.0"),
    "bounds apart, written otherwise": both("facts.revenue > 300.0", "facts.revenue <= 300.00"),
    "bounds turned round": both("2 <= facts.orders", "facts.orders == 1"),
    "a value and its opposite": both("facts.orders == 0", "facts.orders != 0"),
    "two texts": file(
        pure("x", "a", "b", "facts.c == 'ad'"), pure("y", "b", "a", "facts.c == 'visit'"), facts="c: {last: channel, of: engagement}"  # noqa: E501
    ),
    "a text and not that text": file(
        pure("x", "a", "b", "facts.c == 'ad'"), pure("y", "b", "a", "facts.c != 'ad'"), facts="c: {last: channel, of: engagement}"
    ),
    "stages of another lifecycle": both("stages.m in ['x', 'y']", "stages.m == 'z'"),
    "two lists of stages": both("stages.m in ['x', 'y']", "stages.m in ['z']"),
    "durations": file(
        pure("x", "a", "b", "facts.g > duration('48h')"), pure("y", "b", "a", "facts.g < duration('90m')"), facts="g: {average_gap: purchase}"  # noqa: E501
    ),
    "two facts compared": both("facts.orders > facts.refunds", "facts.refunds >= facts.orders"),
    "known and not": both("known.nps && facts.orders > 1", "!known.nps"),
    "something and not": both("facts.orders > 1 && facts.nps > 8", "!(facts.nps > 8)"),
    "a deeper part": both("facts.orders > 1 && (facts.nps > 8 && facts.ces > 1)", "facts.nps < 8"),
    "an event between": file(pure("x", "a", "b", "facts.orders > 1"), BACK),
    "a wait between": file(pure("x", "a", "b", "facts.orders > 1"), "{id: y, from: b, to: a, after: 1d, demotion: true}"),
    "waits in a circle that needs an event": file(after("x", "1d", "b"), BACK),
    "waits in a circle that needs a condition": file(
        after("x", "1d", "b", ', when: "facts.orders > 1"'), "{id: y, from: b, to: a, after: 1d, demotion: true}"
    ),
    # Facts that are read
    "a fact of a condition": file(pure("x", "a", "b", "facts.f > 1"), BACK, facts="f: {count: purchase}"),
    "a fact that is asked for": file(pure("x", "a", "b", "known.f"), BACK, facts="f: {last: channel, of: engagement}"),
    "a fact of another fact": file(
        pure("x", "a", "b", "facts.g > 1"), BACK, facts="f: {count: purchase}; g: {expr: facts.f + 1}"
    ),
    "what a wait counts from": file(
        "{id: x, from: a, to: b, after: 1d, since: facts.f}", BACK, facts="f: {last: time, of: purchase}"
    ),
    "what a wait follows": file("{id: x, from: a, to: b, after: {fact: f}}", BACK, facts="f: {average_gap: purchase}"),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_what_may_be_meant_is_left_alone(name: str) -> None:
    assert [str(each) for each in lint(parse_definition("my.yaml", SILENT[name]))] == []


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_lifecycles_have_no_warning(path: object) -> None:
    assert [str(each) for each in lint(load_definition(path))] == []  # type: ignore[arg-type]


def test_warnings_come_in_the_order_of_the_file() -> None:
    text = file(on("x", "purchase"), on("y", "purchase"), stages="a b c", facts="f: {count: purchase}")
    places = [(each.line, each.column) for each in lint(parse_definition("my.yaml", text))]
    assert len(places) == 5
    assert places == sorted(places)


def test_a_tangle_is_looked_through_in_bounded_time() -> None:
    stages = [f"s{number}" for number in range(60)]
    edges = [
        pure(f"e{one}_{other}", one, other, f"facts.orders > {number}")
        for number, one in enumerate(stages)
        for other in stages[max(0, number - 8) : number + 8]
        if one != other
    ]
    definition = parse_definition("my.yaml", file(*edges, stages=" ".join(stages)))
    started = perf_counter()
    found = lint(definition)
    assert perf_counter() - started < 10
    assert 1 <= sum("lead in a circle" in each.message for each in found) <= 20
