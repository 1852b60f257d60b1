"""The JSON Schema of lifecycle files, from the models that read them: editors complete and check YAML by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.stage_engine.definitions.file_model import AGGREGATIONS, LifecycleFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MEANINGS: Mapping[str, Mapping[str, str]] = {
    "": {
        "lifecycle": "its name: campaigns and the API use it",
        "labels": "names for people, by language",
        "start": "the stage that a customer enters first",
        "time_zone": "IANA name, such as America/Sao_Paulo: whose local days windows count; UTC when left out",
        "lateness": "how long a silence waits for events that are late, before its timer goes off; 5m when left out",
        "facts": "facts of this lifecycle's own",
        "stages": "the stages that a customer can be in",
        "migrate": "old: new, where customers of a stage go that is no more, when this version is published",
        "transitions": "what moves customers; of those that hold, the first in the file is taken",
    },
    "FactPart": {
        "count": "how many events of a type, or of one of several",
        "average_gap": "the mean time between events",
        "sum": "a field's sum over the events that `of` names",
        "min": "a field's smallest value",
        "max": "a field's greatest value",
        "average": "a field's mean",
        "first": "a field's value in the earliest event; the field `time` is the event's time",
        "last": "a field's value in the latest event; the field `time` is the event's time",
        "distinct": "how many different values a field has had; exact to 1,000",
        "of": "the event types that count",
        "where": "a condition over the event alone: event.channel == 'visit'",
        "within": "only today and the local days before, such as 90d",
        "type": "what the field holds, where the event type is a custom one",
        "expr": "arithmetic over facts, in CEL",
        "label": "names for people, by language",
    },
    "FollowPart": {
        "fact": "the duration fact that says how long",
        "times": "how many times as long; 1 when left out",
        "min": "never shorter than this",
        "max": "never longer than this",
    },
    "StagePart": {
        "order": "how far along: a move to a higher one is up, to a lower one down",
        "label": "names for people, by language",
        "side": "true draws it beside the main way",
        "end": "true says that nothing leads out of it on purpose",
    },
    "TransitionPart": {
        "id": "its name in stage changes; unique in the file",
        "from": "a stage, or a list of stages",
        "to": "a stage",
        "on": "an event type or a list: looked at when such an event comes",
        "when": "a condition in CEL: facts.orders >= 2",
        "after": "how long after `since`: 48h, 60d; or one that follows a fact",
        "since": "what `after` counts from: entered, when left out, or facts.<a time>",
        "demotion": "must be true for a move to a stage of lower order",
    },
}
"""What an editor says of a key, by the part of the file that it stands in."""


def json_schema() -> dict[str, Any]:
    """The schema. What it can't tell (names that are not declared, conditions) is told by `lint`."""
    schema = _written(LifecycleFile.model_json_schema())
    parts = schema["$defs"]
    parts["FactPart"]["oneOf"] = [{"required": [name]} for name in (*AGGREGATIONS, "expr")]
    parts["TransitionPart"]["anyOf"] = [{"required": [name]} for name in ("on", "when", "after")]
    parts["TransitionPart"]["dependentRequired"] = {"since": ["after"]}
    for name, meanings in _MEANINGS.items():
        properties = (parts[name] if name else schema)["properties"]
        for key, meaning in meanings.items():
            properties[key] = {"description": meaning, **properties[key]}
    return {"$schema": _DIALECT, "title": "Jornada lifecycle", **schema}


def _written(schema: Any) -> Any:
    """As files are written: a key is left out rather than null, defaults are how the reader holds them, and a name of
    another form than its pattern is wrong."""
    if isinstance(schema, list):
        return [_written(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "anyOf" in schema:
        kinds = [each for each in schema["anyOf"] if each != {"type": "null"}]
        schema = {**schema, "anyOf": kinds} if len(kinds) > 1 else {**_without(schema, "anyOf"), **kinds[0]}
    if "patternProperties" in schema:
        schema = {"additionalProperties": False, **schema}
    return {name: _written(each) for name, each in schema.items() if name not in ("default", "title")}


def _without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != name}
