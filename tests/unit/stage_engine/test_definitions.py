"""Broken definition files: each is refused with its place and with what to do. `«` marks where the error must point."""

from __future__ import annotations

import pytest

from services.stage_engine.definitions.definition import SHIPPED, Definition, load_definition, parse_definition
from services.stage_engine.definitions.yaml_source import DefinitionError
from services.stage_engine.domain.lifecycle import Wait
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS

HEAD = """lifecycle: l
start: a
stages:
  a: {order: 10}
  b: {order: 20}
  c: {order: 30}
transitions:
"""
PLAIN = "  - {id: ok, from: a, to: b, on: signup}\n"


def head(old: str, new: str) -> str:
    """The head of a good file with one thing changed, and a transition."""
    assert old in HEAD
    return HEAD.replace(old, new) + PLAIN


def edge(fields: str) -> str:
    """A good file but for one transition, in flow style."""
    return f"{HEAD}  - {fields}\n"


def when(condition: str, on: str = "") -> str:
    """A good file but for one condition."""
    return edge(f'{{id: x, from: a, to: b, {on}when: "{condition}"}}')


BROKEN: dict[str, tuple[str, list[str]]] = {
    # Stages and ways between them
    "demotion undeclared": (edge("«{id: x, from: b, to: a, on: signup}"), ["`x`", "b", "demotion: true"]),
    "demotion denied": (edge("«{id: x, from: b, to: a, on: signup, demotion: false}"), ["demotion: true"]),
    "demotion from one of several": (edge("«{id: x, from: [a, c], to: b, on: signup}"), ["from c", "demotion: true"]),
    "self edge": (edge("«{id: x, from: a, to: a, on: signup}"), ["`x`", "itself"]),
    "self edge among several": (edge("«{id: x, from: [a, b], to: b, on: signup}"), ["`b`", "itself"]),
    "unknown target": (edge("{id: x, from: a, to: «bb, on: signup}"), ["`bb`", "not declared", "did you mean `b`?"]),
    "unknown source": (edge("{id: x, from: [a, «zz], to: b, on: signup}"), ["`zz`", "known are a, b, c"]),
    "unknown source that stands alone": (edge("{id: x, from: «zz, to: b, on: signup}"), ["`zz`", "known are a, b, c"]),
    "unknown start": (head("start: a", "start: «q"), ["`q`", "known are a, b, c"]),
    "misspelt start": (head("start: a", "start: «aa"), ["`aa`", "did you mean `a`?"]),
    "two transitions of one id": (
        HEAD + PLAIN + "  - {id: «ok, from: b, to: c, on: signup}\n",
        ["`ok`", "taken", "give this one another"],
    ),
    "always holds": (edge("«{id: x, from: a, to: b}"), ["`x`", "`on`", "`when`", "`after`"]),
    "on without a type": (edge("{id: x, from: a, to: b, on: «[]}"), ["at least one entry", "on: [purchase, referral]"]),
    # YAML
    "duplicate key": (head("start: a", "start: a\n«start: b"), ["duplicate key", "start", "leave one of them out"]),
    "duplicate stage": (head("  c: {order: 30}", "  «a: {order: 30}"), ["duplicate key", "a"]),
    "alias": (head("{order: 10}", "&x {order: 10}").replace("{order: 20}", "«*x"), ["alias", "write it out"]),
    "tab": (head("  a:", "«\ta:"), ["\\t", "indent with blanks"]),
    "condition with a bracket unquoted": (
        edge("{id: x, from: a, to: b, when: facts.orders in «[1, 2]}"),
        ["must be quoted"],
    ),
    "empty file": ("«", ["mapping"]),
    "list": ("«- a\n", ["mapping"]),
    "second document": (HEAD + PLAIN + "«---\n" + HEAD, ["another document", "leave the --- out"]),
    "huge file": ("«" + HEAD + PLAIN + "#" * 300_000, ["256 KiB", "make it shorter"]),
    "deep nesting": (edge("{id: x, from: a, to: b, on: " + "[" * 49 + "«" + "[" * 400 + "]" * 449 + "}"), ["nested"]),
    # Shape
    "unknown key": (edge('{id: x, from: a, to: b, on: signup, wenn: «"true"}'), ["`wenn`", "when"]),
    "look-alike in a stage": (
        head("stages:\n", "stages:\n  \u0430: «{order: 7}\n"),
        ["U+0430 CYRILLIC SMALL LETTER A", "a-z"],
    ),
    "missing id": (edge("«{from: a, to: b, on: signup}"), ["`id` is missing", "add it, such as id: first_purchase"]),
    "missing start": ("«" + head("start: a\n", ""), ["`start` is missing", "add it, such as start: lead"]),
    "unknown zone": (head("start: a", "start: a\ntime_zone: «Sao_Paulo"), ["Sao_Paulo", "America/Sao_Paulo"]),
    # Durations and since
    "unknown duration": (edge("{id: x, from: a, to: b, after: «60 days}"), ["60 days", "60d"]),
    "half a duration": (edge("{id: x, from: a, to: b, after: «1.5d}"), ["1.5", "60d"]),
    "duration of nothing": (edge("{id: x, from: a, to: b, after: «0d}"), ["out of range"]),
    "duration without a unit": (edge("{id: x, from: a, to: b, after: «60}"), ["60d"]),
    "negative duration": (edge("{id: x, from: a, to: b, after: «-60}"), ["60d"]),
    "lateness without a unit": (head("start: a", "start: a\nlateness: «5"), ["60d"]),
    "since without after": (edge("{id: x, from: a, to: b, on: signup, since: «entered}"), ["`since`", "`after`"]),
    "since a number": (edge("{id: x, from: a, to: b, after: 3d, since: «facts.orders}"), ["facts.orders", "time"]),
    "since unknown": (
        edge("{id: x, from: a, to: b, after: 3d, since: «facts.last_buy_at}"),
        ["facts.last_purchase_at"],
    ),
    # Conditions
    "unknown fact": (when("facts.orders > 1 && «facts.ordres > 2"), ["facts.ordres", "`orders`"]),
    "unknown fact asked for": (when("facts.orders > 1 && «known.np"), ["known.np", "`nps`"]),
    "decimal compared with a whole number": (when("facts.revenue «> 300"), ["300.0 instead of 300"]),
    "wrong type": (when("facts.orders «== 'x'"), ["a whole number", "a text"]),
    "no boolean": (when("«facts.orders + 1"), ["gives a whole number", "true or false", "compare it"]),
    "syntax": (when("facts.orders >«"), ["ends too early", "something must follow `>`"]),
    "has": (when("facts.orders > 1 && «has(facts.nps)"), ["has()", "known.nps"]),
    "now": (when("facts.orders > 1 && «now > facts.first_seen"), ["now", "after", "since"]),
    "event in a pure edge": (when("facts.orders > 1 && «event.amount > 3.0"), ["event", "on"]),
    "unknown event field": (when("facts.orders > 1 && «event.amout > 3.0", "on: purchase, "), ["amout", "`amount`"]),
    "field of one type only": (when("«event.amount > 3.0", "on: [purchase, signup], "), ["signup", "amount"]),
    "facts by index": (when("«facts['orders'] > 3"), ["`facts` has one name behind a dot", "facts.orders"]),
    "endless condition": (when("«" + "facts.orders > 1 || " * 300 + "true"), ["4096"]),
    "error after an escaped quote": (
        when('event.severity == \\"high\\" && «facts.ordres > 1', "on: complaint, "),
        ["facts.ordres"],
    ),
    "error after a doubled single quote": (
        edge("{id: x, from: a, to: b, on: complaint, when: 'event.severity == ''high'' && «facts.ordres > 1'}"),
        ["facts.ordres"],
    ),
    "unquoted condition": (HEAD + "  - id: x\n    from: a\n    to: b\n    when: «facts.ordres > 1\n", ["facts.ordres"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_definition_is_refused_with_its_place_and_advice(name: str) -> None:
    marked, fragments = BROKEN[name]
    before, after = marked.split("«")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    with pytest.raises(DefinitionError) as caught:
        parse_definition("my.yaml", before + after)
    message = str(caught.value)
    assert message.startswith(f"my.yaml:{line}:{column}: ")
    assert [fragment for fragment in fragments if fragment not in message] == []


@pytest.mark.parametrize("style", ["|", ">-"])
def test_an_error_in_a_condition_of_several_lines_points_into_the_file(style: str) -> None:
    text = f"{HEAD}  - id: x\n    from: a\n    to: b\n    when: {style}\n      facts.orders > 1\n      && facts.ordres > 1\n"
    with pytest.raises(DefinitionError) as caught:
        parse_definition("my.yaml", text)
    problem = caught.value.problems[0]
    assert problem.column <= len(text.splitlines()[problem.line - 1])
    assert "facts.ordres" in problem.message


def test_an_on_without_a_value_does_not_make_a_pure_edge() -> None:
    with pytest.raises(DefinitionError):
        parse_definition("my.yaml", edge('{id: x, from: a, to: b, on: , when: "facts.orders >= 1"}'))


def test_every_problem_is_listed_one_a_line() -> None:
    text = HEAD + "  - {id: x, from: a, to: zz, on: signup}\n  - {id: y, from: a, to: b, when: facts.ordres > 1}\n"
    with pytest.raises(DefinitionError) as caught:
        parse_definition("my.yaml", text)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["8", "9"]


def test_on_is_a_key_of_that_name_and_no_boolean() -> None:
    (transition,) = parse_definition("my.yaml", HEAD + PLAIN).compile(1, "BRL").transitions
    assert transition.on == {"signup"}


@pytest.mark.parametrize(
    ("written", "ms"),
    [("30s", 30_000), ("5m", 5 * MINUTE_MS), ("48h", 48 * HOUR_MS), ("60d", 60 * DAY_MS), ("2w", 14 * DAY_MS)],
)
def test_durations(written: str, ms: int) -> None:
    text = edge(f"{{id: x, from: a, to: b, after: {written}}}")
    assert parse_definition("my.yaml", text).compile(1, "BRL").transitions[0].after == Wait(ms)


def test_defaults_are_five_minutes_of_lateness_and_since_entered() -> None:
    lifecycle = parse_definition("my.yaml", edge("{id: x, from: a, to: b, after: 1d}")).compile(7, "BRL")
    assert (lifecycle.lateness_ms, lifecycle.transitions[0].since, lifecycle.version) == (5 * MINUTE_MS, None, 7)


def test_words_in_strings_are_no_names() -> None:
    parse_definition("my.yaml", when("event.text == 'now has( facts.foo event.bar'", "on: complaint, "))


def test_a_custom_type_may_have_any_field() -> None:
    parse_definition("my.yaml", when("event.points >= 3", "on: loyalty.scanned, "))


def test_a_condition_reads_the_facts_that_it_names_also_those_it_only_asks_for() -> None:
    text = edge('{id: x, from: a, to: b, after: 1d, since: facts.last_seen, when: "known.nps && facts.orders > 1"}')
    (transition,) = parse_definition("my.yaml", text).compile(1, "BRL").transitions
    assert transition.reads == {"nps", "orders", "last_seen"}


def test_definitions_of_the_same_text_have_the_same_digest() -> None:
    one, other = parse_definition("one.yaml", HEAD + PLAIN), parse_definition("other.yaml", HEAD + PLAIN)
    assert one.digest == other.digest != parse_definition("one.yaml", HEAD + PLAIN + "# more\n").digest


def shipped() -> list[Definition]:
    return [load_definition(path) for path in sorted(SHIPPED.glob("*.yaml"))]


def test_the_shipped_lifecycles_load_for_every_kind_of_currency() -> None:
    for currency in ("BRL", "JPY", "BHD"):
        assert {"customer_care", "ecommerce"} <= {one.compile(1, currency).name for one in shipped()}
