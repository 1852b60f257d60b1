"""What CEL's compiler says of an expression, in words, with what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.stage_engine.definitions.expressions import ConditionError, Scope, blank_comments
from services.stage_engine.definitions.mismatches import how_to_call, in_words, mismatch
from services.stage_engine.definitions.spelling import odd_letters
from shared.contracts.events import PAYLOADS

_POSITION = re.compile(r"<input>:(\d+):(\d+): (.*)")
_DEEP = re.compile(r"recursion (limit|depth)")
_TOO_DEEP = (
    "it is nested too deeply: at most 32 brackets, or parts of one sum or product, are read; give a part of it a name, "
    "as a fact with `expr`"
)
_MOST_SHOWN = 60
_EXAMPLE = "a condition is written like facts.orders >= 2 && known.nps"

_OTHER_LANGUAGES = {
    "and": "write && for `{}`",
    "or": "write || for `{}`",
    "not": "write ! for `{}`, such as !known.nps",
    "is": "write == for `{}`, and known.nps or !known.nps to ask whether there is a value",
    "between": "write both bounds for `{}`, such as facts.orders >= 1 && facts.orders <= 3",
    "contains": "`{}` stands behind a dot, such as event.code.contains('a')",
    "startswith": "write .startsWith('a') for `{}`",
    "endswith": "write .endsWith('a') for `{}`",
    "matches": "`{}` stands behind a dot, such as event.code.matches('^a')",
    "like": "write .contains('a') or .matches('^a') for `{}`",
    **dict.fromkeys(("if", "then", "else"), "write condition ? this : that for `{}`"),
    **dict.fromkeys(("none", "null", "nil", "undefined"), "there is no `{}` here: ask known.nps or !known.nps"),
    "true": "write true for `{}`",
    "false": "write false for `{}`",
}
"""Words that other languages have, in small letters."""

_CHARACTERS = {
    "=": "write == to compare",
    "&": "write && for and",
    "|": "write || for or",
    **dict.fromkeys("‘’‚‛“”„«»", "write straight quotes, such as 'ad'"),
    **dict.fromkeys(
        "'\"", "the text has no end, or a \\ that means nothing; end it with the quote that it begins with"
    ),
    "≥": "write >=",
    "≤": "write <=",
    "≠": "write !=",
    **dict.fromkeys("–—−", "write the minus as -"),
    "×": "write *",
    "÷": "write /",
    ";": "join conditions with && or ||",
    "\\": "leave it out; a \\ stands in texts only",
    **dict.fromkeys("$@#", "leave it out; facts are named like facts.orders"),
    "^": "leave it out; there is no power here",
    "~": "write ! for not, and .matches('^a') for patterns",
}
"""What no expression has outside of texts."""

_PAIRS = {
    "=<": "write <= for `=<`",
    "=>": "write >= for `=>`",
    "<>": "write != for `<>`",
    ">>": "write > for `>>`",
    "<<": "write < for `<<`",
    "**": "leave it out; there is no power here",
    "->": "leave it out; there are no arrows here",
    "!>": "write <= for `!>`",
    "!<": "write >= for `!<`",
    "++": "write + 1 for `++`",
}
_TOKENS = {
    ")": "there is a `)` too many; leave it out, or open it",
    "]": "there is a `]` too many; leave it out, or open it",
    "}": "there is a `}` too many; leave it out, or open it",
    ",": "a decimal has a point, such as 1.5; several values stand in brackets, such as in [1, 2]",
    "`": "write straight quotes, such as 'ad'",
    "!": "write != for not equal; a ! stands before a condition, such as !known.nps",
    ":": "a `:` follows a `?`, such as facts.orders > 1 ? 2 : 3",
}
"""What may stand elsewhere, but not there."""

_FUNCTIONS = (
    *("bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "getDate", "getDayOfMonth", "getDayOfWeek"),
    *("getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "int"),
    *("matches", "size", "startsWith", "string", "timestamp", "type", "uint"),
)
_OVER_LISTS = ("all", "exists", "exists_one")
_KINDS = {
    "facts": "facts.orders",
    "known": "known.nps",
    "event": "event.amount",
    "stages": "stages.ecommerce == 'loyal'",
}
_MAY_NAME = {
    "condition": "a condition can name facts.…, known.…, event.… and stages.…",
    "where": "a fact's `where` can name event.…",
    "expr": "arithmetic can name facts.… and known.…",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where CEL stopped reading, or found a name that it does not know."""

    source: str
    offset: int
    scope: Scope

    @property
    def rest(self) -> str:
        return self.source[self.offset :]

    @property
    def before(self) -> str:
        return self.source[: self.offset]


def explain(message: str, source: str, scope: Scope) -> ConditionError:
    """What a message of the compiler means. Only the first of several problems is told: the others follow from it more
    often than not."""
    if _DEEP.search(message):
        return ConditionError(_TOO_DEEP)
    found = _POSITION.search(message)
    if not found:
        return ConditionError(f"{message.splitlines()[0]}; {_EXAMPLE}")
    line, column = int(found[1]), int(found[2])
    before = sum(len(each) + 1 for each in source.split("\n")[: line - 1])
    place, text = _Place(source, before + column - 1, scope), found[3].removesuffix(" [INVALID_ARGUMENT]")
    for pattern, told in _MESSAGES:
        if parts := pattern.match(text):
            return told(place, parts)
    return ConditionError(f"{text}; {_EXAMPLE}", place.offset)


def _mismatch(place: _Place, parts: re.Match[str]) -> ConditionError:
    return ConditionError(mismatch(parts[1], parts[2], place.source, place.offset), place.offset)


def _undeclared(place: _Place, parts: re.Match[str]) -> ConditionError:
    name, offset = parts[1], place.offset
    # CEL points at the last dot of a name, and at the bracket behind that of a function.
    for start in (offset, offset - len(name.rpartition(".")[0]), len(place.before.rstrip()) - len(name)):
        if start >= 0 and place.source.startswith(name, start):
            offset = start
    called = place.source[offset + len(name) :].lstrip().startswith("(")
    shown = name[:_MOST_SHOWN]
    return ConditionError(_no_function(shown) if called else _no_name(shown, place.scope), offset)


def _of_other_languages(word: str) -> str | None:
    """What to write for a word of another language; None for one that is none."""
    advice = None if word in ("true", "false", "null") else _OTHER_LANGUAGES.get(word.lower())
    return advice and advice.format(word)


def _no_function(name: str) -> str:
    if advice := _of_other_languages(name):
        return advice
    if name in _OVER_LISTS:
        return f"`{name}` goes over a list with a name for each part, such as event.items.{name}(x, x.quantity > 1)"
    if name in _FUNCTIONS:
        return f"`{name}` is not called like this; {how_to_call(name)}"
    meant = _meant(name, {each: each for each in _FUNCTIONS}) or f"; there are {', '.join(_FUNCTIONS)}"
    return f"there is no function `{name}`{meant}"


def _no_name(name: str, scope: Scope) -> str:
    if advice := _of_other_languages(name):
        return advice
    if name in _KINDS:
        return f"`{name}` has one name behind a dot, such as {_KINDS[name]}; {_MAY_NAME[scope.place]}"
    head, _, behind = name.partition(".")
    if behind:
        kind = difflib.get_close_matches(head.lower(), _KINDS, 1)
        meant = f"; did you mean `{kind[0]}.{behind}`?" if kind else f"; {_MAY_NAME[scope.place]}"
    else:
        meant = _meant(name, _names(scope)) or f"; {_MAY_NAME[scope.place]}; a text stands in quotes: '{name}'"
    return f"`{name}` is unknown{meant}"


def _names(scope: Scope) -> dict[str, str]:
    """What may be named, by what is behind the dot."""
    fields = {field for each in scope.event_types if each in PAYLOADS for field in PAYLOADS[each].model_fields}
    return {field: f"event.{field}" for field in fields} | {name: f"facts.{name}" for name in scope.types}


def _meant(name: str, known: Mapping[str, str]) -> str:
    """The end of a message about a name that is close to a known one; `known` says how each is written."""
    close = difflib.get_close_matches(name, sorted(known), 1)
    return f"; did you mean `{known[close[0]]}`?" if close else ""


def _unreadable(place: _Place, parts: re.Match[str]) -> ConditionError:
    """A character that the language does not have."""
    character = place.rest[:1]
    if character == "=" and (same := place.before[-2:]) in ("==", "!="):
        return ConditionError(f"write {same} for `{same}=`", place.offset)
    if advice := _PAIRS.get(place.rest[:2]) or _CHARACTERS.get(character):
        return ConditionError(f"`{character}` can't stand here; {advice}", place.offset)
    word = next((each for each in re.finditer(r"\w+", place.source) if each.start() <= place.offset < each.end()), None)
    if word is None:
        told = odd_letters(character) or f" U+{ord(character or ' '):04X}"
        return ConditionError(f"there is a character that means nothing here{told}; leave it out", place.offset)
    shown = word[0][:_MOST_SHOWN]
    return ConditionError(f"`{shown}` is no name{odd_letters(word[0])}; a text stands in quotes", word.start())


def _unexpected(place: _Place, parts: re.Match[str]) -> ConditionError:
    """A word or a sign where none, or another one, must follow."""
    if not place.rest.strip():
        return ConditionError(f"it ends too early; {_missing(place, parts[1])}", place.offset)
    for start, word in ((place.offset, _word(place.rest)), _word_before(place.before)):
        if advice := _of_other_languages(word):
            return ConditionError(advice, start)
    token = _word(place.rest)[:_MOST_SHOWN] or place.rest[0]
    pair = place.source[max(place.offset - 1, 0) : place.offset + 1]
    advice = _PAIRS.get(place.rest[:2]) or _PAIRS.get(pair) or _TOKENS.get(token)
    if not advice and re.search(r"\d$", place.before) and token[0].isalpha() | (token[0] in "_."):
        advice = "a number has only digits and one point; a length of time is written like duration('240h')"
    if not advice and "expecting {'['" in parts[1]:
        advice = "a name or a value must stand there, such as facts.orders"
    advice = advice or "compare with ==, !=, <, <=, > or >=, and join conditions with && or ||"
    return ConditionError(f"`{token}` can't stand here; {advice}", place.offset)


def _missing(place: _Place, message: str) -> str:
    if closing := re.search(r"missing '(.)'|expecting \{'(\])'|expecting '([)\]}])'", message):
        return f"close what is open with `{next(filter(None, closing.groups()))}`"
    if "expecting ':'" in message:
        return "a `?` has two sides, such as facts.orders > 1 ? 2 : 3"
    before = blank_comments(place.before).rstrip()[-_MOST_SHOWN:]
    last = re.search(r"(&&|\|\||[=!<>]=|\w+|\S)$", before)
    return f"something must follow `{last[1]}`" if last else _EXAMPLE


def _word(text: str) -> str:
    found = re.match(r"[^\W\d]\w*", text)
    return found[0] if found else ""


def _word_before(before: str) -> tuple[int, str]:
    found = re.search(r"(?<![\w.])([^\W\d]\w*)\s*$", before)
    return (found.start(1), found[1]) if found else (0, "")


def _reserved(place: _Place, parts: re.Match[str]) -> ConditionError:
    word = parts[1]
    advice = _of_other_languages(word) or f"`{word}` is a word of the language; {_MAY_NAME[place.scope.place]}"
    return ConditionError(advice, place.offset)


def _too_large(place: _Place, parts: re.Match[str]) -> ConditionError:
    advice = "a whole number goes up to 9223372036854775807; write a smaller one, or a decimal such as 1e20"
    return ConditionError(f"this number is too large; {advice}", place.offset)


def _no_parts(place: _Place, parts: re.Match[str]) -> ConditionError:
    message = f"what is before this dot is {in_words(parts[1])} and has no parts; leave out the name behind it"
    return ConditionError(message, place.offset)


def _over_what(place: _Place, parts: re.Match[str]) -> ConditionError:
    return ConditionError(_no_function(parts[1]), place.offset)


def _no_list(place: _Place, parts: re.Match[str]) -> ConditionError:
    advice = "all, exists and exists_one go over one; in [ … ] asks whether something is one of several"
    return ConditionError(f"this is {in_words(parts[1])}, no list; {advice}", place.offset)


_MESSAGES: tuple[tuple[re.Pattern[str], Callable[[_Place, re.Match[str]], ConditionError]], ...] = (
    (re.compile(r"found no matching overload for '(.*)' applied to '\((.*)\)'"), _mismatch),
    (re.compile(r"undeclared reference to '(.*?)'"), _undeclared),
    (re.compile(r"Syntax error: token recognition error"), _unreadable),
    (re.compile(r"Syntax error: (.*)"), _unexpected),
    (re.compile(r"reserved identifier: (\w+)"), _reserved),
    (re.compile(r"invalid (hex )?u?int literal"), _too_large),
    (re.compile(r"expression of type '(.*)' cannot be the operand of a select"), _no_parts),
    (re.compile(r"expression of type '(.*)' cannot be the range of"), _no_list),
    (re.compile(r"(\w+)\(\) variable name"), _over_what),
)
"""The compiler's messages, as version 0.1.3 words them; one that is none of these is told as it is, with an example."""
