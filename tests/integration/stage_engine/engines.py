"""Engines that run inside the test's process, and lifecycles short enough to be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.stage_engine.engine import StageEngine
from services.stage_engine.main import build
from shared.service import Resources


@asynccontextmanager
async def engine_running(resources: Resources) -> AsyncIterator[StageEngine]:
    """An engine at work; stopped in order at the end, and ending the test at once if it fails."""
    engine, stopping = build(resources), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.run(stopping))
        try:
            yield engine
        finally:
            stopping.set()


def lifecycle_file(
    folder: Path, name: str, *edges: str, lateness: str = "1s", stages: str = "active quiet safe"
) -> str:
    """A lifecycle of a few stages by rising order, the first one the start; gives the file's path."""
    keys = stages.split()
    lines = [f"lifecycle: {name}", f"start: {keys[0]}", f"lateness: {lateness}", "stages:"]
    lines += [f"  {key}: {{order: {10 * place}}}" for place, key in enumerate(keys)]
    lines += ["transitions:", *(f"  - {{{edge}}}" for edge in edges), ""]
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines))
    return str(path)


def silence_file(folder: Path, *, after: str = "1s", lateness: str = "1s") -> str:
    """Who stays `active` for a while goes `quiet`; a purchase makes `safe`, where nothing ever happens."""
    return lifecycle_file(
        folder,
        "silence",
        f"id: went_quiet, from: active, to: quiet, after: {after}, since: facts.last_engagement_at",
        "id: bought, from: [active, quiet], to: safe, on: purchase",
        "id: came_back, from: quiet, to: active, on: engagement, demotion: true",
        lateness=lateness,
    )
