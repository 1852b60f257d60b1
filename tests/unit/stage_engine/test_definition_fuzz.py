"""Definition files that are broken at random, or on purpose: each is refused as a file with problems, or it can be used.
Nothing else comes out, and nothing takes long."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.stage_engine.definitions.definition import SHIPPED, Definition, parse_definition
from services.stage_engine.definitions.diagram import mermaid, terminal
from services.stage_engine.definitions.lint import lint
from services.stage_engine.definitions.together import check_together
from services.stage_engine.definitions.yaml_source import DefinitionError
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event, Origin, Tick
from services.stage_engine.domain.lifecycle import Lifecycle, Rules
from shared.contracts.times import DAY_MS

WHOLE_LANGUAGE = """lifecycle: whole
labels: {pt-BR: Tudo, es: Todo, en: All}
start: a
time_zone: America/Sao_Paulo
lateness: 5m
facts:
  recent: {count: [purchase, referral], within: 90d}
  severe: {count: complaint, where: "event.severity == 'high'", within: 4w}
  spent: {sum: amount, of: purchase}
  points: {max: points, of: gift, type: int}
  seen: {last: time, of: engagement}
  gap: {average_gap: purchase, label: {en: Gap}}
  value:
    expr: "facts.spent / double(facts.recent)"
stages:
  a: {order: 10, label: {en: A}}
  b: {order: 20, side: true}
transitions:
  - {id: up, from: a, to: b, on: [signup, gift], when: "facts.points > 3 && known.nps"}
  - id: on
    from: [a]
    to: b
    when: >-
      facts.value >= 3.0 ||
      stages.other in ['x', 'y'] && facts.gap > duration('36h')
  - {id: left, from: b, to: a, after: {fact: gap, times: 2, min: 14d, max: 180d}, since: facts.seen, demotion: true}
  - {id: quiet, from: b, to: a, after: 60d, since: facts.last_purchase_at, demotion: true}
"""
SEEDS = [WHOLE_LANGUAGE, WHOLE_LANGUAGE, (SHIPPED / "customer_care.yaml").read_text()]

OTHERS = [
    parse_definition("other.yaml", "lifecycle: other\nstart: x\nstages: {x: {order: 1}, y: {order: 2}}\n"),
    parse_definition("ecommerce.yaml", (SHIPPED / "ecommerce.yaml").read_text()),
]
"""Those whose stages the seeds read."""

JUNK = (
    *(
        "~",
        "",
        " ",
        "\t",
        "[]",
        "{}",
        "[",
        "}",
        "- ",
        "? ",
        ": ",
        "#",
        "'",
        '"',
        "|",
        ">-",
        "&x",
        "*x",
        "&x a",
        "<<",
        "<<: {a: b}",
    ),
    *(
        "!!omap",
        "!!set",
        "!!int",
        "!!float",
        "!!bool",
        "!!binary x",
        "!!timestamp",
        "!foo",
        "!!python/name:os.system",
        "%YAML 1.1",
    ),
    *(
        "0",
        "-1",
        "1e400",
        ".nan",
        "0x_",
        "0o9",
        "99999999999999999999",
        "2024-99-99",
        "true",
        "null",
        "5d",
        "90",
        "1000000d",
    ),
    *(
        "ordеr",
        "оn",
        "ｆrom",
        "to\u200b",
        "\u202eon",
        "\ufeff",
        "\x00",
        "\x85",
        "\u2028",
        "é",
        "😀",
    ),  # look-alikes and worse
    *(
        "facts",
        "facts.",
        "known.nps",
        "event.x",
        "stages.a",
        "stages.whole == 'a'",
        "has(",
        "now",
        "1/0",
        "((",
        "duration('1')",
    ),
    *(
        "a",
        "b",
        "purchase",
        "gift",
        "orders",
        "nps",
        "entered",
        "facts.gap",
        "---",
        "...",
        "[[[[[[[[",
        "[a]: b",
        "? [a, b]\n: c\n",
    ),
)


def _line(random: Random, lines: list[str]) -> int:
    return random.randrange(len(lines))


def delete(random: Random, lines: list[str]) -> None:
    del lines[_line(random, lines)]


def duplicate(random: Random, lines: list[str]) -> None:
    lines.insert(_line(random, lines), lines[_line(random, lines)])


def swap(random: Random, lines: list[str]) -> None:
    one, other = _line(random, lines), _line(random, lines)
    lines[one], lines[other] = lines[other], lines[one]


def indent(random: Random, lines: list[str]) -> None:
    at = _line(random, lines)
    lines[at] = random.choice(("  ", " ", "\t", "- ")) + lines[at]


def swap_words(random: Random, lines: list[str]) -> None:
    at = _line(random, lines)
    words = lines[at].split(" ")
    random.shuffle(words)
    lines[at] = " ".join(words)


def replace_word(random: Random, lines: list[str]) -> None:
    at = _line(random, lines)
    words = lines[at].split(" ")
    words[random.randrange(len(words))] = random.choice(JUNK)
    lines[at] = " ".join(words)


def replace_value(random: Random, lines: list[str]) -> None:
    at = _line(random, lines)
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {random.choice(JUNK)}"


def replace_part(random: Random, lines: list[str]) -> None:
    at = _line(random, lines)
    parts = lines[at].split(", ")
    chosen = random.randrange(len(parts))
    key, colon, _ = parts[chosen].partition(": ")
    parts[chosen] = f"{key}{colon}{random.choice(JUNK)}"
    lines[at] = ", ".join(parts)


def insert(random: Random, lines: list[str]) -> None:
    at = _line(random, lines)
    where = random.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:where] + random.choice(JUNK) + lines[at][where:]


def lose(random: Random, lines: list[str]) -> None:
    at = _line(random, lines)
    where = random.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:where] + lines[at][where + random.randrange(1, 4) :]


def nest(random: Random, lines: list[str]) -> None:
    at, deep = _line(random, lines), random.choice((3, 60, 3000))
    key, colon, value = lines[at].partition(": ")
    lines[at] = f"{key}{colon}{'[' * deep}{value}{']' * deep}"


MUTATIONS: tuple[Callable[[Random, list[str]], None], ...] = (
    *(
        delete,
        duplicate,
        swap,
        indent,
        swap_words,
        replace_word,
        replace_value,
        replace_value,
        replace_part,
        replace_part,
    ),
    *(insert, insert, lose, nest),
)


def mutated(random: Random) -> str:
    """A file with one to three things broken."""
    lines = random.choice(SEEDS).split("\n")
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(MUTATIONS)(random, lines)
    return "\n".join(lines)


def refusal(text: str) -> DefinitionError | None:
    """Why a file can't be used, to the end; None where it can, and then it is."""
    try:
        definition = parse_definition("my.yaml", text)
        lifecycle = definition.compile(1, "BRL")
        check_together([definition, *(each for each in OTHERS if each.name != definition.name)])
    except DefinitionError as error:
        return error
    use(definition, lifecycle)
    return None


HAPPENED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("signup", {}),
    ("gift", {"points": 5, "x": [1]}),
    ("complaint", {"complaint_id": "1", "severity": "high"}),
    ("purchase", {"order_id": "1", "amount": "10.00", "currency": "BRL"}),
)


def use(definition: Definition, lifecycle: Lifecycle) -> None:
    """What a file is for: looked at, drawn, and lived by a customer for a while."""
    for warning in lint(definition):
        assert warning.message
    assert mermaid(definition)
    assert terminal(definition)
    rules, state = Rules((lifecycle,), "BRL"), NEW_CUSTOMER
    occurrences: list[Event | Tick] = [
        Event.taken(Origin("t", "c", str(day), type_), day * DAY_MS, day * DAY_MS, backfill=False, data=data)
        for day, (type_, data) in enumerate(HAPPENED, 1)
    ]
    for occurrence in (*occurrences, Tick(400 * DAY_MS)):
        decision = advance(rules, state, occurrence)
        assert isinstance(decision, Applied)
        state = decision.state


def used_or_refused(text: str) -> bool:
    """Whether a file can be used; if not, every problem has a place in it and says something."""
    refused = refusal(text)
    if refused is None:
        return True
    assert refused.problems
    assert len(str(refused)) < 100_000
    lines = len(text.splitlines()) + text.count("\r") + 1
    for problem in refused.problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.message
    return False


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**64))
def test_a_file_that_is_broken_at_random_is_refused_or_used(seed: int) -> None:
    used_or_refused(mutated(Random(seed)))


def test_the_files_as_they_were_are_used() -> None:
    assert all(map(used_or_refused, SEEDS))


HEAD = "lifecycle: l\nstart: a\nstages:\n  a: {order: 10}\n  b: {order: 20}\n"
PLAIN = HEAD + "transitions:\n  - {id: x, from: a, to: b, on: signup}\n"
TAGS = (
    "!!omap",
    "!!set",
    "!!pairs",
    "!!seq",
    "!!map",
    "!!str",
    "!!int",
    "!!float",
    "!!bool",
    "!!null",
    "!!binary",
    "!foo",
    "!",
)
THINGS = ("{order: 1}", "[1]", "[a: b]", "[[a, b]]", "x", "~", "")
UNUSUAL = {
    **{f"{tag} {thing}": HEAD.replace("{order: 10}", f"{tag} {thing}") for tag in TAGS for thing in THINGS},
    **{f"{tag} {thing} as a key": f"{HEAD}? {tag} {thing}\n: 1\n" for tag in TAGS for thing in THINGS},
    **{f"{tag} {thing} as a file": f"{tag} {thing}\n" for tag in TAGS for thing in THINGS},
    "a merge of what is known": HEAD.replace("{order: 10}", "{<<: {order: 10}}"),
    "a merge of what is not": HEAD.replace("{order: 10}", "{<<: {ordre: 10}}"),
    "a merge at the top": f"{HEAD}<<: {{a: 1}}\n",
    "a merge into a transition": PLAIN.replace("id: x", "<<: {id: x, when: 'facts.x > 1'}"),
    "a number that ends too early": "a: 0x_",
    "a list as a key": f"{HEAD}? [[a], b]\n: c\n",
    "an anchor on a key": f"{HEAD}&a x: 1\n",
    "half a character": f"{HEAD}# \ud800\n",
    "half a character in a value": f'{HEAD}time_zone: "\\ud800"\n',
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_yaml_also_knows_is_refused(name: str) -> None:
    assert not used_or_refused(UNUSUAL[name])


def transitions(count: int, more: str = "on: signup") -> str:
    return HEAD + "transitions:\n" + "".join(f"  - {{id: t{n}, from: a, to: b, {more}}}\n" for n in range(count))


def facts(content: str, count: int = 1) -> str:
    return HEAD + "facts:\n" + "".join(f"  fact_{n}: {{{content}}}\n" for n in range(count))


KILOBYTES_250 = 250_000
HOSTILE: dict[str, Callable[[], str]] = {
    "ten megabytes of comment": lambda: PLAIN + "#" * 10_000_000,
    "ten megabytes of keys": lambda: "a: b\n" * 2_000_000,
    "ten thousand transitions": lambda: transitions(10_000),
    "as many transitions as fit": lambda: transitions(5_000),
    "as many empty ones": lambda: HEAD + "transitions:\n" + "- {}\n" * 40_000,
    "as many stages": lambda: HEAD + "".join(f"  s{n}: {{order: 1}}\n" for n in range(9_000)),
    "as many keys": lambda: HEAD + "".join(f"k{n}: 1\n" for n in range(20_000)),
    "one key again and again": lambda: "a: 1\n" * 40_000,
    "one source again and again": lambda: PLAIN.replace("from: a", f"from: [{'a, ' * 60_000}a]"),
    "sources that there are not": lambda: PLAIN.replace("from: a", f"from: [{'z, ' * 60_000}z]"),
    "one type again and again": lambda: PLAIN.replace("on: signup", f"on: [{'x, ' * 60_000}x]"),
    "a thousand misspelt facts": lambda: transitions(1_000, "when: 'facts.first_purchase_et > facts.last_purchase_et'"),
    "a thousand misspelt facts beside a hundred right ones": lambda: transitions(
        1_000, "when: 'facts.fact_name_that_is_long_0x > 1'"
    ).replace(
        "transitions:",
        "".join(["facts:\n", *(f"  fact_name_that_is_long_{n}: {{count: x}}\n" for n in range(100)), "transitions:"]),
    ),
    "stages that there are not": lambda: transitions(60, 'when: "stages.other in [' + ",".join(["'z'"] * 1_000) + ']"'),
    "a thousand conditions": lambda: transitions(1_000, "when: 'facts.orders > 1 && known.nps'").replace(
        "id: t7,", "id: t6,"
    ),
    "brackets without end": lambda: "a: " + "[" * KILOBYTES_250,
    "braces without end": lambda: "a: " + "{" * KILOBYTES_250,
    "lists in lists in blocks": lambda: "- " * (KILOBYTES_250 // 2) + "a\n",
    "keys of keys of keys": lambda: "? " * (KILOBYTES_250 // 2) + "a\n",
    "blocks in blocks": lambda: "\n".join(" " * n + "a:" for n in range(700)),
    "an alias bomb": lambda: "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(10)
    ),
    "anchors without end": lambda: "".join(f"k{n}: &a{n} x\n" for n in range(14_000)),
    "a word without end": lambda: PLAIN.replace("id: x", "id: " + "x" * KILOBYTES_250),
    "a number without end": lambda: PLAIN.replace("order: 10", "order: " + "9" * KILOBYTES_250),
    "a condition without end": lambda: PLAIN.replace("on: signup", f"when: '{'facts.orders > 1 || ' * 10_000}true'"),
    "arithmetic without end": lambda: facts(f"expr: '{'facts.orders + ' * 15_000}1'"),
    "arithmetic of quotes that are not closed": lambda: facts("expr: \"'" + "\\\\'" * 80_000 + '"'),
    "parentheses in a condition": lambda: PLAIN.replace("on: signup", f"when: '{'(' * 2_000}true{')' * 2_000}'"),
    "questions in questions": lambda: PLAIN.replace("on: signup", f"when: '{'known.nps ? true : ' * 200}false'"),
    "macros in macros": lambda: PLAIN.replace("on: signup", f"when: '{'[1].all(x, ' * 300}true{')' * 300}'"),
    "a list that grows eightfold ten times": lambda: PLAIN.replace(
        "on: signup", f"when: '[1]{'.map(a, a + a + a + a + a + a + a + a)' * 10}.size() > 3'"
    ),
    "a macro in a macro": lambda: PLAIN.replace("on: signup", "when: '[1, 2].exists(x, [3, 4].all(y, x < y))'"),
    "a text that is a sum of many": lambda: facts(f"expr: '{'facts.t + ' * 21}facts.t'"),
    "arithmetic in a long chain": lambda: (
        HEAD
        + "facts:\n"
        + "".join(f"  f{n}: {{expr: 'facts.f{n + 1} + facts.f{n + 1}'}}\n" for n in range(99))
        + "  f99: {expr: 'facts.f0 + 1'}\n"
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_within_a_second(name: str) -> None:
    text = HOSTILE[name]()
    began = process_time()
    assert not used_or_refused(text)
    assert process_time() - began < 1.0
