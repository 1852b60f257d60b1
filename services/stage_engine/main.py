"""Builds the stage engine for a process."""

from __future__ import annotations

from services.stage_engine.api.desk import CheckCampaigns, no_campaigns
from services.stage_engine.engine import StageEngine
from services.stage_engine.simulating.story import ReadStory
from shared.service import Resources


def build(
    resources: Resources, read_story: ReadStory | None = None, check_campaigns: CheckCampaigns = no_campaigns
) -> StageEngine:
    """The engine, not yet running. Without `read_story` it simulates nothing over HTTP."""
    return StageEngine(resources, read_story=read_story, check_campaigns=check_campaigns)
