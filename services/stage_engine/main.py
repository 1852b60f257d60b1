"""Builds the stage engine for a process."""

from __future__ import annotations

from services.stage_engine.engine import StageEngine
from shared.service import Resources


def build(resources: Resources) -> StageEngine:
    """The engine, not yet running."""
    return StageEngine(resources)
