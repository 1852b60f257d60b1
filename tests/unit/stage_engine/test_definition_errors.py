"""Mistakes in facts, waits and conditions on other stages: each is refused with its place and with what to do. `«` marks
where the error must point."""

from __future__ import annotations

import pytest

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.definitions.together import check_together
from services.stage_engine.definitions.yaml_source import DefinitionError

FACTS = {
    "orders_90d": "{count: purchase, within: 90d}",
    "spent": "{sum: amount, of: purchase}",
    "channel": "{last: channel, of: engagement}",
    "gap": "{average_gap: purchase}",
    "gap_90d": "{average_gap: purchase, within: 90d}",
    "seen": "{last: time, of: engagement}",
    "seen_90d": "{last: time, of: engagement, within: 90d}",
    "twice": '{expr: "facts.orders_90d * 2"}',
    "stretch": '{expr: "facts.last_seen - facts.first_seen"}',
}
EDGE = "{id: x, from: a, to: b, on: signup}"


def file(fact: str = "", edge: str = EDGE, name: str = "l", facts: dict[str, str] = FACTS) -> str:
    """A good file but for one fact or one transition."""
    lines = [f"lifecycle: {name}", "start: a", "facts:", *(f"  {key}: {content}" for key, content in facts.items())]
    lines += [f"  {fact}"] if fact else []
    return "\n".join([*lines, "stages:", "  a: {order: 10}", "  b: {order: 20}", "transitions:", f"  - {edge}", ""])


def when(condition: str, more: str = "") -> str:
    return file(edge=f'{{id: x, from: a, to: b, {more}when: "{condition}"}}')


def after(wait: str, more: str = "") -> str:
    return file(edge=f"{{id: x, from: a, to: b, after: {wait}{more}}}")


BROKEN: dict[str, tuple[str, list[str]]] = {
    # What a fact is
    "of nothing": (file("f: «{within: 3d}"), ["one of count", "expr", "nothing is given"]),
    "of two things": (file("f: «{count: purchase, sum: amount, of: purchase}"), ["count and sum", "are given"]),
    "empty": (file("f: «{}"), ["one of count", "nothing is given"]),
    "without content": (file("«f: "), ["without a value"]),
    "a number": (file("f: «5"), ["mapping"]),
    "named like a built-in one": (file("orders: «{count: purchase}"), ["`orders`", "built-in", "another name"]),
    "named in capitals": (file("Orders: «{count: purchase}"), ["is no name", "a-z"]),
    "named twice": (file("«gap: {count: purchase}"), ["duplicate key", "gap"]),
    "unknown key": (file("f: {count: purchase, witin: «3d}"), ["`witin`", "within", "where"]),
    "a field without events": (file("f: «{sum: amount}"), ["`sum`", "of: purchase"]),
    "events twice": (file("f: «{count: purchase, of: purchase}"), ["`count`", "leave out of"]),
    "a type where there is none": (file("f: «{average_gap: purchase, type: int}"), ["`average_gap`", "leave out of and type"]),
    "arithmetic with a window": (file('f: «{expr: "facts.orders + 1", within: 3d}'), ["`expr`", "within does not belong"]),
    "arithmetic with where": (file('f: «{expr: "facts.orders + 1", where: "true"}'), ["`expr`", "where does not belong"]),
    "no events": (file("f: {count: «[]}"), ["at least one entry", "count: [purchase, referral]"]),
    "a type of event in capitals": (file("f: {count: «Purchase}"), ["is no name", "a-z"]),
    "a label in another language": (file("f: {count: purchase, label: {fr: «Achats}}"), ["pt-BR"]),
    # What YAML also knows
    "a merge": (file(edge="{«<<: {id: x}, from: a, to: b, on: signup}"), ["merging is not allowed", "write it out"]),
    "a tag": (file("f: «!!omap [count: purchase]"), ["tags are not allowed", "must be quoted"]),
    "a list as a key": (file("f: {«[a, b]: purchase}"), ["a key must be one word"]),
    "a number as a key": (file("«5: {count: purchase}"), ["a key must be a word, not 5"]),
    "blocks in blocks": ("\n".join(" " * n + "a:" for n in range(50)) + f"\n{' ' * 50}«a: b\n", ["more than 50 deep"]),
    # Zones
    "the machine's own zone": (file().replace("start: a", "start: a\ntime_zone: «localtime"), ["localtime", "America/Sao_Paulo"]),
    "a zone that counts leap seconds": (file().replace("start: a", "start: a\ntime_zone: «right/UTC"), ["right/UTC", "IANA"]),
    # Fields
    "unknown field": (file("f: {sum: «amout, of: purchase}"), ["`f`", "`purchase` has no field `amout`", "`amount`"]),
    "field of one type only": (file("f: {sum: «amount, of: [purchase, signup]}"), ["`signup` has no field `amount`"]),
    "sum of a text": (file("f: {sum: «channel, of: engagement}"), ["`channel` is a text", "sum needs a number"]),
    "sum of times": (file("f: {sum: «time, of: engagement}"), ["`time` is a time", "sum needs a number"]),
    "average of a text": (file("f: {average: «code, of: referral}"), ["`code` is a text", "average needs a number"]),
    "field of an event that nobody declared": (
        file("f: {sum: «points, of: gift}"),
        ["`points`", "nobody declared", "`type:` int, number, money or text"],
    ),
    "field that is a list": (file("f: {distinct: «items, of: cart_updated}"), ["`items` is no plain value"]),
    "field that is true or false": (file("f: {last: «satisfied, of: complaint_resolved}"), ["`satisfied` is no plain value"]),
    # Windows
    "window in hours": (file("f: {count: purchase, within: «48h}"), ["48h", "local days", "90d"]),
    "window of nothing": (file("f: {count: purchase, within: «0d}"), ["out of range", "1d", "400d"]),
    "window of years": (file("f: {count: purchase, within: «401d}"), ["out of range", "400d"]),
    "window of many weeks": (file("f: {count: purchase, within: «58w}"), ["out of range", "400d"]),
    "window without a unit": (file("f: {count: purchase, within: «90}"), ["90", "90d"]),
    "window of half a day": (file("f: {count: purchase, within: «1.5d}"), ["1.5d", "90d"]),
    # Which events
    "where names an unknown field": (
        file("f: {count: complaint, where: \"true && «event.sevrity == 'high'\"}"),
        ["`f`", "`complaint` has no field `sevrity`", "`severity`"],
    ),
    "where reads a fact": (file('f: {count: purchase, where: "true && «facts.nps > 1"}'), ["the event alone", "facts.nps"]),
    "where asks for a fact": (file('f: {count: purchase, where: "«known.nps"}'), ["sees the event alone", "known.nps"]),
    "where reads a stage": (file("f: {count: purchase, where: \"«stages.shop == 'a'\"}"), ["the event alone", "stages.shop"]),
    "where compares a decimal with a whole number": (file('f: {count: purchase, where: "event.amount «> 300"}'), ["300.0"]),
    "where is no condition": (file('f: {count: purchase, where: "«event.amount"}'), ["true or false"]),
    "where is broken": (file('f: {count: purchase, where: "event.amount >«"}'), ["something must follow `>`"]),
    "where asks has()": (file('f: {count: purchase, where: "«has(event.coupon)"}'), ["has()"]),
    "where reads the clock": (file('f: {count: purchase, where: "event.amount > 1.0 && «now > 3"}'), ["now"]),
    "where is empty": (file('f: {count: purchase, where: «""}'), ["write something", "event.severity == 'high'"]),
    # Arithmetic
    "unknown fact in arithmetic": (file('f: {expr: "facts.orders + «facts.spnt"}'), ["`f`", "facts.spnt", "`spent`"]),
    "arithmetic over the event": (file('f: {expr: "facts.orders + «event.points"}'), ["event", "facts"]),
    "arithmetic over stages": (file('f: {expr: "«stages.shop"}'), ["arithmetic", "not over stages"]),
    "arithmetic that mixes money and whole numbers": (
        file('f: {expr: "facts.spent «+ 300"}'),
        ["`facts.spent` is a decimal", "300.0 instead of 300"],
    ),
    "arithmetic that is true or false": (
        file('f: {expr: "«facts.orders > 1"}'),
        ["`expr` gives true or false", "a number, a text"],
    ),
    "arithmetic that is a list": (file('f: {expr: "«[facts.orders]"}'), ["`expr` gives a list", "a number, a text"]),
    "broken arithmetic": (file('f: {expr: "facts.orders +«"}'), ["something must follow `+`"]),
    "arithmetic over itself": (file('f: «{expr: "facts.f + 1"}'), ["circle", "f"]),
    "arithmetic in a circle": (
        file(facts={"f": '«{expr: "facts.g + 1"}', "g": '{expr: "facts.h + 1"}', "h": '{expr: "facts.f + 1"}'}),
        ["circle", "f, g, h"],
    ),
    # Own facts in conditions
    "unknown own fact": (when("facts.orders > 1 && «facts.orders_90 > 2"), ["facts.orders_90", "`orders_90d`"]),
    "own money compared with a whole number": (when("facts.spent «> 300"), ["300.0"]),
    "a duration in days": (when("facts.gap > duration('«14d')"), ["no days", "duration('336h')"]),
    "a duration in weeks": (when("facts.gap > duration('«2w')"), ["no days", "duration('336h')"]),
    "no duration at all": (when("facts.gap > duration('«two weeks')"), ["two weeks", "duration('36h')"]),
    # Waits
    "wait for no duration": (after("{fact: «spent}"), ["facts.spent", "no fact that holds a duration", "facts.gap"]),
    "wait for a fact that there is not": (after("{fact: «gep}"), ["facts.gep", "did you mean `facts.gap`?"]),
    "wait for a built-in time": (after("{fact: «last_seen}"), ["facts.last_seen", "duration", "facts.gap"]),
    "wait for a window": (after("{fact: «gap_90d}"), ["facts.gap_90d", "has a window", "facts.gap"]),
    "wait for arithmetic": (after("{fact: «stretch}"), ["facts.stretch", "is computed", "facts.gap"]),
    "wait with an unknown key": (after("{fact: gap, time: «2}"), ["`time`", "times"]),
    "wait of too many times": (after("{fact: gap, times: «1001}"), ["at most 1000", "times: 1.5"]),
    "wait with bounds the wrong way round": (after("«{fact: gap, min: 14d, max: 2d}"), ["`min` is longer than `max`"]),
    "wait with a bound without a unit": (after("{fact: gap, min: «14}"), ["no unit", "60d"]),
    "wait with facts. before the name": (after("{fact: «facts.gap}"), ["is no name", "a-z"]),
    "wait that is a list": (after("«[gap]"), ["no unit"]),
    "since a window": (after("3d", ", since: «facts.seen_90d"), ["facts.seen_90d", "has a window", "facts.seen"]),
    "since an own number": (after("3d", ", since: «facts.orders_90d"), ["facts.orders_90d", "a time", "facts.seen"]),
    "since a gap": (after("3d", ", since: «facts.gap"), ["facts.gap", "a time"]),
    # Stages of others
    "a stage alone": (when("«stages.shop"), ["true or false"]),
    "stages without a name": (when("«stages == 'a'"), ["stages"]),
}  # fmt: skip


def refused(text: str) -> tuple[str, str]:
    """What is said of a file that has a mark, and where it must be said."""
    before, after_ = text.split("«")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    with pytest.raises(DefinitionError) as caught:
        parse_definition("my.yaml", before + after_)
    return str(caught.value), f"my.yaml:{line}:{column}: "


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_refused_with_its_place_and_advice(name: str) -> None:
    marked, fragments = BROKEN[name]
    message, place = refused(marked)
    assert message.startswith(place)
    assert [fragment for fragment in fragments if fragment not in message] == []


def test_the_file_without_mistakes_is_none() -> None:
    parse_definition("my.yaml", file("f: {count: complaint, where: \"event.severity == 'high'\", within: 4w}"))


def test_a_broken_fact_does_not_make_the_conditions_that_name_it_look_wrong() -> None:
    text = file("f: {sum: amout, of: purchase}", '{id: x, from: a, to: b, when: "facts.f > 3.0"}')
    with pytest.raises(DefinitionError) as caught:
        parse_definition("my.yaml", text)
    assert len(caught.value.problems) == 1


def test_every_broken_fact_is_told() -> None:
    broken = {"f": "{sum: amout, of: purchase}", "g": '{expr: "facts.ordres"}', "h": "{sum: points, of: gift}"}
    with pytest.raises(DefinitionError) as caught:
        parse_definition("my.yaml", file(facts=broken))
    assert sorted(problem.line for problem in caught.value.problems) == [4, 5, 6]


# Together

SHOP = file(name="shop")


def reads(name: str, condition: str, edge: str = "x") -> str:
    return file(name=name, edge=f'{{id: {edge}, from: a, to: b, when: "{condition}"}}')


TOGETHER: dict[str, tuple[list[str], list[str]]] = {
    "a lifecycle that does not run": ([SHOP, reads("care", "known.nps && «stages.shpo == 'a'")], ["`x`", "`shpo`", "`shop`"]),
    "a lifecycle whose name begins like another's": (
        [SHOP, reads("care", "stages.shop == 'a' && «stages.sho == 'a'")],
        ["`sho`", "`shop`"],
    ),
    "its own stage": ([reads("care", "«stages.care == 'a'")], ["`x`", "its own", "`from`"]),
    "a misspelt stage": ([SHOP, reads("care", "stages.shop == «'aa'")], ["`x`", "shop has no stage `aa`"]),
    "a misspelt stage that is excluded": ([SHOP, reads("care", "stages.shop != «'aa'")], ["shop has no stage `aa`"]),
    "a misspelt stage on the left": ([SHOP, reads("care", "«'aa' == stages.shop")], ["shop has no stage `aa`"]),
    "a misspelt stage among several": ([SHOP, reads("care", "stages.shop in ['a', «'bb']")], ["shop has no stage `bb`"]),
    "a misspelt stage after a right one": (
        [SHOP, reads("care", "stages.shop == 'a' || stages.shop == «'c'")],
        ["shop has no stage `c`"],
    ),
    "two that read each other": (
        [reads("«care", "stages.shop == 'a'"), reads("shop", "stages.care == 'a'")],
        ["circle", "care, shop"],
    ),
    "three in a circle": (
        [
            SHOP.replace("lifecycle: shop", "lifecycle: alone"),
            reads("behind", "stages.one == 'a'"),
            reads("«one", "stages.two == 'a'"),
            reads("two", "stages.three == 'a'"),
            reads("three", "stages.one == 'a'"),
        ],
        ["circle: one, three, two"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOGETHER)
def test_lifecycles_that_do_not_fit_each_other_are_refused_with_the_place_and_advice(name: str) -> None:
    marked, fragments = TOGETHER[name]
    (number,) = [number for number, text in enumerate(marked) if "«" in text]
    before = marked[number].split("«")[0]
    definitions = [parse_definition(f"{at}.yaml", text.replace("«", "")) for at, text in enumerate(marked)]
    with pytest.raises(DefinitionError) as caught:
        check_together(definitions)
    message = str(caught.value)
    assert message.startswith(f"{number}.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: ")
    assert [fragment for fragment in fragments if fragment not in message] == []


def test_lifecycles_that_fit_are_let_through() -> None:
    one = reads("one", "stages.shop in ['a', 'b'] && 'b' != stages.two")
    check_together([parse_definition("x.yaml", text) for text in (one, reads("two", "stages.shop == 'a'"), SHOP)])


def test_a_text_that_looks_like_a_condition_on_a_stage_is_a_text() -> None:
    text = file(
        name="care", edge="{id: x, from: a, to: b, on: referral, when: 'event.code == \"stages.shop == ''zz''\"'}"
    )
    check_together([parse_definition("x.yaml", each) for each in (text, SHOP)])


def test_every_mistake_in_every_file_is_told() -> None:
    texts = (SHOP, reads("one", "stages.shop == 'x' || stages.shpo == 'a'"), reads("two", "stages.shop == 'y'"))
    with pytest.raises(DefinitionError) as caught:
        check_together([parse_definition(f"{at}.yaml", text) for at, text in enumerate(texts)])
    assert sorted(problem.file for problem in caught.value.problems) == ["1.yaml", "1.yaml", "2.yaml"]
