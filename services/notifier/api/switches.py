"""Kill switches: turn a channel off for a tenant; what is due from the next claim on is suppressed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel
from sqlalchemy import select

from services.notifier.api.reading import Desk
from services.notifier.domain.delivery import Channel
from services.notifier.store import tables
from shared.auth.dependency import require
from shared.auth.scopes import Caller, Scope
from shared.contracts.times import to_text

Writer = Annotated[Caller, Depends(require(Scope.CAMPAIGNS_WRITE))]
_COLUMNS = ("tenant", "channel", "since_ms", "reason")


class SwitchOut(BaseModel):
    """A channel; `off_since` is null while it sends."""

    channel: str
    off_since: str | None


class SwitchesOut(BaseModel):
    """All channels of the tenant."""

    switches: list[SwitchOut]


def router(desk: Desk) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/switches", tags=["switches"])

    @routes.get("", response_model=SwitchesOut)
    async def list_all(caller: Writer) -> SwitchesOut:
        """Which channels are off."""
        return await _switches(desk, caller.tenant)

    @routes.put("/{channel}", response_model=SwitchesOut)
    async def turn_off(channel: Channel, caller: Writer) -> SwitchesOut:
        """Send nothing more through this channel; what is under way ends."""
        async with desk.database.transaction() as tx:
            row = (caller.tenant, str(channel), desk.clock(), f"by key {caller.key_id}")
            await tx.insert_new(tables.switches, _COLUMNS, [row], ("channel",))
        return await _switches(desk, caller.tenant)

    @routes.delete("/{channel}", status_code=204)
    async def turn_on(channel: Channel, caller: Writer) -> Response:
        """Send again; what was suppressed meanwhile stays so."""
        async with desk.database.transaction() as tx:
            await tx.delete_many(tables.switches, ("tenant", "channel"), [(caller.tenant, str(channel))])
        return Response(status_code=204)

    return routes


async def _switches(desk: Desk, tenant: str) -> SwitchesOut:
    table = tables.switches.c
    async with desk.database.reading() as tx:
        rows = await tx.execute(select(table.channel, table.since_ms).where(table.tenant == tenant))
        off = {row[0]: row[1] for row in map(tuple, rows)}
    listed = [SwitchOut(channel=one, off_since=to_text(off[one]) if one in off else None) for one in Channel]
    return SwitchesOut(switches=listed)
