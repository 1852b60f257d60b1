"""Whoever lives long histories again to answer a question does that with no snapshot open: the server would end it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from services.stage_engine import rebuilding
from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.planning import foreseeing
from services.stage_engine.planning.candidate import load_candidate
from services.stage_engine.planning.foreseeing import Foreseeing
from services.stage_engine.publications import catching_up
from services.stage_engine.rebuilding import Rebuild
from services.stage_engine.rulebook import RuleBook
from shared.auth.tenants import Tenants
from shared.contracts.times import now_ms
from shared.db.port import Database, Transaction
from tests.integration.stage_engine.engines import engine_running
from tests.integration.stage_engine.events import append, purchase
from tests.integration.stage_engine.observing import until_handled
from tests.integration.stage_engine.stack import Stack

CLUB = """
lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}, gold: {order: 3}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
"""
COUNTED = CLUB.replace("stages:", "facts: {bought: {count: purchase}}\nstages:") + (
    '  - {id: many, from: member, to: gold, when: "facts.bought >= 2"}\n'
)
NAMES = [f"c{number}" for number in range(7)]


@dataclass
class Watched:
    """A database that knows how many of its snapshots are open, and how many were while lives were lived."""

    database: Database
    open: int = 0
    meanwhile: list[int] = field(default_factory=list)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        async with self.database.reading() as transaction:
            self.open += 1
            yield transaction
            self.open -= 1

    def watching(self, lives: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, with a look at what is open when it is called."""

        def lived(*given: Any) -> Any:
            self.meanwhile.append(self.open)
            return lives(*given)

        return lived


@asynccontextmanager
async def left_behind(stack: Stack, tmp_path: Path) -> AsyncIterator[Watched]:
    """What an engine has left of customers who bought twice."""
    file = tmp_path / "club.yaml"
    file.write_text(CLUB)
    async with stack.process(lifecycles=(str(file),)) as resources:
        async with engine_running(resources):
            await append(resources.log, [purchase(name, f"{name}-{turn}") for name in NAMES for turn in range(2)])
            await until_handled(resources.database, resources.log)
        yield Watched(resources.database)


async def test_rebuild(sql_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with left_behind(sql_stack, tmp_path) as watched:
        monkeypatch.setattr(rebuilding, "replay", watched.watching(catching_up.replay))
        rulebook = RuleBook({}, Tenants(watched.database), "BRL")
        work = Rebuild(cast(Database, watched), rulebook, 1_000, page=3)
        pages = [(page.customers, watched.open) async for page in work.pages()]
        assert pages == [(3, 0), (3, 0), (1, 0)]
        assert watched.meanwhile == [0] * len(NAMES)


async def test_plan(sql_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with left_behind(sql_stack, tmp_path) as watched:
        monkeypatch.setattr(foreseeing, "_HISTORIES_AT_ONCE", 2)
        monkeypatch.setattr(foreseeing, "meet_all", watched.watching(catching_up.meet_all))
        rulebook = RuleBook({}, Tenants(watched.database), "BRL")
        candidate = await load_candidate(watched.database, rulebook, parse_definition("club.yaml", COUNTED), {})
        plan = Foreseeing(cast(Database, watched), candidate, 1_000, now_ms(), page=5)
        found = [each async for page in plan.pages() for each in page]
        assert [each.customer.customer_id for each in found] == NAMES
        assert all(each.changes[0].to == "gold" for each in found)
        assert watched.meanwhile == [0] * len(NAMES)
