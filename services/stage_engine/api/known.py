"""What a listing can be asked for: a misspelt lifecycle or stage has nobody in it, which would look like an answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

from services.stage_engine.definitions.yaml_source import Document
from services.stage_engine.store.lifecycles import Stored
from shared.contracts.field_errors import FieldError, did_you_mean
from shared.http.problems import INVALID, Problem, unavailable


def none_registered() -> Problem:
    """503: what to say before there is any lifecycle."""
    return unavailable("no engine has registered its lifecycles yet; the first one does so when it starts")


def find_lifecycle(registered: Iterable[Stored], name: str) -> Stored:
    """The registered lifecycle of that name, running or not. Raises Problem 422 that names those there are, 503 before there
    is any."""
    found = {each.name: each for each in registered}
    if not found:
        raise none_registered()
    if name not in found:
        raise _no_such("lifecycle", name, "there is no such lifecycle", found)
    return found[name]


def check_stage(lifecycle: Stored, stage: str, occupied: Collection[str]) -> None:
    """Raises Problem 422, naming its stages, for one that the lifecycle does not have; a stage of an earlier version is
    had for as long as somebody is in it."""
    stages = [*_stages(lifecycle), *sorted(set(occupied) - set(_stages(lifecycle)))]
    if stage not in stages:
        raise _no_such("stage", stage, f"the lifecycle {lifecycle.name} has no such stage", stages)


@lru_cache(maxsize=1_000)
def _stages(lifecycle: Stored) -> tuple[str, ...]:
    """In the order of the definition, which was checked when it was registered."""
    return tuple(Document(lifecycle.name, lifecycle.body).value["stages"])


def _no_such(parameter: str, asked: str, what: str, known: Collection[str]) -> Problem:
    error = FieldError("", f"query parameter {parameter}: {what} as {asked[:200]!r}", did_you_mean(asked, known))
    return Problem(INVALID, f"{what} as {asked[:200]!r}; there are {', '.join(known)}", [error])
