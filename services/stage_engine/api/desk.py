"""What the routes about lifecycles share: the stored definitions, parsed aside, and how their errors are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends

from services.stage_engine.api.known import none_registered
from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.stored import parsed
from services.stage_engine.definitions.yaml_source import DefinitionError
from services.stage_engine.definitions.yaml_source import Problem as Finding
from services.stage_engine.store import lifecycles
from services.stage_engine.store.lifecycles import Stored
from shared.auth.dependency import require
from shared.auth.scopes import Caller, Scope
from shared.contracts.field_errors import FieldError, did_you_mean
from shared.http.problems import INVALID, NOT_FOUND, Problem
from shared.service import Resources

Reader = Annotated[Caller, Depends(require(Scope.CUSTOMERS_READ))]
Admin = Annotated[Caller, Depends(require(Scope.ADMIN))]
Publisher = Annotated[Caller, Depends(require(Scope.LIFECYCLES_PUBLISH))]
CheckCampaigns = Callable[[Definition], Sequence[Finding]]
"""Tells of campaigns that wait for stages which a definition lacks. Handed in, for the engine knows no campaigns."""
_T = TypeVar("_T")


def no_campaigns(_definition: Definition) -> Sequence[Finding]:
    """Where nobody has told of any."""
    return ()


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes work with. Reading a definition takes up to a second of a processor: that is done in a thread, one
    at a time, so that events and other requests go on meanwhile."""

    resources: Resources
    check_campaigns: CheckCampaigns = no_campaigns
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def aside(self, work: Callable[[], _T]) -> _T:
        """What `work` gives. It must be pure, but for reading files."""
        async with self._turn:
            return await asyncio.to_thread(work)

    async def definition(self, stored: Stored) -> Definition:
        """A stored version, parsed."""
        return await self.aside(lambda: parsed(stored))

    async def active(self, name: str) -> Stored:
        """The active version of a lifecycle. Raises Problem 404 that names those there are."""
        async with self.resources.database.reading() as transaction:
            return find_active(await lifecycles.newest(transaction), name)

    async def version(self, name: str, version: int | None) -> Stored:
        """A version of a lifecycle, the active one unless told otherwise. Raises Problem 404."""
        async with self.resources.database.reading() as transaction:
            active = find_active(await lifecycles.newest(transaction), name)
            if version is None or version == active.version:
                return active
            found = await lifecycles.versions(transaction, {name: version}) if version < 2**31 else []
        if not found:
            raise Problem(NOT_FOUND, f"{name} has no version {version}; version {active.version} is active")
        return found[0]


class PlacedError(FieldError, frozen=True, omit_defaults=True):
    """Something wrong in a text that was sent, with its place there; both count from 1."""

    line: int = 0
    column: int = 0


def find_active(active: Iterable[Stored], name: str) -> Stored:
    """The active version of a lifecycle. Raises Problem 404 that names those there are, 503 before there is any."""
    found = {each.name: each for each in active}
    if not found:
        raise none_registered()
    if name not in found:
        raise Problem(NOT_FOUND, f"no lifecycle {name[:200]!r} is registered; {did_you_mean(name, found)}")
    return found[name]


def definition_problem(error: DefinitionError, file: str, pointer: str) -> Problem:
    """422 with every problem of a text that was sent as `file`, and stands at `pointer` in the body."""
    errors: Sequence[FieldError] = [
        PlacedError(pointer, each.message, line=each.line, column=each.column)
        if each.file == file
        else FieldError(pointer, str(each))
        for each in error.problems
    ]
    return Problem(INVALID, f"the definition can't be used: {error.problems[0]}", errors)
