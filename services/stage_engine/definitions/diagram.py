"""Pictures of a lifecycle: a Mermaid state diagram for documents, and a text for the terminal. Pure.

Both say of every way from stage to stage what opens it, in the words of a person who reads, not of a parser.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Final

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.expressions import blank_comments
from services.stage_engine.definitions.file_model import FollowPart, LifecycleFile, TransitionPart
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

_LOCALE: Final = "en"
_LINE_WIDTH = 40
_MOST_CHARACTERS = 78
"""Of one transition on an arrow: a picture is for the overview, the whole condition is in the file and the terminal's text."""
_SIDE_STYLE = "stroke-dasharray:5 5"

_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_WORDS = (
    (re.compile(r"\b(?:facts|event|stages)\s*\.\s*(\w+)"), r"\1"),
    (re.compile(r"!\s*known\s*\.\s*(\w+)"), r"\1 unknown"),
    (re.compile(r"\bknown\s*\.\s*(\w+)"), r"\1 known"),
    (re.compile(r"\s*&&\s*"), " and "),
    (re.compile(r"\s*\|\|\s*"), " or "),
    (re.compile(r"\s*>=\s*"), " ≥ "),
    (re.compile(r"\s*<=\s*"), " ≤ "),
    (re.compile(r"\s*==\s*"), " = "),
    (re.compile(r"\s*!=\s*"), " ≠ "),
    (re.compile(r"!\s*(?=[\w(])"), "not "),
    (re.compile(r"\s*<\s*"), " under "),
    (re.compile(r"\s*>\s*"), " over "),
    (re.compile(r"\b(\d+)\.0\b"), r"\1"),
    (re.compile(r"\s+"), " "),
)
"""What stands in conditions, and how it is said; in this order. A bare < would be taken for HTML in a diagram."""
_OPERATOR = re.compile(r" ([≥≤=≠]|under|over) (?=\S)")
_BOUND = "\x01"
"""A space at which no line may end, for the time of breaking lines; it must not count as white space."""

_MERMAID_FORBIDS = str.maketrans(
    {":": "：", ";": "；", '"': "'", "#": "＃", "`": "'", "<": "‹", ">": "›", "%": "％", "\n": " "}
)
"""Characters that end or break a text in a Mermaid diagram, and those that stand in for them."""
_MERMAID_KEYWORDS = frozenset({
    "accdescr", "acctitle", "class", "classdef", "click", "default", "href", "note", "root_start", "scale", "state",
    "statediagram", "style",
})  # fmt: skip
"""Names that a stage can't have in Mermaid 11; found by parsing each with it."""


def mermaid(definition: Definition) -> str:
    """The lifecycle as a Mermaid `stateDiagram-v2`, without a line break at its end.

    Stages come in order; those beside the main way have a dashed border. All transitions from one stage to another are one
    arrow, which says ↑ or ↓ and when, for each; long conditions are cut short with an ellipsis.
    """
    shape = definition.shape
    keys = _in_order(shape)
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{_mermaid_text(_label(shape, key))}" as {_mermaid_id(key)}' for key in keys]
    lines.append(f"    [*] --> {_mermaid_id(shape.start)}")
    lines += _arrows(shape, keys)
    lines += [f"    {_mermaid_id(key)} --> [*]" for key in keys if shape.stages[key].end]
    if beside := [_mermaid_id(key) for key in keys if shape.stages[key].side]:
        lines += [f"    classDef beside {_SIDE_STYLE}", f"    class {','.join(beside)} beside"]
    return "\n".join(lines)


def terminal(definition: Definition) -> str:
    """The lifecycle as lines for a terminal: under each stage, in order, where it leads, by which transition and when."""
    shape = definition.shape
    name = shape.labels.get(_LOCALE)
    title = f"{shape.lifecycle} · {name}" if name else shape.lifecycle
    blocks = ["\n".join(_block(shape, key)) for key in _in_order(shape)]
    return "\n\n".join([f"{title}, starting at {shape.start}", *blocks])


def words(part: TransitionPart, *, most_events: int = 50) -> str:
    """What opens a transition, in short words: the events, of more than `most_events` the first alone, or the wait; and the
    condition."""
    condition = _condition_words(part.when) if part.when else ""
    first = ", ".join(filter(None, [_event_words(part.on or [], most_events), _wait_words(part)]))
    return f"{first} if {condition}" if first and condition else first or condition


def span(milliseconds: int) -> str:
    """A duration as people write it: in days from three days on, otherwise in the largest unit that fits."""
    units = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s"))
    for unit, letter in units:
        if milliseconds % unit == 0 and (letter != "d" or milliseconds >= 3 * DAY_MS):
            return f"{milliseconds // unit}{letter}"
    return f"{milliseconds / SECOND_MS:g}s"


def _in_order(shape: LifecycleFile) -> list[str]:
    return sorted(shape.stages, key=lambda key: shape.stages[key].order)


def _label(shape: LifecycleFile, key: str) -> str:
    return shape.stages[key].label.get(_LOCALE, key)


def _mark(shape: LifecycleFile, source: str, target: str) -> str:
    before, after = shape.stages[source].order, shape.stages[target].order
    return "↑" if after > before else "↓" if after < before else "→"


def _arrows(shape: LifecycleFile, keys: list[str]) -> Iterator[str]:
    for source in keys:
        ways: dict[str, list[TransitionPart]] = {}
        for part in shape.transitions:
            if source in part.from_:
                ways.setdefault(part.to, []).append(part)
        for target, parts in ways.items():
            mark = _mark(shape, source, target)
            said = "<br/>".join(_on_an_arrow(f"{mark} {words(part, most_events=2)}") for part in parts)
            yield f"    {_mermaid_id(source)} --> {_mermaid_id(target)} : {said}"


def _on_an_arrow(text: str) -> str:
    """Cut short and broken into lines, but never around an operator."""
    unbroken = _OPERATOR.sub(rf"{_BOUND}\1{_BOUND}", _mermaid_text(text))
    short = textwrap.shorten(unbroken, _MOST_CHARACTERS, placeholder=f"{_BOUND}…")
    lines = textwrap.wrap(short, _LINE_WIDTH, break_long_words=False, break_on_hyphens=False)
    return "<br/>".join(lines).replace(_BOUND, " ")


def _mermaid_text(text: str) -> str:
    return text.translate(_MERMAID_FORBIDS)


def _mermaid_id(key: str) -> str:
    return f"{key}_" if key in _MERMAID_KEYWORDS else key


def _block(shape: LifecycleFile, key: str) -> Iterator[str]:
    label = _label(shape, key)
    yield key + (f" · {label}" if label != key else "") + (" (beside the main way)" if shape.stages[key].side else "")
    leaving = [part for part in shape.transitions if key in part.from_]
    to_width = max(map(len, shape.stages))
    id_width = max((len(part.id) for part in shape.transitions), default=0)
    for part in leaving:
        yield f"  {_mark(shape, key, part.to)} {part.to:<{to_width}}  {part.id:<{id_width}}  {words(part)}"
    if not leaving:
        yield "  nothing leads out of here"


def _event_words(event_types: list[str], most: int) -> str:
    shown = event_types if len(event_types) <= most else [event_types[0], f"{len(event_types) - 1} others"]
    return " or ".join(shown)


def _wait_words(part: TransitionPart) -> str:
    if part.after is None:
        return ""
    length = _followed_words(part.after) if isinstance(part.after, FollowPart) else span(part.after)
    return f"{length} after {part.since_fact}" if part.since_fact else f"after {length}"


def _followed_words(after: FollowPart) -> str:
    times = "" if after.times == 1 else f"{after.times:g} × "
    least = f"at least {span(after.min)}" if after.min is not None else ""
    most = f"at most {span(after.max)}" if after.max is not None else ""
    bounds = ", ".join(filter(None, [least, most]))
    return f"{times}{after.fact}" + (f" ({bounds})" if bounds else "")


def _condition_words(source: str) -> str:
    """The condition without comments, its operators said in words; texts in it lose their quotes and nothing else."""
    text, said, place = blank_comments(source), [], 0
    for literal in _TEXT.finditer(text):
        said += [_in_words(text[place : literal.start()]), literal[0][1:-1]]
        place = literal.end()
    return "".join([*said, _in_words(text[place:])]).strip()


def _in_words(code: str) -> str:
    for pattern, replacement in _WORDS:
        code = pattern.sub(replacement, code)
    return code
