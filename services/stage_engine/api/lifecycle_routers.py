"""Everything about lifecycles over HTTP, put together once for a process."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from services.stage_engine.api.desk import CheckCampaigns, Desk
from services.stage_engine.api.lifecycles import lifecycles_router
from services.stage_engine.api.linting import linting_router
from services.stage_engine.api.publications import publications_router
from services.stage_engine.api.simulations import simulations_router
from services.stage_engine.api.tenant import tenant_router
from services.stage_engine.simulating.story import ReadStory
from shared.service import Resources


def lifecycle_routers(
    resources: Resources, read_story: ReadStory | None, check_campaigns: CheckCampaigns
) -> Sequence[APIRouter]:
    """The routes under /v1/lifecycles, /v1/lifecycle-schema and /v1/tenant; simulations where stories can be read."""
    desk = Desk(resources, check_campaigns)
    simulations = [] if read_story is None else [simulations_router(desk, read_story)]
    return [lifecycles_router(desk), linting_router(desk), publications_router(desk), tenant_router(desk), *simulations]
