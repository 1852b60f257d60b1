"""Warnings: each with its place and what to do, and silence about what is meant. `«` marks where a warning must point."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.definitions.lint import lint
from services.stage_engine.domain.advance import MOST_BY_TIME, NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event, Origin, Tick
from services.stage_engine.domain.lifecycle import Rules
from shared.contracts.times import DAY_MS

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

GOES_ROUND: dict[str, str] = {
    "two waits": file("{id: «x, from: a, to: b, after: 5m}", "{id: y, from: b, to: a, after: 1d, demotion: true}"),
    "two waits and a condition": file(
        after("«x", "1d", "b", ', when: "facts.orders >= 1"'), "{id: y, from: b, to: a, after: 1d, demotion: true}"
    ),
    "two waits and conditions that go together": file(
        after("«x", "1d", "b", ', when: "facts.orders >= 1"'),
        '{id: y, from: b, to: a, after: 1d, when: "facts.orders >= 1", demotion: true}',
    ),
}
"""Files in which time alone moves whoever has an order and is silent. `test_what_is_said_of_time_alone_is_so` lives them."""

RESTS: dict[str, str] = {
    "one wait": file(pure("x", "a", "b", "facts.orders >= 1"), "{id: y, from: b, to: a, after: 1d, demotion: true}"),
    "waits that count from a fact": file(
        after("x", "1d", "b", ", since: facts.last_purchase_at"),
        "{id: y, from: b, to: a, after: 2d, since: facts.last_purchase_at, demotion: true}",
    ),
    "one wait that begins anew": file(
        after("x", "1d", "b", ", since: facts.last_purchase_at"), "{id: y, from: b, to: a, after: 2d, demotion: true}"
    ),
    "conditions that exclude each other": file(
        after("x", "1d", "b", ', when: "facts.orders >= 1 || facts.nps > 8"'),
        '{id: y, from: b, to: a, after: 1d, when: "facts.orders < 1 && facts.nps <= 8", demotion: true}',
    ),
    "an event between": file(after("x", "1d", "b"), BACK),
}
"""Files with a circle in which whoever is silent comes to rest."""

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
    "a lower number first": (
        file(pure("x", "a", "b", "facts.orders >= 2"), pure("«y", "a", "c", "facts.orders >= 4"), stages="a !b !c"),
        ["`y` is never taken: `x`"],
    ),
    "more than three is at least four": (
        file(pure("x", "a", "b", "facts.orders >= 4"), pure("«y", "a", "c", "3 < facts.orders"), stages="a !b !c"),
        ["`y` is never taken: `x`"],
    ),
    "one of several first": (
        file(
            on("x", "purchase", ', when: "facts.orders > 3 || facts.nps > 8"'),
            on("«y", "purchase", ', when: "facts.orders > 3"', "c"),
            BACK,
            stages=END,
        ),
        ["`y` is never taken: `x`"],
    ),
    "fewer of several": (
        file(
            pure("x", "a", "b", "facts.orders > 3 || facts.nps > 8 || facts.ces > 5"),
            pure("«y", "a", "c", "facts.nps == 10 || facts.orders > 4 && known.ces"),
            stages="a !b !c",
        ),
        ["`y` is never taken: `x`"],
    ),
    "a value that is asked for and then compared": (
        file(on("x", "purchase", ', when: "known.nps"'), on("«y", "purchase", ', when: "facts.nps >= 9"', "c"), BACK, stages=END),
        ["`y` is never taken: `x`"],
    ),
    "a lower score of the event first": (
        file(
            on("x", "survey_response", ', when: "event.kind == \'nps\' && event.score >= 6"'),
            on("«y", "survey_response", ', when: "event.kind == \'nps\' && event.score >= 9"', "c"),
            BACK,
            stages=END,
        ),
        ["`y` is never taken: `x`"],
    ),
    "a list of texts first": (
        file(
            pure("x", "a", "b", "stages.m in ['p', 'q']"), pure("«y", "a", "c", "stages.m == 'q'"), stages="a !b !c"
        ),
        ["`y` is never taken: `x`"],
    ),
    "nothing is asked in so many words": (
        file(on("x", "purchase", ', when: "true"'), on("«y", "purchase", to="c"), BACK, stages=END),
        ["`y` is never taken: `x`"],
    ),
    "what excludes itself": (
        file(on("x", "purchase", ', when: «"facts.orders > 3 && facts.orders < 2"'), BACK),
        ["`x` can never hold"],
    ),
    "no number between": (
        file(on("x", "purchase", ', when: «"facts.orders > 3 && facts.orders < 4"'), BACK),
        ["`x` can never hold"],
    ),
    "each of several excludes itself": (
        file(
            on("x", "purchase", ', when: «"facts.orders == 3 && (facts.orders < 2 || !(facts.orders >= 3))"'),
            BACK,
        ),
        ["`x` can never hold"],
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
    **{
        f"a circle by time alone: {name}": (text, ["`x`, `y` can lead in a circle by time alone: a → b → a", "1,000 times"])
        for name, text in GOES_ROUND.items()
    },
    # Event types
    "a misspelt event type": (
        file("{id: x, from: a, to: b, on: «purchse}", BACK),
        ["`purchse` is no built-in event type", "did you mean `purchase`?", "less alike"],
    ),
    "a misspelt event type among others, told once": (
        file("{id: x, from: a, to: b, on: [signup, «complant]}", "{id: y, from: b, to: a, on: complant, demotion: true}"),
        ["did you mean `complaint`?"],
    ),
    "a misspelt event type of a fact": (
        file(pure("x", "a", "b", "facts.f > 1"), BACK, facts="f: {count: [purchase, «engagemnet]}"),
        ["did you mean `engagement`?"],
    ),
    "a misspelt event type whose field is taken": (
        file(pure("x", "a", "b", "facts.f > 1"), BACK, facts="f: {sum: points, of: «survey_responce, type: int}"),
        ["did you mean `survey_response`?"],
    ),
    # Facts
    "a fact that nothing reads": (
        file(WAY, BACK, facts="f: «{count: purchase}"),
        ["no transition and no other fact reads `f`"],
    ),
    "a fact that is named like what a wait counts from": (
        file("{id: x, from: a, to: b, after: 1d, since: entered}", BACK, facts="entered: «{last: time, of: purchase}"),
        ["reads `entered`"],
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
        on("x", "purchase", ', when: "facts.orders > 3"'),
        on("y", "purchase", ', when: "facts.orders > 3 || facts.nps > 8"', "c"),
        BACK,
        stages=END,
    ),
    "the higher number first": file(
        pure("x", "a", "b", "facts.orders >= 4"), pure("y", "a", "c", "facts.orders >= 2"), stages="a !b !c"
    ),
    "a fact that may have no value": file(
        on("x", "purchase", ', when: "!(facts.nps < 9)"'), on("y", "purchase", ', when: "!known.nps"', "c"), BACK, stages=END
    ),
    "a lower number that is asked for with more": file(
        on("x", "purchase", ', when: "facts.orders >= 2 && facts.nps >= 0"'),
        on("y", "purchase", ', when: "facts.orders >= 4"', "c"),
        BACK,
        stages=END,
    ),
    "a branch that may fail": file(
        on("x", "purchase", ', when: "facts.orders >= 2 || facts.f > 1"'),
        on("y", "purchase", ', when: "facts.orders >= 2"', "c"),
        BACK,
        stages=END,
        facts='f: {expr: "12 / facts.refunds"}',
    ),
    "a field that need not be whole": file(
        on("x", "gift", ', when: "event.points >= 4"'), on("y", "gift", ', when: "event.points > 3"', "c"), BACK, stages=END
    ),
    "a text that can be written otherwise": file(
        on("x", "complaint", r""", when: "event.category != 'a'" """),
        on("y", "complaint", r""", when: 'event.category == "\x61"' """, "c"),
        BACK,
        stages=END,
    ),
    "one of some numbers": file(on("x", "purchase", ', when: "facts.orders in [1, 5]"'), BACK),
    "what may be one of some texts": file(
        on("x", "complaint", ", when: \"event.category in [event.severity, 'a'] && event.category == 'b'\""), BACK
    ),
    "more than three of what need not be whole": file(
        on("x", "purchase", ', when: "facts.revenue > 3.0 && facts.revenue < 4.0"'), BACK
    ),
    "durations of mixed units": file(
        on("x", "purchase", ", when: \"facts.g > duration('100ms') && facts.g < duration('1m')\""),
        BACK,
        facts="g: {average_gap: purchase}",
    ),
    "the earlier one may be passed over when another fact changes": file(
        pure("x", "a", "b", "facts.orders > 3"),
        pure("y", "a", "b", "facts.orders > 3 && (facts.orders > 2 || facts.nps > 8)"),
        pure("back", "b", "a", "facts.orders < 2"),
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
    "several and their opposite": both("facts.orders > 5 || facts.nps > 8", "facts.orders <= 5 && facts.nps <= 8"),
    "several and not": both("facts.orders > 5 || known.nps", "!(facts.orders > 5 || known.nps)"),
    **{f"a circle that comes to rest: {name}": text for name, text in RESTS.items()},
    # Event types of one's own
    "types that are alike": file(
        on("x", "[complaint_reopened, complaint_answered, purchase_returned]"), "{id: y, from: b, to: a, on: [purchase2, referral_code], demotion: true}"  # noqa: E501
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


BOUGHT = {"order_id": "1", "amount": "10.00", "currency": "BRL"}
PURCHASE = Event.taken(Origin("t", "c", "1", "purchase"), DAY_MS, DAY_MS, backfill=False, data=BOUGHT)


@pytest.mark.parametrize("name", GOES_ROUND | RESTS)
def test_what_is_said_of_time_alone_is_so(name: str) -> None:
    definition = parse_definition("my.yaml", (GOES_ROUND | RESTS)[name].replace("«", ""))
    rules = Rules((definition.compile(1, "BRL"),), "BRL")
    begun = advance(rules, NEW_CUSTOMER, PURCHASE)
    assert isinstance(begun, Applied)
    silent = advance(rules, begun.state, Tick(5_000 * DAY_MS))
    assert (len(silent.changes) >= MOST_BY_TIME) == (name in GOES_ROUND)


def stage_lines(count: int) -> str:
    return " ".join(f"s{number}" for number in range(count))


def many(count: int, edge: str, stages: int = 25) -> str:
    """A file of transitions that differ in their number, `N`."""
    return file(
        *(f"{{id: tN, {edge}}}".replace("N", str(number)) for number in range(count)), stages=stage_lines(stages)
    )


FIFTEEN = f"from: [{', '.join(stage_lines(15).split())}], to: s24"
DEEP = "!(facts.orders > N && " * 11 + "true" + ")" * 11
LARGE: dict[str, Callable[[], str]] = {
    "types of their own": lambda: many(600, f"{FIFTEEN}, on: eN"),
    "conditions of their own": lambda: many(600, f"{FIFTEEN}, when: 'facts.orders == N'"),
    "lists of types": lambda: many(
        640, f"from: [s1, s2], to: s24, on: [{', '.join(f'e{n}' for n in range(10))}], when: 'facts.orders == N'"
    ),
    "long conditions": lambda: many(
        300, f"from: s1, to: s24, when: '{' && '.join(f'facts.orders != N{n}' for n in range(28))}'"
    ),
    "long choices": lambda: many(
        50, f"from: s1, to: s24, when: '{' || '.join(f'facts.orders == N{n}' for n in range(150))}'"
    ),
    "choices in choices": lambda: many(
        400,
        f"from: s1, to: s24, when: '{' && '.join(f'(facts.orders != N{n} || facts.nps != {n})' for n in range(6))}'",
    ),
    "brackets in brackets": lambda: many(400, f"from: s1, to: s24, when: '{DEEP}'"),
    "stages that all lead to all": lambda: file(
        *(
            f"{{id: t{n}, from: [{', '.join(f's{(n + k) % 130}' for k in range(1, 100))}], to: s{n}, when: 'facts.orders > 3', demotion: true}}"  # noqa: E501
            for n in range(130)
        ),
        stages=stage_lines(130),
    ),
    "circles that exclude themselves": lambda: file(
        *(
            pure(f"t{one}_{other}", f"s{one}", f"s{other}", f"facts.orders == {one * 30 + other}")
            for one in range(30)
            for other in range(30)
            if one != other
        ),
        stages=stage_lines(30),
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_files_are_looked_at_in_bounded_time(name: str) -> None:
    definition = parse_definition("my.yaml", LARGE[name]())
    began = process_time()
    lint(definition)
    # By itself each takes half a second or less, most of it to find places in the file.
    assert process_time() - began < 2.0


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
    began = process_time()
    found = lint(definition)
    assert process_time() - began < 2.0
    assert 1 <= sum("lead in a circle" in each.message for each in found) <= 20
