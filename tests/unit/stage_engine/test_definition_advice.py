"""What is told of a mistake in a definition, word for word: what is wrong and what to write instead. `«` marks the place."""

from __future__ import annotations

import pytest

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.definitions.together import check_together
from services.stage_engine.definitions.yaml_source import DefinitionError
from tests.unit.stage_engine.test_definition_errors import SHOP, after, file, reads, refused, when

INTERNALS = (
    "overload",
    "google.",
    "null_type",
    "_>_",
    "ARGUMENT",
    "CANCELLED",
    "<input>",
    "EOF",
    "Input should",
    "validation",
)

TIME = "a time is compared with a time: a fact, or timestamp('2026-01-31T00:00:00Z')"
AGO = "ask how long ago it was with `after:` and `since:`; what lies between two times is one minus the other"
PURCHASE = "on: purchase, "
CONDITIONS: dict[str, tuple[str, str]] = {
    # Operands that do not go together
    "a whole number and a whole decimal": (
        when("facts.orders «>= 2.0"),
        "`facts.orders` is a whole number and `2.0` a decimal, which `>=` does not take together; "
        "write 2 instead of 2.0, or double(facts.orders)",
    ),
    "a whole number and a decimal": (
        when("facts.orders «* 1.5 > 3.0"),
        "`facts.orders` is a whole number and `1.5` a decimal, which `*` does not take together; write double(facts.orders)",
    ),
    "a decimal and a whole number": (
        when("facts.spent «== 300"),
        "`facts.spent` is a decimal and `300` a whole number, which `==` does not take together; "
        "money and averages are decimals: write 300.0 instead of 300",
    ),
    "the other way round": (
        when("300 «< facts.spent"),
        "`300` is a whole number and `facts.spent` a decimal, which `<` does not take together; "
        "money and averages are decimals: write 300.0 instead of 300",
    ),
    "a sum, which is no name": (
        when("facts.orders + facts.refunds «> 1.5"),
        "the left side is a whole number and `1.5` a decimal, which `>` does not take together; "
        "write double(…) around the whole number",
    ),
    "the first of a sum": (
        when("facts.spent «+ 3 * 2 > 1.0"),
        "`facts.spent` is a decimal and the right side a whole number, which `+` does not take together; "
        "write double(…) around the whole number",
    ),
    "a duration and a number": (
        when("facts.gap «> 14"),
        "`facts.gap` is a duration and `14` a whole number, which `>` does not take together; "
        "for 14 days write duration('336h')",
    ),
    "a duration and a text": (
        when("facts.gap «> '36h'"),
        "`facts.gap` is a duration and `'36h'` a text, which `>` does not take together; write duration('36h')",
    ),
    "a text and a number": (
        when("facts.channel «== 3"),
        "`facts.channel` is a text and `3` a whole number, which `==` does not take together; a text stands in quotes: '3'",
    ),
    "a number and a text": (
        when("facts.orders «== '3'"),
        "`facts.orders` is a whole number and `'3'` a text, which `==` does not take together; leave out the quotes: 3",
    ),
    "a fact and null": (
        when("facts.nps «== null"),
        "`facts.nps` is a whole number and `null` no value, which `==` does not take together; ask known.nps, or !known.nps",
    ),
    "a field and null": (
        when("event.amount «!= null", PURCHASE),
        "`event.amount` is a decimal and `null` no value, which `!=` does not take together; "
        "leave it out: a field that is not there makes the condition unknown, which does not hold",
    ),
    "known and a number": (
        when("known.nps «== 1"),
        "`known.nps` is true or false and `1` a whole number, which `==` does not take together; "
        "write known.nps alone, or !known.nps for the opposite; the value itself is facts.nps",
    ),
    "a time and a number": (
        when("facts.last_seen «> 3"),
        f"`facts.last_seen` is a time and `3` a whole number, which `>` does not take together; {TIME}",
    ),
    "a time and a text": (
        when("facts.last_seen «> '2026-01-31'"),
        f"`facts.last_seen` is a time and `'2026-01-31'` a text, which `>` does not take together; {TIME}",
    ),
    "a time and a duration": (
        when("facts.last_seen «> duration('3h')"),
        f"`facts.last_seen` is a time and the right side a duration, which `>` does not take together; {AGO}",
    ),
    "a number among texts": (
        when("facts.orders «in ['a']"),
        "`facts.orders` is a whole number and the right side a list of texts, which `in` does not take together; "
        "write a list of the same type, such as in [1, 2]",
    ),
    "a number that is joined": (
        when("known.nps «&& facts.orders"),
        "`known.nps` is true or false and `facts.orders` a whole number, which `&&` does not take together; "
        "`&&` joins conditions; compare it with something, such as facts.orders > 0",
    ),
    "a number that is turned round": (
        when("«!facts.orders"),
        "`!` does not take a whole number; `!` turns a condition round; compare with something first, "
        "as in !(facts.orders > 1)",
    ),
    "a stage and a number": (
        when("stages.shop «== 3"),
        "`stages.shop` is a text and `3` a whole number, which `==` does not take together; "
        "compare it with ==, != or in […] and write the stage's key in quotes",
    ),
    "two sides of a choice": (
        when("known.nps «? 1 : 2.0"),
        "`? :` does not take true or false, a whole number, a decimal; what stands on both sides of the `:` must be of one "
        "type; double(…) makes a decimal of a whole number",
    ),
    "a function of another type": (
        when("size«(facts.orders) > 1"),
        "`size` does not take a whole number; it counts the characters of a text and the parts of a list",
    ),
    "a text alone": (when("«'abc'"), "the condition gives a text, not true or false; compare it with something"),
    # Syntax
    "one =": (when("facts.orders «= 3"), "`=` can't stand here; write == to compare"),
    "= before <": (when("facts.orders «=< 3"), "`=` can't stand here; write <= for `=<`"),
    "two signs for not equal": (when("facts.orders <«> 3"), "`>` can't stand here; write != for `<>`"),
    "one &": (when("known.nps «& known.csat"), "`&` can't stand here; write && for and"),
    "and": (when("facts.orders > 3 «and known.nps"), "write && for `and`"),
    "OR": (when("facts.orders > 3 «OR known.nps"), "write || for `OR`"),
    "not": (when("«not known.nps"), "write ! for `not`, such as !known.nps"),
    "not with brackets": (when("«not (known.nps)"), "write ! for `not`, such as !known.nps"),
    "is": (
        when("facts.nps «is null"),
        "write == for `is`, and known.nps or !known.nps to ask whether there is a value",
    ),
    "True": (when("known.nps == «True"), "write true for `True`"),
    "curly quotes": (when("facts.channel == «‘ad’"), "`‘` can't stand here; write straight quotes, such as 'ad'"),
    "a sign of mathematics": (when("facts.orders «≥ 3"), "`≥` can't stand here; write >="),
    "a comma in a number": (
        when("facts.spent > 1«,5"),
        "`,` can't stand here; a decimal has a point, such as 1.5; several values stand in brackets, such as in [1, 2]",
    ),
    "a unit": (
        when("facts.gap > 10«d"),
        "`d` can't stand here; a number has only digits and one point; a length of time is written like duration('240h')",
    ),
    "a text without an end": (
        when("facts.channel == «'ad"),
        "`'` can't stand here; the text has no end, or a \\ that means nothing; end it with the quote that it begins with",
    ),
    "a bracket without an end": (when("(facts.orders > 1«"), "it ends too early; close what is open with `)`"),
    "a bracket without a beginning": (
        when("facts.orders > 1«)"),
        "`)` can't stand here; there is a `)` too many; leave it out, or open it",
    ),
    "nothing behind": (when("facts.orders > 1 &&«"), "it ends too early; something must follow `&&`"),
    "nothing before": (
        when("«> 1"),
        "`>` can't stand here; a name or a value must stand there, such as facts.orders",
    ),
    "two values": (
        when("facts.orders «3"),
        "`3` can't stand here; compare with ==, !=, <, <=, > or >=, and join conditions with && or ||",
    ),
    "a number without end": (
        when("facts.orders > «99999999999999999999"),
        "this number is too large; a whole number goes up to 9223372036854775807; write a smaller one, or a decimal such as 1e20",
    ),
    "a word of the language": (
        when("«for > 1"),
        "`for` is a word of the language; a condition can name facts.…, known.…, event.… and stages.…",
    ),
    "brackets in brackets": (
        when("«" + "(" * 40 + "true" + ")" * 40),
        "it is nested too deeply: at most 32 brackets, or parts of one sum or product, are read; "
        "give a part of it a name, as a fact with `expr`",
    ),
    # Names
    "a fact without facts.": (when("«orders > 1"), "`orders` is unknown; did you mean `facts.orders`?"),
    "a field without event.": (when("«amount > 1.0", PURCHASE), "`amount` is unknown; did you mean `event.amount`?"),
    "Facts": (when("«Facts.orders > 1"), "`Facts.orders` is unknown; did you mean `facts.orders`?"),
    "stage for stages": (when("«stage.shop == 'a'"), "`stage.shop` is unknown; did you mean `stages.shop`?"),
    "a text without quotes": (
        when("facts.channel == «ad"),
        "`ad` is unknown; a condition can name facts.…, known.…, event.… and stages.…; a text stands in quotes: 'ad'",
    ),
    "facts as a whole": (
        when("«facts > 1"),
        "`facts` has one name behind a dot, such as facts.orders; "
        "a condition can name facts.…, known.…, event.… and stages.…",
    ),
    "a misspelt function": (
        when("event.code.«startswith('a')", "on: referral, "),
        "write .startsWith('a') for `startswith`",
    ),
    "another misspelt function": (
        when("event.code.«contain('a')", "on: referral, "),
        "there is no function `contain`; did you mean `contains`?",
    ),
    "the parts of a number": (
        when("facts.orders«.count > 1"),
        "what is before this dot is a whole number and has no parts; leave out the name behind it",
    ),
    # What can never be computed
    "a pattern that is none": (
        when("facts.channel.matches(«'(')"),
        "'(' is no pattern (missing ): (); write it as RE2 does, such as '^a', and a sign that stands for itself in [ ], "
        "such as '[(]'",
    ),
    "a pattern that looks ahead": (
        when("matches(facts.channel, «'(?=a)')"),
        "'(?=a)' is no pattern (invalid perl operator: (?=); write it as RE2 does, such as '^a', and a sign that stands for "
        "itself in [ ], such as '[(]'",
    ),
    "a year as a time": (
        when("facts.last_seen > timestamp(«'2026')"),
        "'2026' is no time; write it as RFC 3339 does, such as timestamp('2026-01-31T00:00:00Z')",
    ),
    "a day that there is not": (
        when("facts.last_seen > timestamp(«'2026-02-30T00:00:00Z')"),
        "'2026-02-30T00:00:00Z' is no time; write it as RFC 3339 does, such as timestamp('2026-01-31T00:00:00Z')",
    ),
    "a division by zero": (
        when("facts.orders «/ 0 > 1"),
        "a division by 0 can't be computed; divide by something else",
    ),
    "the rest of a division by zero": (
        when("facts.orders «% 0 > 1"),
        "a division by 0 can't be computed; divide by something else",
    ),
}  # fmt: skip
"""A condition of the transition `x`, and what is said of it behind its name."""


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_that_is_wrong_is_told_with_what_to_write(name: str) -> None:
    marked, told = CONDITIONS[name]
    message, place = refused(marked)
    assert message == f"{place}`x`: {told}"
    assert [each for each in INTERNALS if each in message] == []


def test_arithmetic_that_divides_by_zero_is_refused() -> None:
    message, place = refused(file('f: {expr: "1 «/ 0"}'))
    assert message == f"{place}`f`: a division by 0 can't be computed; divide by something else"


COMPUTED = {
    "a pattern": "facts.channel.matches('^a.c$')",
    "a pattern with an escape": r"facts.channel.matches(r'^\\d+$')",
    "a named group": "facts.channel.matches('(?P<a>x)')",
    "a time": "facts.last_seen > timestamp('2026-01-31T00:00:00Z')",
    "a time with a zone": "facts.last_seen > timestamp('2026-01-31T00:00:00-03:00')",
    "a text like a division": "facts.channel == 'a / 0'",
    "a text like a time": "facts.channel != 'timestamp(2026)'",
    "a division by a decimal zero": "facts.spent / 0.0 > 1.0",
    "a division by a number that begins with zero": "facts.orders / 0x10 > 1",
    "a comment": "facts.orders > 1 // 0",
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_can_be_computed_is_let_through(name: str) -> None:
    parse_definition("my.yaml", when(COMPUTED[name]))


STAGES = "compare it with ==, != or in […] and write the stage's key in quotes, such as stages.shop == 'key'"
HIDDEN = [
    "(«stages.shop) == 'a'",
    "«stages.shop == ('a')",
    "«stages.shop == r'a'",
    r"«stages.shop == \"\"\"a\"\"\"",
    r"«stages.shop == 'a\\x61'",
    "«stages.shop == 'a' + 'b'",
    "'a' + 'b' == «stages.shop",
    "r'a' == «stages.shop",
    "«stages.shop == (known.nps ? 'a' : 'b')",
    "«stages.shop in ['a'] + ['b']",
    "«stages.shop in (['a'])",
    "«stages.shop in ['a', 'b' + 'c']",
    "«stages.shop in ['a', r'b']",
    "«stages.shop in []",
    "«stages.shop.startsWith('zz')",
    "«stages.shop.size() > 3",
    "«stages.shop < 'b'",
    "«stages.shop + 'a' == 'b'",
    "size(«stages.shop) > 3",
    "['a'].exists(s, s == «stages.shop)",
    "«stages.shop == stages.club",
    "«stages.shop == facts.channel",
    "stages.shop == 'a' || «.stages.shop == 'zz'",
]


@pytest.mark.parametrize("condition", HIDDEN)
def test_a_stage_is_read_only_so_that_a_misspelt_one_is_told(condition: str) -> None:
    message, place = refused(when(condition))
    assert message == f"{place}`x`: this use of `stages.shop` can't be checked; {STAGES}"


CHECKED = [
    "stages.shop == 'a'",
    "'a' != stages.shop",
    r"\"a\" == stages.shop",
    "stages . shop=='a'",
    "stages.shop in ['a', 'b',]",
    "stages.shop in['b']",
    "!(stages.shop == 'a')",
    "(stages.shop == 'a') == known.nps",
    "known.nps ? stages.shop == 'a' : 'b' == stages.shop",
    "[1, 2].exists(n, n > 1 && stages.shop == 'a')",
    "[stages.shop == 'a', true].exists(each, each)",
    "known.nps && stages.shop != 'b' || stages.shop in ['a'] && facts.orders > 1",
    "event.stages.shop < 'b'",
    "event.code == 'stages.shop < 3' && known.nps",
]


@pytest.mark.parametrize("condition", CHECKED)
def test_a_stage_that_is_compared_with_keys_is_let_through(condition: str) -> None:
    check_together([parse_definition("x.yaml", each) for each in (when(condition, "on: gift, "), SHOP)])


@pytest.mark.parametrize(
    "condition", ["// stages.shop is read\\n known.nps", "stages.shop == 'a' // as stages.shop says"]
)
def test_a_comment_may_say_what_it_likes_of_a_stage(condition: str) -> None:
    check_together([parse_definition("x.yaml", each) for each in (when(condition), SHOP)])


SAID_IN_COMMENTS = [
    "the customer's first one",
    "r'",
    "has(it) now, facts.ordres, event.amount and stages.shpo == 'z'",
    "duration('14d') + [1].map(n, n)",
]


@pytest.mark.parametrize("said", SAID_IN_COMMENTS)
def test_a_comment_may_say_what_it_likes(said: str) -> None:
    definition = parse_definition("x.yaml", when(f"known.nps // {said}\\n && facts.channel == 'ad'"))
    check_together([definition])
    (transition,) = definition.compile(1, "BRL").transitions
    assert transition.reads == {"nps", "channel"}


E = "\u0435"
A = "\u0430"
O = "\u043e"  # noqa: E741  # the look-alike of that letter
LOOK_ALIKES: dict[str, tuple[str, str]] = {
    "a key": (
        file(edge=f'{{id: x, from: a, to: b, wh{E}n: «"true"}}'),
        f"`wh{E}n` (it has U+0435 CYRILLIC SMALL LETTER IE; names are written with a-z, 0-9 and _); known are id, ",
    ),
    "a language": (
        file().replace("{order: 10}", f"{{order: 10, label: {{{E}n: «A}}}}"),
        f"`{E}n` (it has U+0435 CYRILLIC SMALL LETTER IE; names are written with a-z, 0-9 and _) is not known here; "
        "write 'pt-BR', 'es' or 'en'",
    ),
    "the time that a wait counts from": (
        after("3d", f", since: «facts.l{A}st_seen"),
        f"`facts.l{A}st_seen` is neither `entered` nor a fact (it has U+0430 CYRILLIC SMALL LETTER A; names are written "
        "with a-z, 0-9 and _); did you mean `facts.last_seen`?",
    ),
    "the fact that a wait follows": (after(f"{{fact: «g{A}p}}"), f"`g{A}p` is no name (it has U+0430"),
    "facts": (when(f"true && «f{A}cts.orders > 1"), f"`f{A}cts` is no name (it has U+0430 CYRILLIC SMALL LETTER A; "),
    "a fact": (when(f"true && «facts.{O}rders > 1"), "U+043E CYRILLIC SMALL LETTER O"),
    "a lifecycle": (when(f"true && stages.«sh{O}p == 'a'"), f"`sh{O}p` is no name (it has U+043E CYRILLIC"),
    "a space": (when("true «\u00a0&& known.nps"), "means nothing here (it has U+00A0 NO-BREAK SPACE"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_character_that_looks_like_another_is_told(name: str) -> None:
    marked, told = LOOK_ALIKES[name]
    message, place = refused(marked)
    assert message.startswith(place)
    assert told in message


def test_a_character_that_looks_like_another_is_told_in_a_stage() -> None:
    definitions = [parse_definition("x.yaml", each) for each in (reads("care", f"stages.shop == '{A}'"), SHOP)]
    with pytest.raises(DefinitionError, match=r"no stage `.` \(it has U\+0430 CYRILLIC SMALL LETTER A; "):
        check_together(definitions)


def stage(fields: str) -> str:
    return file().replace("{order: 10}", f"{{{fields}}}")


def edge(fields: str) -> str:
    return file(edge=f"{{{fields}}}")


SHAPES: dict[str, tuple[str, str]] = {
    "an order in quotes": (stage("order: «'10'"), "`order` must be a whole number without quotes, such as order: 10"),
    "an order with a point": (stage("order: «1.5"), "`order` must be a whole number without quotes, such as order: 10"),
    "an order below 0": (stage("order: «-1"), "`order` must be at least 0, such as order: 10"),
    "an order beyond the last": (stage("order: «99999"), "`order` must be at most 10000, such as order: 10"),
    "yes": (stage("order: 1, side: «yes"), "`side` must be true or false, without quotes, such as side: true"),
    "yes to a demotion": (
        edge("id: x, from: a, to: b, on: signup, demotion: «yes"),
        "`demotion` must be true or false, without quotes, such as demotion: true",
    ),
    "a label without a language": (
        stage("order: 1, label: «Hi"),
        "`label` must be a mapping, such as label: {en: Loyal, pt-BR: Fiel}",
    ),
    "a label that is a number": (stage("order: 1, label: {en: «5}"), "`en` must be a text, such as en: Loyal"),
    "an empty label": (stage("order: 1, label: {en: «''}"), "`en` is empty; write something, such as en: Loyal"),
    "a long label": (
        stage(f"order: 1, label: {{en: «{'x' * 101}}}"),
        "`en` is longer than 100 characters; make it shorter",
    ),
    "a stage that is a number": (file().replace("{order: 10}", "«10"), "`a` must be a mapping, such as a: {order: 10}"),
    "a stage named like a key of pydantic": (
        file().replace("a: {order: 10}", "fixed: {order: «x}"),
        "`order` must be a whole number without quotes, such as order: 10",
    ),
    "stages in a list": (
        "lifecycle: l\nstart: a\nstages: «[a, b]\n",
        "`stages` must be a mapping, such as stages: {lead: {order: 10}, customer: {order: 20}}",
    ),
    "no stages": (
        "lifecycle: l\nstart: a\nstages: «{}\n",
        "`stages` is empty; it needs at least one entry, such as stages: {lead: {order: 10}, customer: {order: 20}}",
    ),
    "many stages": (
        "lifecycle: l\nstart: s0\nstages:\n  «" + "".join(f"s{n}: {{order: 1}}\n  " for n in range(201)),
        "`stages` has more than 200 entries; leave some out",
    ),
    "transitions by name": (
        "lifecycle: l\nstart: a\nstages: {a: {order: 1}}\ntransitions: «{x: 1}\n",
        "`transitions` must be a list, such as "
        "transitions: [{id: first_purchase, from: lead, to: customer, on: purchase}]",
    ),
    "a transition that is a word": (
        edge("id: x").replace("{id: x}", "«x"),
        "an entry of `transitions` must be a mapping, such as "
        "{id: first_purchase, from: lead, to: customer, on: purchase}",
    ),
    "from nowhere": (
        edge("id: x, from: «[], to: b, on: signup"),
        "`from` is empty; it needs at least one entry, such as from: [lead, customer]",
    ),
    "from a number": (
        edge("id: x, from: «3, to: b, on: signup"),
        "`from` must be a list, such as from: [lead, customer]",
    ),
    "from a number among others": (
        edge("id: x, from: [a, «3], to: b, on: signup"),
        "an entry of `from` must be a text, such as from: [lead, customer]",
    ),
    "to several": (edge("id: x, from: a, to: «[b], on: signup"), "`to` must be a text, such as to: customer"),
    "to nothing": (file(edge="«{id: x, from: a, on: signup}"), "`to` is missing; add it, such as to: customer"),
    "a condition that is true": (
        edge("id: x, from: a, to: b, when: «true"),
        '`when` must be a text, such as when: "facts.orders >= 2"',
    ),
    "a wait without its fact": (
        after("«{times: 2}"),
        "`fact` is missing; add it, such as fact: usual_interval",
    ),
    "times in words": (after("{fact: gap, times: «two}"), "`times` must be a number without quotes, such as times: 1.5"),
    "times true": (after("{fact: gap, times: «true}"), "`times` must be a number without quotes, such as times: 1.5"),
    "times in quotes": (after("{fact: gap, times: «'2'}"), "`times` must be a number without quotes, such as times: 1.5"),
    "no times": (after("{fact: gap, times: «0}"), "`times` must be more than 0, such as times: 1.5"),
    "a fact that counts a number": (
        file("f: {count: «3}"),
        "`count` must be a list, such as count: [purchase, referral]",
    ),
    "a type that there is not": (
        file("f: {sum: points, of: gift, type: «decimal}"),
        "`decimal` is not known here; write 'int', 'number', 'money' or 'text'",
    ),
    "a zone that is a number": (
        file().replace("start: a", "start: a\ntime_zone: «-3"),
        "`time_zone` must be a text, such as time_zone: America/Sao_Paulo",
    ),
    "since without facts.": (
        after("3d", ", since: «last_seen"),
        "`last_seen` is neither `entered` nor a fact; did you mean `facts.last_seen`?",
    ),
    "since a misspelt fact": (
        after("3d", ", since: «facts.last_sen"),
        "facts.last_sen is no fact that holds a time; did you mean `facts.last_seen`?",
    ),
    "since something else": (
        after("3d", ", since: «yesterday"),
        "`yesterday` is neither `entered` nor a fact; write entered, or a time such as facts.last_purchase_at",
    ),
    "one of many stages that is not declared": (
        edge("id: x, from: a, to: «nowhere, on: signup").replace(
            "  b:", "".join(f"  s{n:02}: {{order: 1}}\n" for n in range(90)) + "  b:"
        ),
        "`x` names the stage `nowhere`, which is not declared under stages; "
        f"known are a, b, {', '.join(f's{n:02}' for n in range(38))} and more",
    ),
    "a stage that is not declared": (
        edge("id: x, from: a, to: «c, on: signup"),
        "`x` names the stage `c`, which is not declared under stages; known are a, b",
    ),
    "a name that is too long": (
        edge(f"id: «{'x' * 64}, from: a, to: b, on: signup"),
        f"`{'x' * 64}` is no name; begin with a-z and go on with a-z, 0-9 and _, 63 at most",
    ),
    # What no YAML file may have
    "a zero": (edge("id: x«\x00, from: a, to: b"), "no YAML: the character U+0000 is not allowed; leave it out"),
    "a bell": (edge("id: x«\x07, from: a, to: b"), "no YAML: the character U+0007 is not allowed; leave it out"),
    "a zero behind letters of several bytes": (
        file().replace("start: a", "# ação 😀\nstart: a «\x00"),
        "no YAML: the character U+0000 is not allowed; leave it out",
    ),
    "a quote that is open": (
        "lifecycle: 'l\nstart: a\n«",
        "no YAML: found unexpected end of stream; a quote or a bracket is open: close it",
    ),
    "two colons": (
        "lifecycle: l«: x\n",
        "no YAML: mapping values are not allowed here; put a text with a `: ` in quotes, or begin a new line before the key",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_of_another_shape_is_told_with_an_example(name: str) -> None:
    marked, told = SHAPES[name]
    message, place = refused(marked)
    assert message == place + told
    assert [each for each in INTERNALS if each in message] == []


LONG = {
    "a duration": after("«" + "x" * 200_000),
    "a list as a duration": after("«[" + "x, " * 20_000 + "x]"),
    "a zone": file().replace("start: a", f"start: a\ntime_zone: «{'x' * 200_000}"),
    "a name on two lines": edge('id: «"a\\nb", from: a, to: b'),
    "a key on two lines": edge('id: x, from: a, to: b, on: c, "a\\nb": «c'),
    "a language on two lines": stage('order: 1, label: {"a\\nb": «c}'),
    "a fact on two lines": when("«facts.\\norders > 1.5"),
    "a time on two lines": when("facts.last_seen > timestamp(«'''a\\nb''')"),
}


@pytest.mark.parametrize("name", LONG)
def test_a_value_is_repeated_shortly_and_on_one_line(name: str) -> None:
    message, _ = refused(LONG[name])
    assert len(message.splitlines()) == 1
    assert len(message) < 400
