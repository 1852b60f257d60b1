"""A condition taken apart at its `&&` and `||`, so that each part can be judged and shown by itself."""

from __future__ import annotations

from dataclasses import dataclass

from services.stage_engine.definitions.expressions import blank_comments, code_in

_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a condition: `all` or `any` of its parts, or by itself when it has none."""

    text: str
    joined_by: str = ""
    parts: tuple[Part, ...] = ()


def parts_of(source: str) -> Part:
    """The condition as a tree. `a || b && c` is any of a and all of (b, c), as CEL reads it; a part that holds a
    conditional expression stays whole. Comments are left out."""
    return _part(blank_comments(source))


def _part(source: str) -> Part:
    text = source.strip()
    while (inner := _without_brackets(text)) is not None:
        text = inner
    if _splits(text, "?"):
        return Part(text)
    for operator, joined_by in (("||", "any"), ("&&", "all")):
        pieces = _split(text, operator)
        if len(pieces) > 1:
            return Part(text, joined_by, tuple(map(_part, pieces)))
    return Part(text)


def _split(text: str, operator: str) -> list[str]:
    places = _splits(text, operator)
    starts = [0, *(place + len(operator) for place in places)]
    return [text[start:end] for start, end in zip(starts, [*places, len(text)], strict=True)]


def _splits(text: str, operator: str) -> list[int]:
    """Where an operator stands outside of brackets and texts."""
    code, depth, found, place = code_in(text), 0, [], 0
    while place < len(code):
        if code[place] in _OPEN:
            depth += 1
        elif code[place] in _CLOSE:
            depth -= 1
        elif depth == 0 and code.startswith(operator, place):
            found.append(place)
            place += len(operator) - 1
        place += 1
    return found


def _without_brackets(text: str) -> str | None:
    """What is in brackets that go around the whole text; None without them."""
    if not (text.startswith("(") and text.endswith(")")):
        return None
    depth = 0
    for place, character in enumerate(code_in(text)):
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth == 0 and place < len(text) - 1:
            return None
    return text[1:-1].strip()
