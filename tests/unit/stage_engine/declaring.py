"""Lifecycles with facts of their own, and several that read each other's stages, for hand-worked timelines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.definitions.together import check_together
from services.stage_engine.domain.lifecycle import Rules, in_order
from services.stage_engine.domain.own_facts import FactView
from tests.unit.stage_engine.timeline import Played, lifecycle


def declaring(facts: Mapping[str, str], stages: str, *edges: str, **said: str) -> str:
    """The text of a lifecycle with own facts; `name`, `lateness` and `time_zone` may be said."""
    zone = said.pop("time_zone", "UTC")
    lines = [f"time_zone: {zone}", "facts:", *(f"  {name}: {{{content}}}" for name, content in facts.items())]
    return lifecycle(stages, *edges, **said).replace("stages:", "\n".join([*lines, "stages:"]), 1)


def together(*texts: str, currency: str = "BRL") -> Rules:
    """Lifecycles that were checked together, in the order in which they run."""
    definitions = [parse_definition(f"{number}.yaml", text) for number, text in enumerate(texts)]
    check_together(definitions)
    return Rules(in_order(definition.compile(1, currency) for definition in definitions), currency)


def minute(text: str) -> int:
    """Minutes since 1970 of a time with an offset, such as 2018-11-03T22:00-03:00."""
    return int(datetime.fromisoformat(text).timestamp()) // 60


def own_facts(by: Rules, played: Played, name: str = "l") -> dict[str, Any]:
    """A lifecycle's own facts that have a value at the customer's clock."""
    own = next(each.own for each in by.lifecycles if each.name == name)
    now = played.state.lifecycles[name]
    view = FactView(own, played.state.facts, now.tallies, now.clock_ms)
    return {fact: view[fact] for fact in own.types if fact in view}
