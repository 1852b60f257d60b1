"""Lifecycle files become versions when they are new; a file that differs from the active version ends the start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.stage_engine.definitions.registering import DefinitionDiffers
from services.stage_engine.main import build
from services.stage_engine.store import tables
from tests.integration.stage_engine.engines import engine_running, silence_file
from tests.integration.stage_engine.events import append, purchase, visit
from tests.integration.stage_engine.observing import path, rows, until_handled
from tests.integration.stage_engine.stack import Stack


async def test_a_new_file_becomes_version_one_and_the_same_file_starts_again(sql_stack: Stack, tmp_path: Path) -> None:
    chosen = silence_file(tmp_path, after="1d")
    async with sql_stack.process(lifecycles=(chosen,)) as resources:
        for event in (visit("ana"), purchase("ana")):
            async with engine_running(resources):
                await append(resources.log, [event])
                await until_handled(resources.database, resources.log)
        stored = await rows(resources.database, tables.lifecycles)
        assert [(row["name"], row["version"]) for row in stored] == [("silence", 1)]
        assert stored[0]["body"].startswith("lifecycle: silence\n")
        assert await path(resources.database, "ana", "silence") == ["active", "safe"]


async def test_a_differing_file_is_refused_with_what_can_be_done(sql_stack: Stack, tmp_path: Path) -> None:
    chosen = silence_file(tmp_path, after="1d")
    async with sql_stack.process(lifecycles=(chosen,)) as resources:
        async with engine_running(resources):
            await append(resources.log, [visit("ana")])
            await until_handled(resources.database, resources.log)
        silence_file(tmp_path, after="2d")
        with pytest.raises(DefinitionDiffers, match="jornada lifecycle publish"):
            async with asyncio.timeout(20):
                await build(resources).run(asyncio.Event())
        assert len(await rows(resources.database, tables.lifecycles)) == 1


async def test_a_lifecycle_added_later_takes_up_customers_at_their_next_event(sql_stack: Stack, tmp_path: Path) -> None:
    async with sql_stack.process(lifecycles=("ecommerce",)) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana", "o1")])
        await until_handled(resources.database, resources.log)
    both = ("ecommerce", silence_file(tmp_path, after="1d"))
    async with sql_stack.process(lifecycles=both) as resources, engine_running(resources):
        await append(resources.log, [visit("ana")])
        await until_handled(resources.database, resources.log)
        assert await path(resources.database, "ana", "silence") == ["active"]
        assert await path(resources.database, "ana") == ["prospect", "first_time_customer"]
