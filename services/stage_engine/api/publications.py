"""`POST /v1/lifecycles/{name}/publications`: the next version of a lifecycle, or an earlier one again."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request

from services.stage_engine.api.desk import Desk, Publisher, definition_problem
from services.stage_engine.api.lifecycle_forms import PublicationIn, PublishedOut, told_publication
from services.stage_engine.definitions.definition import Definition, parse_definition
from services.stage_engine.definitions.yaml_source import DefinitionError
from services.stage_engine.publications.publishing import Published, publish
from services.stage_engine.publications.publishing import Request as Wish
from shared.contracts.field_errors import FieldError
from shared.contracts.times import now_ms
from shared.db.port import DatabaseConflict
from shared.errors import Permanent
from shared.http.body import read_model
from shared.http.described import json_body
from shared.http.paths import Segment
from shared.http.problems import CONFLICT, INVALID, Problem, unavailable
from shared.log.port import LogRefused, LogUnavailable


def publications_router(desk: Desk) -> APIRouter:
    """The route. It needs the scope lifecycles:publish: lifecycles are the same for every tenant."""
    at = _Publications(desk)
    routes = APIRouter(tags=["lifecycles"])
    described = {409: "somebody else has just published", 422: "each error has its place", 503: "send the same again"}
    routes.post(
        "/v1/lifecycles/{name}/publications",
        status_code=202,
        openapi_extra={"requestBody": json_body(PublicationIn)},
        responses={status: {"description": text} for status, text in described.items()},
    )(at.publish)
    return routes


@dataclass(frozen=True, slots=True)
class _Publications:
    """What the route does."""

    desk: Desk

    async def publish(self, request: Request, name: Segment, caller: Publisher) -> PublishedOut:
        """Make a text the active version of its lifecycle, or an earlier version again, while everything runs.

        202: it is stored, and every partition was told; each changes over at one place among its events. The same text or
        version once more publishes nothing and tells the partitions again, which is what to do after a 503. What lacks a
        stage that a campaign waits for is refused.
        """
        given = await read_model(request, PublicationIn)
        file, pointer = f"{name}.yaml", "/text" if given.text is not None else "/version"
        try:
            definition = await self._definition(name, given, file)
            await self._check_campaigns(definition, pointer)
            wish = Wish(given.message, given.author or caller.key_id, now_ms(), given.notify, given.migrate)
            published = await self._publish(definition, wish)
        except DefinitionError as error:
            raise definition_problem(error, file, pointer) from None
        return PublishedOut(**told_publication(published.publication), new=published.new)

    async def _definition(self, name: str, given: PublicationIn, file: str) -> Definition:
        """What is to be active. Raises DefinitionError, Problem."""
        await self.desk.active(name)
        if given.text is None:
            return await self._stored(name, given.version)
        text = given.text
        definition = await self.desk.aside(lambda: parse_definition(file, text))
        if definition.name != name:
            advice = f"post it to /v1/lifecycles/{definition.name}/publications, or mend the name"
            wrong = FieldError("/text", f"this is the lifecycle {definition.name}, not {name}", advice)
            raise Problem(INVALID, wrong.detail, [wrong])
        return definition

    async def _stored(self, name: str, version: int | None) -> Definition:
        try:
            return await self.desk.definition(await self.desk.version(name, version))
        except Problem as problem:
            advice = f"GET /v1/lifecycles/{name} lists what was published"
            raise Problem(INVALID, problem.detail, [FieldError("/version", problem.detail, advice)]) from None

    async def _check_campaigns(self, definition: Definition, pointer: str) -> None:
        """Raises Problem, which lists what campaigns wait for and would never come."""
        if wrong := await self.desk.aside(lambda: self.desk.check_campaigns(definition)):
            advice = "keep what the campaign waits for, or change the campaign first"
            raise Problem(INVALID, str(wrong[0]), [FieldError(pointer, str(each), advice) for each in wrong])

    async def _publish(self, definition: Definition, wish: Wish) -> Published:
        """A stored text keeps its number, so an earlier version is published as its text is. Raises Problem."""
        try:
            return await publish(self.desk.resources.database, self.desk.resources.log, definition, wish)
        except DatabaseConflict as error:
            raise Problem(CONFLICT, str(error)) from None
        except LogUnavailable:
            detail = "it is stored, but the log is away and not every partition was told; send the same request again"
            raise unavailable(detail) from None
        except (DefinitionError, LogRefused):
            raise
        except Permanent as error:
            advice = 'add "migrate": {"old": "new"} to the request, or migrate: to the text'
            raise Problem(INVALID, str(error), [FieldError("/migrate", str(error), advice)]) from None
