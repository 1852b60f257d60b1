"""`GET /v1/lifecycles…`: which lifecycles there are, what they say and said, what differs, and how they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, PlainTextResponse, Response

from services.stage_engine.api.desk import Desk, Reader
from services.stage_engine.api.lifecycle_forms import (
    LifecycleOut,
    LifecyclesOut,
    LifecycleWhole,
    PublicationOut,
    told_lifecycle,
    told_publication,
)
from services.stage_engine.default_lifecycle import default_of, running
from services.stage_engine.definitions.diagram import mermaid
from services.stage_engine.definitions.differences import difference
from services.stage_engine.definitions.schema import json_schema
from services.stage_engine.definitions.stored import parsed
from services.stage_engine.store import lifecycles, publications
from shared.http.paths import Segment

YAML: Final = "application/yaml"
_MOST_PUBLICATIONS = 100
_Version = Annotated[int, Query(ge=1)]


def lifecycles_router(desk: Desk) -> APIRouter:
    """The routes. All but the schema need the scope customers:read; lifecycles are the same for every tenant."""
    at = _Lifecycles(desk)
    routes = APIRouter(tags=["lifecycles"])
    routes.get("/v1/lifecycles")(at.list_all)
    routes.get("/v1/lifecycles/{name}")(at.get)
    routes.get("/v1/lifecycles/{name}/versions/{version}", response_class=Response, responses=_text(YAML))(at.text_of)
    routes.get("/v1/lifecycles/{name}/diff")(at.diff)
    routes.get("/v1/lifecycles/{name}/diagram", response_class=PlainTextResponse)(at.diagram)
    routes.get("/v1/lifecycle-schema")(_schema)
    return routes


@dataclass(frozen=True, slots=True)
class _Lifecycles:
    """What each route does."""

    desk: Desk

    async def list_all(self, caller: Reader) -> LifecyclesOut:
        """The registered lifecycles in their active versions, with their stages in order."""
        settings = self.desk.resources.settings
        async with self.desk.resources.database.reading() as transaction:
            found = await lifecycles.newest(transaction)
            default = await default_of(transaction, caller.tenant, settings)
        told = []
        for each in found:
            definition = await self.desk.definition(each)
            flags = {"default": each.name == default.lifecycle, "running": each.name in running(settings)}
            told.append(LifecycleOut(**told_lifecycle(definition, each.version, **flags)))
        return LifecyclesOut(lifecycles=told)

    async def get(self, name: Segment, caller: Reader) -> LifecycleWhole:
        """One lifecycle, with the text of its active version and its newest publications, the last one first."""
        settings = self.desk.resources.settings
        stored = await self.desk.active(name)
        async with self.desk.resources.database.reading() as transaction:
            published = await publications.of_lifecycle(transaction, name)
            default = await default_of(transaction, caller.tenant, settings)
        definition = await self.desk.definition(stored)
        flags = {"default": name == default.lifecycle, "running": name in running(settings)}
        return LifecycleWhole(
            **told_lifecycle(definition, stored.version, **flags),
            text=stored.body,
            publications=[
                PublicationOut(**told_publication(each)) for each in published[: -_MOST_PUBLICATIONS - 1 : -1]
            ],
        )

    async def text_of(self, name: Segment, version: int, caller: Reader) -> Response:
        """The text of a version, as it was published."""
        stored = await self.desk.version(name, version)
        return Response(stored.body.encode(), media_type=YAML)

    async def diff(
        self, name: Segment, caller: Reader, before: _Version, after: _Version | None = None
    ) -> dict[str, Any]:
        """What differs between two versions (`after` is the active one when left out): names of stages, transitions and
        facts that were added, removed or changed, and the lines of a unified diff."""
        old, new = await self.desk.version(name, before), await self.desk.version(name, after)
        found = await self.desk.aside(lambda: difference(parsed(old), parsed(new)))
        return {"lifecycle": name, "before": old.version, "after": new.version, **found.as_json()}

    async def diagram(self, name: Segment, caller: Reader, version: _Version | None = None) -> PlainTextResponse:
        """The lifecycle as a Mermaid state diagram; the active version when none is named."""
        stored = await self.desk.version(name, version)
        return PlainTextResponse(await self.desk.aside(lambda: mermaid(parsed(stored))) + "\n")


async def _schema() -> JSONResponse:
    """The JSON Schema of lifecycle files, for editors that complete and check YAML. Needs no key: editors have none."""
    return JSONResponse(json_schema(), media_type="application/schema+json")


def _text(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {"schema": {"type": "string"}}}}}
