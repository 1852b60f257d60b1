"""`POST /v1/lifecycles/{name}/simulations`: one customer's story under a lifecycle, every decision. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request

from services.stage_engine.api.desk import Desk, Reader, definition_problem, find_active
from services.stage_engine.definitions.definition import Definition, parse_definition
from services.stage_engine.definitions.stored import parsed
from services.stage_engine.definitions.together import check_together
from services.stage_engine.definitions.yaml_source import DefinitionError
from services.stage_engine.domain.event import Event
from services.stage_engine.domain.lifecycle import Rules, in_order
from services.stage_engine.simulating.story import (
    Limits,
    ReadStory,
    StoryRefused,
    TooLong,
    end_of,
    passed_over,
    path_within,
    unread_types,
)
from services.stage_engine.store import lifecycles
from services.stage_engine.store.lifecycles import Stored
from shared.auth.tenants import Tenants
from shared.contracts.field_errors import FieldError
from shared.http.body import read_body
from shared.http.paths import Segment
from shared.http.problems import INVALID, Problem

_MOST_EVENTS: Final = 500
_LIMITS: Final = Limits(changes=5_000, seconds=5.0)
_EVENTS: Final[dict[str, Any]] = {
    "type": "array",
    "minItems": 1,
    "maxItems": _MOST_EVENTS,
    "items": {"type": "object"},
    "description": "as POST /v1/events takes them, of one customer, each with a time; in the order in which they arrive",
}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["events"],
    "additionalProperties": False,
    "properties": {
        "events": _EVENTS,
        "text": {"type": "string", "description": "the YAML text to try; the active version when left out"},
        "until": {"type": "string", "description": "2026-12-31T00:00:00Z, or 90d after the last event"},
    },
}
_BODY: Final = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


class SimulationIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be tried: a story, under a text or the active version, until some time."""

    events: list[msgspec.Raw]
    text: str | None = None
    until: str | None = None


def simulations_router(desk: Desk, read_story: ReadStory) -> APIRouter:
    """The route. It needs the scope customers:read."""
    routes = APIRouter(tags=["lifecycles"])
    routes.post("/v1/lifecycles/{name}/simulations", openapi_extra=_BODY)(_Simulations(desk, read_story).simulate)
    return routes


@dataclass(frozen=True, slots=True)
class _Simulations:
    """What the route does."""

    desk: Desk
    read_story: ReadStory

    async def simulate(self, request: Request, name: Segment, caller: Reader) -> dict[str, Any]:
        """One customer's path with every decision, as `jornada lifecycle simulate --format json` gives it. Lifecycles whose
        stages are read take part in their active versions. Money counts in the tenant's currency."""
        given = _read(await read_body(request))
        currency = await Tenants(self.desk.resources.database).currency(caller.tenant)
        async with self.desk.resources.database.reading() as transaction:
            newest = await lifecycles.newest(transaction)
        if given.text is None:
            find_active(newest, name)
        active = {each.name: each for each in newest}
        return await self.desk.aside(lambda: self._told(name, given, active, currency))

    def _told(self, name: str, given: SimulationIn, active: Mapping[str, Stored], currency: str) -> dict[str, Any]:
        story = self._story(given.events)
        try:
            until_ms = end_of(story, given.until)
        except ValueError as error:
            raise _problem(FieldError("/until", str(error))) from None
        rules = _rules(name, given.text, active, currency)
        try:
            path = path_within(rules, story, until_ms, _LIMITS)
        except TooLong as error:
            advice = "tell a shorter story, or try it with the command line"
            raise _problem(FieldError("/events", str(error), advice)) from None
        return {**path.as_json(), "notes": [*unread_types(rules, story), *passed_over(rules, story)]}

    def _story(self, items: Sequence[msgspec.Raw]) -> Sequence[Event]:
        if not 0 < len(items) <= _MOST_EVENTS:
            raise _problem(FieldError("/events", f"a story has 1 to {_MOST_EVENTS} events, not {len(items):,}"))
        try:
            story = self.read_story([bytes(each) for each in items])
        except StoryRefused as refused:
            raise _problem(
                *(FieldError(f"/events{each.pointer}", each.detail, each.advice) for each in refused.errors)
            ) from None
        for index, event in enumerate(story):
            if event.customer_id != story[0].customer_id:
                detail = f"a story is of one customer; the first event is of {story[0].customer_id!r}"
                raise _problem(FieldError(f"/events/{index}/customer_id", detail))
        return story


def _read(body: bytes) -> SimulationIn:
    try:
        return msgspec.json.decode(body, type=SimulationIn)
    except RecursionError:
        raise _problem(FieldError("", "the JSON is nested too deeply")) from None
    except ValueError as error:
        raise _problem(FieldError("", str(error))) from None


def _rules(name: str, text: str | None, active: Mapping[str, Stored], currency: str) -> Rules:
    """The rules of the lifecycle, and of those whose stages it reads. Raises Problem."""
    version = active[name].version if name in active else 0
    if text is None:
        chosen = parsed(active[name])
    else:
        chosen, version = _definition(name, text), version + 1
    read = [(parsed(active[each]), active[each].version) for each in _read_by(chosen, active)]
    try:
        check_together([chosen, *(definition for definition, _ in read)])
    except DefinitionError as error:
        raise definition_problem(error, chosen.file, "/text") from None
    compiled = [each.compile(number, currency) for each, number in [(chosen, version), *read]]
    return Rules(in_order(compiled), currency)


def _definition(name: str, text: str) -> Definition:
    file = f"{name}.yaml"
    try:
        definition = parse_definition(file, text)
    except DefinitionError as error:
        raise definition_problem(error, file, "/text") from None
    if definition.name != name:
        raise _problem(FieldError("/text", f"this is the lifecycle {definition.name}, not {name}"))
    return definition


def _read_by(definition: Definition, active: Mapping[str, Stored]) -> Iterator[str]:
    """The active lifecycles whose stages it reads, and those whose stages these read."""
    seen, waiting = {definition.name}, [definition]
    while waiting:
        for name in waiting.pop().reads_stages:
            if name in active and name not in seen:
                seen.add(name)
                waiting.append(parsed(active[name]))
                yield name


def _problem(*errors: FieldError) -> Problem:
    return Problem(INVALID, "; ".join(f"{each.pointer or 'the body'}: {each.detail}" for each in errors[:3]), errors)
