"""Lifecycle files become versions when they are new; a file that differs from the active version ends the start."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from services.stage_engine.definitions.definition import load_definition
from services.stage_engine.definitions.registering import DefinitionDiffers, register
from services.stage_engine.main import build
from services.stage_engine.publications.publishing import Request, publish
from services.stage_engine.publications.versions import renewed
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import progress, tables
from services.stage_engine.store.progress import Versions
from shared.auth.tenants import Tenants
from shared.contracts.times import now_ms
from shared.errors import Permanent
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


async def test_an_engine_that_leaves_one_out_does_not_start_unless_it_is_retired(
    sql_stack: Stack, tmp_path: Path
) -> None:
    silence = silence_file(tmp_path, after="1d")
    async with sql_stack.process(lifecycles=("ecommerce", silence)) as resources, engine_running(resources):
        await append(resources.log, [visit("ana"), visit("bia")])
        await until_handled(resources.database, resources.log)
    async with sql_stack.process(lifecycles=("ecommerce",)) as resources:
        with pytest.raises(Permanent, match=r"go by silence, .* JORNADA_RETIRED_LIFECYCLES=silence"):
            async with asyncio.timeout(20):
                await build(resources).run(asyncio.Event())
    retired = {"lifecycles": ("ecommerce",), "retired_lifecycles": ("silence",)}
    async with sql_stack.process(**retired) as resources, engine_running(resources):
        await append(resources.log, [purchase("ana")])
        await until_handled(resources.database, resources.log)
        assert await path(resources.database, "ana", "silence") == ["active"]
        assert (await path(resources.database, "ana"))[-1] == "first_time_customer"


@pytest.mark.parametrize("before", [{"ecommerce": 1}, {}])
async def test_one_that_comes_back_to_a_partition_comes_as_it_was_published_last(
    sql_stack: Stack, tmp_path: Path, before: Versions
) -> None:
    """Whatever was active when this process started."""
    file = Path(silence_file(tmp_path, after="1d"))
    async with sql_stack.process(lifecycles=(str(file),)) as resources:
        database = resources.database
        rulebook = RuleBook(await register(database, (str(file),), now_ms()), Tenants(database), "BRL")
        silence_file(tmp_path, after="2d")
        wish = Request("a test", "tester", now_ms())
        await publish(database, resources.log, load_definition(file), wish)
        claim, at = await progress.claim(database, 0, "me", "log")
        async with database.transaction() as transaction:
            left = replace(at, versions=before, activation=1)
            back = await renewed(transaction, rulebook, claim, left)
        assert back.versions == {"silence": 2}
        assert back.activation > left.activation
        assert rulebook.definition("silence", 2).shape.transitions


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
