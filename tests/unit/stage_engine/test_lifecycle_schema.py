"""The JSON Schema for editors: takes every good file, and refuses the mistakes that it can tell, as the reader does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from services.stage_engine.definitions.definition import SHIPPED, parse_definition
from services.stage_engine.definitions.schema import json_schema
from services.stage_engine.definitions.yaml_source import DefinitionError, Document

GOOD = """\
lifecycle: good
labels: {pt-BR: Bom, es: Bueno, en: Good}
start: a
time_zone: America/Sao_Paulo
lateness: 10m
facts:
  orders_90d: {count: purchase, within: 90d, label: {en: Orders}}
  weeks: {sum: amount, of: [purchase, purchase_refunded], within: 4w}
  points: {max: points, of: gift, type: int, where: "event.points > 1"}
  usual: {average_gap: purchase}
  twice: {expr: "facts.orders_90d * 2"}
stages:
  a: {order: 10, label: {pt-BR: A}}
  b: {order: 20, side: true}
  c: {order: 30, end: true}
migrate: {old: a}
transitions:
  - {id: x, from: a, to: b, on: signup}
  - {id: y, from: [a, b], to: c, on: [signup, my.own:type-1], when: "facts.orders > 1", after: 30s, since: entered}
  - {id: z, from: b, to: a, after: {fact: usual, times: 1.5, min: 14d, max: 180d}, since: facts.last_purchase_at, demotion: true}
"""

# What is changed in the good file, and where the schema must point.
MISTAKES: dict[str, tuple[str, str, str]] = {
    "no name": ("lifecycle: good\n", "", "$"),
    "a name with a capital": ("lifecycle: good", "lifecycle: Good", "$.lifecycle"),
    "no start": ("start: a\n", "", "$"),
    "no such key": ("start: a", "start: a\nbegin: a", "$"),
    "a language that there is not": ("{pt-BR: Bom,", "{pt: Bom,", "$.labels"),
    "an empty label": ("{en: Orders}", "{en: ''}", "$.facts.orders_90d.label.en"),
    "lateness without a unit": ("lateness: 10m", "lateness: 10", "$.lateness"),
    "a key without a value": ("start: a", "start:", "$.start"),
    "a key that may be left out, without a value": ("to: b, on: signup}", "to: b, on: }", "$.transitions[0].on"),
    "a stage without an order": ("{order: 20, side: true}", "{side: true}", "$.stages.b"),
    "an order in quotes": ("{order: 20,", "{order: '20',", "$.stages.b.order"),
    "an order below zero": ("{order: 20,", "{order: -1,", "$.stages.b.order"),
    "yes for true": ("side: true", "side: yes", "$.stages.b.side"),
    "a stage's name with a space": ("  b: {order", "  b b: {order", "$.stages"),
    "a fact's name with a capital": ("  usual: {av", "  Usual: {av", "$.facts"),
    "a transition without a target": ("{id: x, from: a, to: b,", "{id: x, from: a,", "$.transitions[0]"),
    "from nowhere": ("from: [a, b]", "from: []", "$.transitions[1].from"),
    "on nothing": ("on: [signup, my.own:type-1]", "on: []", "$.transitions[1].on"),
    "an event type with a capital": ("on: signup}", "on: Signup}", "$.transitions[0].on"),
    "a misspelt key": ("when:", "wenn:", "$.transitions[1]"),
    "nothing that opens it": ("to: b, on: signup}", "to: b}", "$.transitions[0]"),
    "a wait in words": ("after: 30s", "after: 30 seconds", "$.transitions[1].after"),
    "a wait that follows nothing": ("{fact: usual, times", "{times", "$.transitions[2].after"),
    "since a bare name": ("since: entered", "since: last_seen", "$.transitions[1].since"),
    "since without after": ("after: 30s, ", "", "$.transitions[1]"),
    "a window in hours": ("within: 90d", "within: 90h", "$.facts.orders_90d.within"),
    "two aggregations in one fact": ("{count: purchase,", "{count: purchase, average_gap: purchase,", "$.facts.orders_90d"),
    "no aggregation": ("{count: purchase, within: 90d,", "{within: 90d,", "$.facts.orders_90d"),
    "a type that there is not": ("type: int", "type: integer", "$.facts.points.type"),
}  # fmt: skip


def plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def complaints(text: str) -> list[str]:
    """Where the schema finds something wrong."""
    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.json_path for error in validator.iter_errors(plain(text))]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_are_valid(path: Path) -> None:
    assert complaints(path.read_text(encoding="utf-8")) == []


def test_a_file_with_every_key_is_valid_and_readable() -> None:
    assert complaints(GOOD) == []
    parse_definition("good.yaml", GOOD)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_where_it_is_and_by_the_reader_too(name: str) -> None:
    old, new, where = MISTAKES[name]
    assert GOOD.count(old) == 1, "the row changes one thing"
    broken = GOOD.replace(old, new)
    assert where in complaints(broken)
    with pytest.raises(DefinitionError):
        parse_definition("good.yaml", broken)


def test_every_key_of_a_file_says_what_it_means() -> None:
    schema = json_schema()
    parts = {"": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, shape in part["properties"].items()
        if "description" not in shape
    ]
    assert silent == []


def test_a_modeline_is_a_comment_to_the_reader() -> None:
    line = "# yaml-language-server: $schema=./lifecycle.schema.json\n"
    assert Document("good.yaml", line + GOOD).value == Document("good.yaml", GOOD).value
