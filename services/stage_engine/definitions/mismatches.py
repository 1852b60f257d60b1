"""Operands that do not go together, in words: what each is, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.stage_engine.definitions.other_stages import HOW_TO_COMPARE

_WORDS = {
    "int": "a whole number",
    "uint": "a whole number with u",
    "double": "a decimal",
    "string": "a text",
    "bool": "true or false",
    "bytes": "bytes",
    "null": "no value",
    "timestamp": "a time",
    "duration": "a duration",
    "dyn": "a value of any type",
    "list": "a list",
    "map": "a map",
    "type": "a type",
}
_SEVERAL = {
    "int": "whole numbers",
    "double": "decimals",
    "string": "texts",
    "bool": "conditions",
    "timestamp": "times",
    "duration": "durations",
}
_LEVELS = {
    **dict.fromkeys("([{,", 0),
    **dict.fromkeys((")", "]", "}"), 0),
    **dict.fromkeys("?:", 1),
    "||": 2,
    "&&": 3,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 4),
    **dict.fromkeys("+-", 5),
    **dict.fromkeys("*/%", 6),
}
"""How closely operators bind; what is not here binds most closely."""
_CLOSEST = 9
_SIMPLE = (
    r"(?:facts|known|event|stages)\s*\.\s*\w+|-?\d+(?:\.\d+)?|'[^'\\\n]*'|\"[^\"\\\n]*\"|\btrue\b|\bfalse\b|\bnull\b"
)
_BEFORE = re.compile(rf"({_SIMPLE})\s*$")
_BEHIND = re.compile(rf"\s*({_SIMPLE})\s*(&&|\|\||[=!<>]=|in\b|.|$)", re.DOTALL)
_LAST = re.compile(r"(&&|\|\||[=!<>]=|\bin|.)$", re.DOTALL)
_NEAR = 200
"""How far from an operator its operand is looked for: names and values are shorter."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def in_words(cel_type: str) -> str:
    """A type as CEL names it, such as `google.protobuf.Timestamp`, `list(int)` or `LIST<INT>`, in words."""
    kind, inner = _kind(cel_type), re.search(r"[(<](.*)[)>]", cel_type)
    if kind == "list" and inner and (several := _SEVERAL.get(_kind(inner[1]))):
        return f"a list of {several}"
    return _WORDS.get(kind, "of another type")


def _kind(cel_type: str) -> str:
    plain = cel_type.lower().removeprefix("google.protobuf.").removesuffix("_type")
    return re.split(r"[(<]", plain, maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class _Operand:
    """One side of an operator: `text` as it is written where it is one name or one value, else empty."""

    type: str
    text: str = ""

    @property
    def kind(self) -> str:
        return _kind(self.type)

    @property
    def is_number(self) -> bool:
        return _NUMBER.fullmatch(self.text) is not None

    @property
    def is_text(self) -> bool:
        return self.text[:1] in ("'", '"')

    @property
    def name(self) -> str:
        """The name without blanks; empty where it is a value or longer."""
        return "" if self.is_number or self.is_text else re.sub(r"\s", "", self.text)

    def shown(self, side: str) -> str:
        return f"`{self.name or self.text}`" if self.text else f"the {side} side"


@dataclass(frozen=True, slots=True)
class _Pair:
    """An operator with what stands on its two sides."""

    operator: str
    left: _Operand
    right: _Operand

    def of(self, kind: str) -> _Operand:
        """The side of a type; the left one where both are."""
        return self.left if self.left.kind == kind else self.right

    def beside(self, kind: str) -> _Operand:
        """The side that faces the one of a type."""
        return self.right if self.left.kind == kind else self.left


Advice = str | Callable[[_Pair], str]


def mismatch(function: str, types: str, source: str, offset: int) -> str:
    """What is wrong and what to write, of CEL's `no matching overload for 'function' applied to '(types)'` at a
    character of the source."""
    operands = [_Operand(each) for each in _apart(types)]
    operator = function.strip("_@")
    if len(operands) == 2 and operator in _LEVELS:
        left = _Operand(operands[0].type, _left(source, offset, operator))
        right = _Operand(operands[1].type, _right(source, offset + len(operator), operator))
        return _of_pair(_Pair(operator, left, right))
    shown = {"?_:": "? :", "[_]": "[ ]"}.get(operator, operator)
    told = ", ".join(in_words(each.type) for each in operands) or "nothing"
    return f"`{shown}` does not take {told}; {_of_call(operator, operands)}"


def _apart(types: str) -> list[str]:
    """Types between commas, those of maps whole."""
    found, depth = [""], 0
    for character in types:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [each.strip() for each in found if each.strip()]


def _left(source: str, offset: int, operator: str) -> str:
    found = _BEFORE.search(source, max(0, offset - _NEAR), offset)
    if not found:
        return ""
    last = _LAST.search(source[: found.start()].rstrip()[-_NEAR:])
    binds = _LEVELS.get(last[1], _CLOSEST) if last else 0
    return found[1] if binds < _LEVELS[operator] else ""


def _right(source: str, offset: int, operator: str) -> str:
    found = _BEHIND.match(source, offset)
    if not found:
        return ""
    binds = _LEVELS.get(found[2], _CLOSEST) if found[2] else 0
    return found[1] if binds <= _LEVELS[operator] else ""


def _of_pair(pair: _Pair) -> str:
    left, right = pair.left.shown("left"), pair.right.shown("right")
    advice = _advice(pair)
    return (
        f"{left} is {in_words(pair.left.type)} and {right} {in_words(pair.right.type)}, "
        f"which `{pair.operator}` does not take together; {advice if isinstance(advice, str) else advice(pair)}"
    )


def _advice(pair: _Pair) -> Advice:
    kinds = frozenset({pair.left.kind, pair.right.kind})
    if "stages." in f"{pair.left.name} {pair.right.name}":
        return HOW_TO_COMPARE
    if pair.operator in ("&&", "||"):
        return _not_joined
    if pair.operator == "in":
        return _not_among
    table = _ARITHMETIC if pair.operator in ("+", "-", "*", "/", "%") else {}
    found = table.get((pair.operator, kinds)) or table.get(("", kinds)) or _TOGETHER.get(kinds)
    return found or "both must be of one type; int(…), double(…) and string(…) make one of another"


def _whole_and_decimal(pair: _Pair) -> str:
    whole, decimal = pair.of("int"), pair.of("double")
    around = f"double({whole.name})" if whole.name else "double(…) around the whole number"
    if whole.is_number:
        return f"money and averages are decimals: write {whole.text}.0 instead of {whole.text}"
    if decimal.is_number and float(decimal.text).is_integer():
        return f"write {int(float(decimal.text))} instead of {decimal.text}, or {around}"
    return f"write {around}"


def _length_and_number(pair: _Pair) -> str:
    number = pair.beside("duration")
    if pair.operator in ("*", "/", "%"):
        return "durations are added, taken from each other and compared, such as with duration('336h')"
    if not (number.is_number and float(number.text).is_integer()):
        return "a duration is written in hours, such as duration('336h')"
    return f"for {number.text} days write duration('{int(float(number.text)) * 24}h')"


def _length_and_text(pair: _Pair) -> str:
    text = pair.of("string")
    return f"write duration({text.text})" if text.is_text else "write duration(…) around the text"


def _text_and_number(pair: _Pair) -> str:
    text, number = pair.of("string"), pair.beside("string")
    if text.is_text and _NUMBER.fullmatch(text.text[1:-1]):
        return f"leave out the quotes: {text.text[1:-1]}"
    if number.is_number:
        return f"a text stands in quotes: '{number.text}'"
    return "string(…) makes a text of a number"


def _yes_or_no(pair: _Pair) -> str:
    asked, other = pair.of("bool"), pair.beside("bool")
    if other.is_text and other.text[1:-1] in ("true", "false"):
        return f"leave out the quotes: {other.text[1:-1]}"
    if asked.name in ("true", "false") and other.kind in _COMPARED:
        return f"compare with a value of the same type, such as {other.name or '…'} {_COMPARED[other.kind]}"
    if not asked.name:
        return "what is true or false is asked alone, or with ! before it"
    value = f"; the value itself is facts.{asked.name[6:]}" if asked.name.startswith("known.") else ""
    return f"write {asked.name} alone, or !{asked.name} for the opposite{value}"


def _nothing(pair: _Pair) -> str:
    name = pair.beside("null").name
    if name.startswith("event."):
        return "leave it out: a field that is not there makes the condition unknown, which does not hold"
    asked = f"known.{name[6:]}" if name.startswith("facts.") else "known.nps"
    return f"ask {asked}, or !{asked}"


_TIMES = "a time is compared with a time: a fact, or timestamp('2026-01-31T00:00:00Z')"
_TOGETHER: Mapping[frozenset[str], Advice] = {
    frozenset({"int", "double"}): _whole_and_decimal,
    frozenset({"int", "uint"}): "leave out the u behind the number",
    frozenset({"double", "uint"}): "leave out the u behind the number, and write it with .0",
    frozenset({"duration", "int"}): _length_and_number,
    frozenset({"duration", "double"}): _length_and_number,
    frozenset({"duration", "string"}): _length_and_text,
    frozenset({"timestamp", "duration"}): (
        "ask how long ago it was with `after:` and `since:`; what lies between two times is one minus the other"
    ),
    **{frozenset({"timestamp", each}): _TIMES for each in ("int", "double", "string", "bool")},
    frozenset({"string", "int"}): _text_and_number,
    frozenset({"string", "double"}): _text_and_number,
    frozenset({"string", "bytes"}): "leave out the b before the quotes",
    **{frozenset({"bool", each}): _yes_or_no for each in ("int", "double", "string", "duration")},
    **{frozenset({each, "null"}): _nothing for each in _WORDS if each != "null"},
}
"""What to write where two types meet, whichever is on the left."""

_ARITHMETIC: Mapping[tuple[str, frozenset[str]], Advice] = {
    ("%", frozenset({"int", "double"})): "`%` goes over whole numbers; int(…) makes one",
    ("%", frozenset({"double"})): "`%` goes over whole numbers; int(…) makes one",
    ("", frozenset({"timestamp"})): "times are taken from each other, such as facts.last_seen - facts.first_seen",
    **{
        ("", frozenset({"timestamp", each})): "a time is moved by a duration, such as duration('24h')"
        for each in ("int", "double")
    },
    ("", frozenset({"duration"})): "durations are added, taken from each other and compared",
    ("", frozenset({"string"})): "texts are joined with + and compared, nothing else",
    **{
        (operator, frozenset({"string", each})): "texts are joined with + and compared, nothing else"
        for operator in "-*/%"
        for each in ("int", "double")
    },
    ("", frozenset({"bool"})): "what is true or false is joined with && and ||",
    ("", frozenset({"bool", "int"})): "write a condition and a number as condition ? 1 : 0",
    ("", frozenset({"bool", "double"})): "write a condition and a number as condition ? 1.0 : 0.0",
}
"""The same for an operator; an empty one stands for all that calculate."""

_COMPARED = {
    "int": "> 0",
    "uint": "> 0u",
    "double": "> 0.0",
    "string": "== 'a'",
    "timestamp": "> facts.first_seen",
    "duration": "> duration('24h')",
}
_LISTS = {"int": "[1, 2]", "double": "[1.0, 2.5]", "string": "['a', 'b']", "duration": "[duration('24h')]"}


def _not_joined(pair: _Pair) -> str:
    wrong = pair.beside("bool")
    example = f"{wrong.name or '…'} {_COMPARED.get(wrong.kind, '== …')}"
    return f"`{pair.operator}` joins conditions; compare it with something, such as {example}"


def _not_among(pair: _Pair) -> str:
    if pair.right.kind == "string" and pair.left.kind == "string":
        return "write what it may be in brackets, such as in ['a', 'b']; .contains('a') looks into a text"
    return f"write a list of the same type, such as in {_LISTS.get(pair.left.kind, '[…]')}"


_CALLS = {
    "!": "`!` turns a condition round; compare with something first, as in !(facts.orders > 1)",
    "-": "only numbers have a minus",
    "[_]": "a fact and a field are named with a dot; .contains('a') looks into a text",
    "size": "it counts the characters of a text and the parts of a list",
    **dict.fromkeys(
        ("contains", "startsWith", "endsWith"), "it asks a text about a text, such as event.code.contains('a')"
    ),
    "matches": "it asks a text about a pattern, such as event.code.matches('^a')",
    **dict.fromkeys(("int", "uint"), "it makes a whole number of a decimal, a text or a time"),
    "double": "it makes a decimal of a whole number or a text",
    "duration": "it takes a text in quotes, such as duration('36h')",
    "timestamp": "it takes a text in quotes, such as timestamp('2026-01-31T00:00:00Z')",
    "string": "it makes a text of a number, a time or a duration",
    "bool": "compare with something, such as facts.orders > 0",
}


def _of_call(operator: str, operands: list[_Operand]) -> str:
    if operator == "?_:":
        if operands[0].kind not in ("bool", "dyn"):
            return "a condition stands before the `?`, such as facts.orders > 1 ? 2 : 3"
        return "what stands on both sides of the `:` must be of one type; double(…) makes a decimal of a whole number"
    return how_to_call(operator)


def how_to_call(function: str) -> str:
    """What a function is given."""
    if function.startswith("get"):
        return f"it is asked of a time, such as facts.last_seen.{function}(), and may be told a zone in quotes"
    return _CALLS.get(function, "look at what it is given")
