"""What the lives of a customer begin with whose early history is trimmed: only what both sets of rules can start from. Pure.

The base state was made by the rules of its day. Built-in facts are the same under any. A lifecycle is gone on with where
both sets of rules still have its stage, or say where its customers go; otherwise it begins anew. Its own facts are kept
where their definition is the same, and count from the base on where it is not, as they do when it is published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from services.stage_engine.backtesting.lives import Beginning
from services.stage_engine.domain.advance import NO_TALLIES, advance
from services.stage_engine.domain.event import Activation
from services.stage_engine.domain.state import CustomerState, LifecycleState
from services.stage_engine.planning.candidate import Candidate
from services.stage_engine.store.progress import Versions


class Base(NamedTuple):
    """What trimmed history has come to at `at_ms`, under these versions."""

    state: CustomerState
    at_ms: int
    versions: Versions


def beginning(candidate: Candidate, versions: Versions, tenant: str, base: Base) -> Beginning:
    """What a life under these versions, the active ones or the candidate's, begins with."""
    rules = candidate.rulebook.rules_of(versions)(tenant)
    changed = [each for each in rules.lifecycles if base.versions.get(each.name) != each.version]
    kept = {
        name: _adapted(candidate, (base.versions.get(name), versions[name]), name, current)
        for name, current in base.state.lifecycles.items()
        if name in versions and _can_go_on(candidate, name, current.stage)
    }
    state = replace(base.state, lifecycles=kept)
    for lifecycle in changed:
        migrate = _migrate(candidate, lifecycle.name, versions)
        told = Activation(state.activation, base.at_ms, lifecycle.name, lifecycle.version, "base", migrate=migrate)
        state = advance(rules, state, told).state
    return Beginning(state, base.at_ms)


def _can_go_on(candidate: Candidate, name: str, stage: str) -> bool:
    """Whether both sets of rules know what to do with a customer in this stage."""
    return all(
        _migrate(candidate, name, versions).get(stage, stage)
        in candidate.rulebook.definition(name, versions[name]).shape.stages
        for versions in (candidate.active, candidate.versions)
        if name in versions
    )


def _migrate(candidate: Candidate, name: str, versions: Versions) -> Mapping[str, str]:
    return candidate.migrate if name == candidate.definition.name and versions is candidate.versions else {}


def _adapted(
    candidate: Candidate, versions: tuple[int | None, int], name: str, current: LifecycleState
) -> LifecycleState:
    """Tallies of other facts than those of the new version would mean something else there."""
    before, after = versions
    if before == after:
        return current
    old = None if before is None else candidate.rulebook.definition(name, before).shape
    new = candidate.rulebook.definition(name, after).shape
    same = old is not None and (old.facts, old.time_zone) == (new.facts, new.time_zone)
    return replace(current, tallies=current.tallies if same else NO_TALLIES)
