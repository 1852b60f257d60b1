"""What is wrong with the shape of a lifecycle file, in words, with an example of what to write."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from services.stage_engine.definitions.file_model import FactPart, FollowPart, LifecycleFile, StagePart, TransitionPart
from services.stage_engine.definitions.spelling import odd_letters
from services.stage_engine.definitions.yaml_source import Path
from services.stage_engine.domain.facts import BUILT_IN, FactType

_LONGEST_NAME = 100
_CLOSE = 0.75
_LABELS = "{en: Loyal, pt-BR: Fiel}"
_FACT = "{count: purchase}"
_TRANSITION = "{id: first_purchase, from: lead, to: customer, on: purchase}"
_CONDITION = '"facts.orders >= 2"'
_FIELD = "amount, of: purchase"
_EXAMPLES = {
    "lifecycle": "membership",
    "labels": _LABELS,
    **dict.fromkeys(("labels.*", "stages.*.label.*", "facts.*.label.*"), "Loyal"),
    "start": "lead",
    "time_zone": "America/Sao_Paulo",
    "lateness": "5m",
    "facts": "{orders_90d: {count: purchase, within: 90d}}",
    "facts.*": _FACT,
    **dict.fromkeys(("facts.*.count", "facts.*.average_gap", "facts.*.of"), "[purchase, referral]"),
    **dict.fromkeys(
        (f"facts.*.{each}" for each in ("sum", "min", "max", "average", "first", "last", "distinct")), _FIELD
    ),
    "facts.*.where": "\"event.severity == 'high'\"",
    "facts.*.within": "90d",
    "facts.*.type": "money",
    "facts.*.expr": '"facts.orders + 1"',
    "facts.*.label": _LABELS,
    "stages": "{lead: {order: 10}, customer: {order: 20}}",
    "stages.*": "{order: 10}",
    "stages.*.order": "10",
    "stages.*.label": _LABELS,
    "stages.*.side": "true",
    "stages.*.end": "true",
    "migrate": "{old_stage: new_stage}",
    "migrate.*": "new_stage",
    "transitions": f"[{_TRANSITION}]",
    "transitions.*": _TRANSITION,
    "transitions.*.id": "first_purchase",
    "transitions.*.from": "[lead, customer]",
    "transitions.*.to": "customer",
    "transitions.*.on": "[purchase, referral]",
    "transitions.*.when": _CONDITION,
    "transitions.*.after": "60d",
    "transitions.*.since": "facts.last_purchase_at",
    "transitions.*.demotion": "true",
    "transitions.*.after.fact": "usual_interval",
    "transitions.*.after.times": "1.5",
    "transitions.*.after.min": "14d",
    "transitions.*.after.max": "180d",
}
"""What may be written at each place; a star stands for a name of the file's own, or a place in a list."""
_NAMES_OF_ITS_OWN = ("facts", "stages", "migrate")
_BY_LANGUAGE = ("label", "labels")

_SENTENCES: Mapping[str, str] = {
    "int_type": "{name} must be a whole number without quotes",
    "float_type": "{name} must be a number without quotes",
    "bool_type": "{name} must be true or false, without quotes",
    "string_type": "{name} must be a text",
    "list_type": "{name} must be a list",
    "dict_type": "{name} must be a mapping",
    "model_type": "{name} must be a mapping",
    "greater_than": "{name} must be more than {gt:g}",
    "greater_than_equal": "{name} must be at least {ge:g}",
    "less_than_equal": "{name} must be at most {le:g}",
    "string_too_short": "{name} is empty; write something",
    "string_too_long": "{name} is longer than {max_length} characters; make it shorter",
    "too_short": "{name} is empty; it needs at least one entry",
    "too_long": "{name} has more than {max_length} entries; leave some out",
    "literal_error": "{given} is not known here; write {expected}",
    "missing": "{name} is missing; add it",
}
"""What pydantic's kinds of errors mean here."""
_SAYS_ENOUGH = ("string_too_long", "too_long", "literal_error")


def tell(path: Path, error: Mapping[str, Any]) -> str:
    """One of pydantic's errors in words. `path` is where it is in the file."""
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        known = [field.alias or name for name, field in _model_at(path).model_fields.items()]
        return f"unknown key {_shown(path[-1])}; known are {', '.join(known)}"
    if kind == "string_pattern_mismatch":
        return _no_name(path, _on_one_line(given))
    if given is None:
        return "there is a key without a value; give it one, or leave the key out"
    if kind not in _SENTENCES:
        return str(error["msg"]).removeprefix("Value error, ")
    told = _SENTENCES[kind].format(name=_named(path), given=_shown(given), **error.get("ctx", {}))
    return told if kind in _SAYS_ENOUGH else f"{told}, such as {_example(path)}"


def file_path(location: tuple[str | int, ...]) -> Path:
    """Where in the file pydantic's location is: without its words for a key and for a kind of `after`."""
    path = location[:-1] if location[-1:] == ("[key]",) else location
    return (*path[:3], *path[4:]) if path[:1] == ("transitions",) and path[2:3] == ("after",) else path


def _on_one_line(given: object) -> str:
    return " ".join(str(given).split())[:_LONGEST_NAME]


def _shown(given: object) -> str:
    text = _on_one_line(given)
    return f"`{text}`{odd_letters(text)}"


def _named(path: Path) -> str:
    if path and isinstance(path[-1], str):
        return f"`{path[-1]}`"
    return f"an entry of `{path[-2]}`" if len(path) > 1 else "this"


def _example(path: Path) -> str:
    """What may be written there, with its key; for an entry of a list, the list."""
    place = _place(path)
    if place not in _EXAMPLES:
        path, place = path[:-1], place.removesuffix(".*")
    key = f"{path[-1]}: " if path and isinstance(path[-1], str) else ""
    return key + _EXAMPLES.get(place, "lifecycle: membership")


def _place(path: Path) -> str:
    """The path with a star for each name of the file's own, language and place in a list."""
    stars = (
        isinstance(part, int) or (at == 1 and path[0] in _NAMES_OF_ITS_OWN) or (at > 0 and path[at - 1] in _BY_LANGUAGE)
        for at, part in enumerate(path)
    )
    return ".".join("*" if star else str(part) for star, part in zip(stars, path, strict=True))


def _no_name(path: Path, name: str) -> str:
    if path[-1] == "since":
        return _no_since(name)
    more = ", and . : -" if {"on", "of", "count", "average_gap"} & set(path) else ""
    return f"`{name}` is no name{odd_letters(name)}; begin with a-z and go on with a-z, 0-9 and _{more}, 63 at most"


def _no_since(name: str) -> str:
    known = ["entered", *(f"facts.{fact}" for fact, kind in BUILT_IN.items() if kind is FactType.TIME)]
    close = [meant for each in (name, f"facts.{name}") for meant in difflib.get_close_matches(each, known, 1, _CLOSE)]
    meant = f"did you mean `{close[0]}`?" if close else "write entered, or a time such as facts.last_purchase_at"
    return f"`{name}` is neither `entered` nor a fact{odd_letters(name)}; {meant}"


def _model_at(path: Path) -> type[BaseModel]:
    if len(path) > 3 and path[0] == "transitions" and path[2] == "after":
        return FollowPart
    parts: dict[str | int, type[BaseModel]] = {"transitions": TransitionPart, "stages": StagePart, "facts": FactPart}
    return parts.get(path[0], LifecycleFile) if len(path) > 1 else LifecycleFile
