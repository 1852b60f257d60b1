"""`/v1/tenant/default-lifecycle`: which lifecycle a tenant means where a request names none."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from services.stage_engine.api.desk import Admin, Desk, Reader
from services.stage_engine.api.known import none_registered
from services.stage_engine.api.lifecycle_forms import DefaultIn, DefaultOut
from services.stage_engine.default_lifecycle import default_of
from services.stage_engine.store import default_lifecycles, lifecycles
from shared.contracts.field_errors import FieldError, did_you_mean
from shared.http.body import read_model
from shared.http.described import json_body
from shared.http.problems import INVALID, Problem


def tenant_router(desk: Desk) -> APIRouter:
    """The routes. Reading needs customers:read, choosing admin; a caller chooses for their own tenant."""
    at = _Choice(desk)
    routes = APIRouter(prefix="/v1/tenant", tags=["tenant"])
    routes.get("/default-lifecycle")(at.get)
    routes.put("/default-lifecycle", openapi_extra={"requestBody": json_body(DefaultIn)})(at.choose)
    routes.delete("/default-lifecycle", status_code=204)(at.take_back)
    return routes


@dataclass(frozen=True, slots=True)
class _Choice:
    """What each route does."""

    desk: Desk

    async def get(self, caller: Reader) -> DefaultOut:
        """The lifecycle that the caller's tenant means where none is named."""
        async with self.desk.resources.database.reading() as transaction:
            found = await default_of(transaction, caller.tenant, self.desk.resources.settings)
        return DefaultOut(lifecycle=found.lifecycle, chosen=found.chosen)

    async def choose(self, request: Request, caller: Admin) -> DefaultOut:
        """Mean another one from now on."""
        given = await read_model(request, DefaultIn)
        async with self.desk.resources.database.transaction() as transaction:
            known = [each.name for each in await lifecycles.newest(transaction)]
            _check(given.lifecycle, known)
            await default_lifecycles.choose(transaction, caller.tenant, given.lifecycle)
        return DefaultOut(lifecycle=given.lifecycle, chosen=True)

    async def take_back(self, caller: Admin) -> Response:
        """Mean what the settings say again."""
        async with self.desk.resources.database.transaction() as transaction:
            await default_lifecycles.choose(transaction, caller.tenant, None)
        return Response(status_code=204)


def _check(name: str, known: list[str]) -> None:
    """Raises Problem 422 for a lifecycle that nobody has registered, 503 before there is any."""
    if not known:
        raise none_registered()
    if name not in known:
        wrong = FieldError("/lifecycle", f"no lifecycle {name!r} is registered", did_you_mean(name, known))
        raise Problem(INVALID, wrong.detail, [wrong])
