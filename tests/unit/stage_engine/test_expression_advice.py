"""What is told of each mistake in an expression, word for word: one row for each piece of advice. `«` marks the place."""

from __future__ import annotations

import pytest

from tests.unit.stage_engine.test_definition_advice import INTERNALS
from tests.unit.stage_engine.test_definition_errors import file, refused, when

TOLD: dict[str, str] = {
    # Operands that do not go together
    "facts.orders «> 2u": (
        "`facts.orders` is a whole number and the right side a whole number with u, which `>` does not take together; "
        "leave out the u behind the number"
    ),
    "facts.spent «> 2u": (
        "`facts.spent` is a decimal and the right side a whole number with u, which `>` does not take together; "
        "leave out the u behind the number, and write it with .0"
    ),
    "facts.gap «> 1.5": (
        "`facts.gap` is a duration and `1.5` a decimal, which `>` does not take together; "
        "a duration is written in hours, such as duration('336h')"
    ),
    "facts.gap «* 2 > duration('1h')": (
        "`facts.gap` is a duration and `2` a whole number, which `*` does not take together; "
        "durations are added, taken from each other and compared, such as with duration('336h')"
    ),
    "facts.gap «> facts.channel": (
        "`facts.gap` is a duration and `facts.channel` a text, which `>` does not take together; "
        "write duration(…) around the text"
    ),
    "facts.channel «== b'a'": (
        "`facts.channel` is a text and the right side bytes, which `==` does not take together; "
        "leave out the b before the quotes"
    ),
    "facts.channel «== facts.orders": (
        "`facts.channel` is a text and `facts.orders` a whole number, which `==` does not take together; "
        "string(…) makes a text of a number"
    ),
    "known.nps «== 'true'": (
        "`known.nps` is true or false and `'true'` a text, which `==` does not take together; leave out the quotes: true"
    ),
    "true «== facts.orders": (
        "`true` is true or false and `facts.orders` a whole number, which `==` does not take together; "
        "compare with a value of the same type, such as facts.orders > 0"
    ),
    "true «== facts.gap": (
        "`true` is true or false and `facts.gap` a duration, which `==` does not take together; "
        "compare with a value of the same type, such as facts.gap > duration('24h')"
    ),
    "(facts.orders > 1) «== 1": (
        "the left side is true or false and `1` a whole number, which `==` does not take together; "
        "what is true or false is asked alone, or with ! before it"
    ),
    "facts.orders «% 1.5 == 1": (
        "`facts.orders` is a whole number and `1.5` a decimal, which `%` does not take together; "
        "`%` goes over whole numbers; int(…) makes one"
    ),
    "facts.spent «% 2.0 == 1.0": (
        "`facts.spent` is a decimal and `2.0` a decimal, which `%` does not take together; `%` goes over whole numbers; "
        "int(…) makes one"
    ),
    "facts.last_seen «+ facts.first_seen > facts.last_seen": (
        "`facts.last_seen` is a time and `facts.first_seen` a time, which `+` does not take together; "
        "times are taken from each other, such as facts.last_seen - facts.first_seen"
    ),
    "facts.last_seen «* facts.first_seen > facts.last_seen": (
        "`facts.last_seen` is a time and `facts.first_seen` a time, which `*` does not take together; "
        "times are taken from each other, such as facts.last_seen - facts.first_seen"
    ),
    "facts.last_seen «- 1 > facts.first_seen": (
        "`facts.last_seen` is a time and `1` a whole number, which `-` does not take together; "
        "a time is moved by a duration, such as duration('24h')"
    ),
    "facts.last_seen «- 1.5 > facts.first_seen": (
        "`facts.last_seen` is a time and `1.5` a decimal, which `-` does not take together; "
        "a time is moved by a duration, such as duration('24h')"
    ),
    "facts.gap «* facts.gap > facts.gap": (
        "`facts.gap` is a duration and `facts.gap` a duration, which `*` does not take together; "
        "durations are added, taken from each other and compared"
    ),
    "facts.channel «- facts.channel == ''": (
        "`facts.channel` is a text and `facts.channel` a text, which `-` does not take together; "
        "texts are joined with + and compared, nothing else"
    ),
    "facts.channel «* 2 == ''": (
        "`facts.channel` is a text and `2` a whole number, which `*` does not take together; "
        "texts are joined with + and compared, nothing else"
    ),
    "facts.channel «/ 1.5 == ''": (
        "`facts.channel` is a text and `1.5` a decimal, which `/` does not take together; "
        "texts are joined with + and compared, nothing else"
    ),
    "facts.channel «+ 2 == ''": (
        "`facts.channel` is a text and `2` a whole number, which `+` does not take together; a text stands in quotes: '2'"
    ),
    "known.nps «+ known.csat > 1": (
        "`known.nps` is true or false and `known.csat` true or false, which `+` does not take together; "
        "what is true or false is joined with && and ||"
    ),
    "known.nps «* 2 > 1": (
        "`known.nps` is true or false and `2` a whole number, which `*` does not take together; "
        "write a condition and a number as condition ? 1 : 0"
    ),
    "known.nps «* 1.5 > 1.0": (
        "`known.nps` is true or false and `1.5` a decimal, which `*` does not take together; "
        "write a condition and a number as condition ? 1.0 : 0.0"
    ),
    "[1] «== 1": (
        "the left side is a list of whole numbers and `1` a whole number, which `==` does not take together; "
        "both must be of one type; int(…), double(…) and string(…) make one of another"
    ),
    "{'a': 1} «== 1": (
        "the left side is a map and `1` a whole number, which `==` does not take together; both must be of one type; "
        "int(…), double(…) and string(…) make one of another"
    ),
    "known.nps «&& 'a'": (
        "`known.nps` is true or false and `'a'` a text, which `&&` does not take together; `&&` joins conditions; "
        "compare it with something, such as … == 'a'"
    ),
    "known.nps «|| facts.spent": (
        "`known.nps` is true or false and `facts.spent` a decimal, which `||` does not take together; "
        "`||` joins conditions; compare it with something, such as facts.spent > 0.0"
    ),
    "known.nps «&& facts.last_seen": (
        "`known.nps` is true or false and `facts.last_seen` a time, which `&&` does not take together; "
        "`&&` joins conditions; compare it with something, such as facts.last_seen > facts.first_seen"
    ),
    "known.nps «&& facts.gap": (
        "`known.nps` is true or false and `facts.gap` a duration, which `&&` does not take together; "
        "`&&` joins conditions; compare it with something, such as facts.gap > duration('24h')"
    ),
    "known.nps «&& 2u": (
        "`known.nps` is true or false and the right side a whole number with u, which `&&` does not take together; "
        "`&&` joins conditions; compare it with something, such as … > 0u"
    ),
    "known.nps «&& [1]": (
        "`known.nps` is true or false and the right side a list of whole numbers, which `&&` does not take together; "
        "`&&` joins conditions; compare it with something, such as … == …"
    ),
    "facts.channel «in 'abc'": (
        "`facts.channel` is a text and `'abc'` a text, which `in` does not take together; "
        "write what it may be in brackets, such as in ['a', 'b']; .contains('a') looks into a text"
    ),
    "facts.spent «in [1, 2]": (
        "`facts.spent` is a decimal and the right side a list of whole numbers, which `in` does not take together; "
        "write a list of the same type, such as in [1.0, 2.5]"
    ),
    "facts.gap «in ['24h']": (
        "`facts.gap` is a duration and the right side a list of texts, which `in` does not take together; "
        "write a list of the same type, such as in [duration('24h')]"
    ),
    "facts.channel «in [1]": (
        "`facts.channel` is a text and the right side a list of whole numbers, which `in` does not take together; "
        "write a list of the same type, such as in ['a', 'b']"
    ),
    "facts.last_seen «in [known.nps]": (
        "`facts.last_seen` is a time and the right side a list of conditions, which `in` does not take together; "
        "write a list of the same type, such as in […]"
    ),
    # Functions
    "«-known.nps": "`-` does not take true or false; only numbers have a minus",
    "facts.channel«[0] == 'a'": (
        "`[ ]` does not take a text, a whole number; a fact and a field are named with a dot; "
        ".contains('a') looks into a text"
    ),
    "facts.channel.contains«(1)": (
        "`contains` does not take a text, a whole number; it asks a text about a text, such as event.code.contains('a')"
    ),
    "facts.channel.startsWith«(1)": (
        "`startsWith` does not take a text, a whole number; it asks a text about a text, such as event.code.contains('a')"
    ),
    "facts.channel.endsWith«(1)": (
        "`endsWith` does not take a text, a whole number; it asks a text about a text, such as event.code.contains('a')"
    ),
    "facts.channel.matches«(1)": (
        "`matches` does not take a text, a whole number; it asks a text about a pattern, such as event.code.matches('^a')"
    ),
    "int«(known.nps) == 1": "`int` does not take true or false; it makes a whole number of a decimal, a text or a time",
    "uint«(known.nps) == 1u": "`uint` does not take true or false; it makes a whole number of a decimal, a text or a time",
    "double«(known.nps) == 1.0": "`double` does not take true or false; it makes a decimal of a whole number or a text",
    "duration«(1.5) > facts.gap": "`duration` does not take a decimal; it takes a text in quotes, such as duration('36h')",
    "timestamp«(1.5) > facts.last_seen": (
        "`timestamp` does not take a decimal; it takes a text in quotes, such as timestamp('2026-01-31T00:00:00Z')"
    ),
    "string«([1]) == 'true'": (
        "`string` does not take a list of whole numbers; it makes a text of a number, a time or a duration"
    ),
    "bool«(facts.orders)": "`bool` does not take a whole number; compare with something, such as facts.orders > 0",
    "facts.orders «? true : false": (
        "`? :` does not take a whole number, true or false, true or false; "
        "a condition stands before the `?`, such as facts.orders > 1 ? 2 : 3"
    ),
    "facts.orders.getHours«() > 1": (
        "`getHours` does not take a whole number; "
        "it is asked of a time, such as facts.last_seen.getHours(), and may be told a zone in quotes"
    ),
    "bytes«(1) == b'a'": "`bytes` does not take a whole number; look at what it is given",
    "«dyn(1)": "the condition gives a value of any type, not true or false; compare it with something",
    "«size() > 1": "`size` is not called like this; it counts the characters of a text and the parts of a list",
    "«getHours(facts.last_seen) > 1": (
        "`getHours` is not called like this; "
        "it is asked of a time, such as facts.last_seen.getHours(), and may be told a zone in quotes"
    ),
    "«all() > 1": "`all` goes over a list with a name for each part, such as event.items.all(x, x.quantity > 1)",
    "[1, 2].all(«1, x > 1)": "`all` goes over a list with a name for each part, such as event.items.all(x, x.quantity > 1)",
    "facts«.orders.all(x, x > 1)": (
        "this is a whole number, no list; all, exists and exists_one go over one; "
        "in [ … ] asks whether something is one of several"
    ),
    "«sum([1, 2]) > 2": (
        "there is no function `sum`; "
        "there are bool, bytes, contains, double, duration, dyn, endsWith, getDate, getDayOfMonth, getDayOfWeek, "
        "getDayOfYear, getFullYear, getHours, getMilliseconds, getMinutes, getMonth, getSeconds, int, matches, size, "
        "startsWith, string, timestamp, type, uint"
    ),
    "«facts.?orders > 1": "unsupported syntax '.?'; a condition is written like facts.orders >= 2 && known.nps",
    # What other languages write
    "facts.orders «between 1 and 3": "write both bounds for `between`, such as facts.orders >= 1 && facts.orders <= 3",
    "facts.channel «contains 'a'": "`contains` stands behind a dot, such as event.code.contains('a')",
    "facts.channel «startswith 'a'": "write .startsWith('a') for `startswith`",
    "facts.channel.«endswith('a')": "write .endsWith('a') for `endswith`",
    "facts.channel «matches 'a'": "`matches` stands behind a dot, such as event.code.matches('^a')",
    "facts.channel «like 'a%'": "write .contains('a') or .matches('^a') for `like`",
    "«if facts.orders > 1 then true": "write condition ? this : that for `if`",
    "facts.orders > 1 «then true": "write condition ? this : that for `then`",
    "facts.orders > 1 «else true": "write condition ? this : that for `else`",
    "facts.orders == «None": "there is no `None` here: ask known.nps or !known.nps",
    "facts.orders == «NULL": "there is no `NULL` here: ask known.nps or !known.nps",
    "facts.orders == «nil": "there is no `nil` here: ask known.nps or !known.nps",
    "facts.orders == «undefined": "there is no `undefined` here: ask known.nps or !known.nps",
    "known.nps == «FALSE": "write false for `FALSE`",
    "facts.orders «| facts.nps > 1": "`|` can't stand here; write || for or",
    "facts.orders «≤ 3": "`≤` can't stand here; write <=",
    "facts.orders «≠ 3": "`≠` can't stand here; write !=",
    "facts.orders > «–3": "`–` can't stand here; write the minus as -",
    "facts.orders «× 2 > 3": "`×` can't stand here; write *",
    "facts.orders «÷ 2 > 3": "`÷` can't stand here; write /",
    "facts.orders > 3«; known.nps": "`;` can't stand here; join conditions with && or ||",
    r"facts.orders > 3 «\\ known.nps": r"`\` can't stand here; leave it out; a \ stands in texts only",
    "«$facts.orders > 3": "`$` can't stand here; leave it out; facts are named like facts.orders",
    "«@orders > 3": "`@` can't stand here; leave it out; facts are named like facts.orders",
    "facts.orders > «#3": "`#` can't stand here; leave it out; facts are named like facts.orders",
    "facts.orders «^ 2 > 3": "`^` can't stand here; leave it out; there is no power here",
    "«~known.nps": "`~` can't stand here; write ! for not, and .matches('^a') for patterns",
    "facts.orders «=> 3": "`=` can't stand here; write >= for `=>`",
    "facts.orders ==«= 3": "write == for `===`",
    "facts.orders !=«= 3": "write != for `!==`",
    "facts.orders >«> 3": "`>` can't stand here; write > for `>>`",
    "facts.orders <«< 3": "`<` can't stand here; write < for `<<`",
    "facts.orders *«* 2 > 3": "`*` can't stand here; leave it out; there is no power here",
    "facts-«>orders > 3": "`>` can't stand here; leave it out; there are no arrows here",
    "facts.orders «!> 3": "`!` can't stand here; write <= for `!>`",
    "facts.orders «!< 3": "`!` can't stand here; write >= for `!<`",
    "facts.orders+«+ > 3": "`+` can't stand here; write + 1 for `++`",
    "facts.orders == 3«]": "`]` can't stand here; there is a `]` too many; leave it out, or open it",
    "facts.orders == 3«}": "`}` can't stand here; there is a `}` too many; leave it out, or open it",
    "«`facts.orders` > 3": "``` can't stand here; write straight quotes, such as 'ad'",
    "facts.orders «! 3": "`!` can't stand here; write != for not equal; a ! stands before a condition, such as !known.nps",
    "known.nps «: 3": "`:` can't stand here; a `:` follows a `?`, such as facts.orders > 1 ? 2 : 3",
    "known.nps ? 1«": "it ends too early; a `?` has two sides, such as facts.orders > 1 ? 2 : 3",
    "facts.orders in [1, 2«": "it ends too early; close what is open with `]`",
    "facts.orders > «0xfffffffffffffffff": (
        "this number is too large; a whole number goes up to 9223372036854775807; "
        "write a smaller one, or a decimal such as 1e20"
    ),
    "facts.orders > 3 «→ known.nps": (
        "there is a character that means nothing here (it has U+2192 RIGHTWARDS ARROW; "
        "names are written with a-z, 0-9 and _); leave it out"
    ),
    "«known > 1": (
        "`known` has one name behind a dot, such as known.nps; "
        "a condition can name facts.…, known.…, event.… and stages.…"
    ),
    "«event > 1": (
        "`event` has one name behind a dot, such as event.amount; "
        "a condition can name facts.…, known.…, event.… and stages.…"
    ),
    "«stages == 'a'": (
        "`stages` has one name behind a dot, such as stages.ecommerce == 'loyal'; "
        "a condition can name facts.…, known.…, event.… and stages.…"
    ),
}  # fmt: skip
"""A condition of the transition `x`, and what is said of it behind its name."""


@pytest.mark.parametrize("condition", TOLD)
def test_each_piece_of_advice_is_given_where_it_belongs(condition: str) -> None:
    message, place = refused(when(condition))
    assert message == f"{place}`x`: {TOLD[condition]}"
    assert [each for each in INTERNALS if each in message] == []


ELSEWHERE = {
    '{count: purchase, where: "«code == 3"}': (
        "`code` is unknown; a fact's `where` can name event.…; a text stands in quotes: 'code'"
    ),
    '{expr: "«shop.orders + 1"}': "`shop.orders` is unknown; arithmetic can name facts.… and known.…",
}


@pytest.mark.parametrize("fact", ELSEWHERE)
def test_facts_are_told_what_they_can_name(fact: str) -> None:
    message, place = refused(file(f"f: {fact}"))
    assert message == f"{place}`f`: {ELSEWHERE[fact]}"
