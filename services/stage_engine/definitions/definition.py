"""A lifecycle definition: read from YAML, checked whole, compiled for a currency."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from pathlib import Path as FilePath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from services.stage_engine.definitions.cel import CelCondition
from services.stage_engine.definitions.expressions import ConditionError, Scope, did_you_mean, names_in
from services.stage_engine.definitions.file_model import FollowPart, LifecycleFile, TransitionPart
from services.stage_engine.definitions.other_stages import check_stage_uses
from services.stage_engine.definitions.own_facts import compile_facts, fact_types
from services.stage_engine.definitions.own_facts import problems as fact_problems
from services.stage_engine.definitions.shape_messages import file_path, tell
from services.stage_engine.definitions.yaml_source import (
    MAX_PROBLEMS,
    DefinitionError,
    Document,
    Path,
    Problem,
    decoded,
)
from services.stage_engine.domain.facts import BUILT_IN, FactType
from services.stage_engine.domain.lifecycle import Lifecycle, Stage, Transition, Wait
from shared.errors import Permanent

SHIPPED = FilePath(__file__).parent.parent / "lifecycles"


@dataclass(frozen=True)
class Definition:
    """A checked definition. Two with the same `digest` say the same; `body` is the text as it was written."""

    name: str
    body: str
    file: str
    shape: LifecycleFile

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.body.encode()).hexdigest()

    @property
    def reads_stages(self) -> tuple[str, ...]:
        """The lifecycles whose stages its conditions name, by name."""
        named = {each for part in self.shape.transitions for each in names_in(part.when or "")}
        return tuple(sorted(name for kind, name in named if kind == "stages"))

    def compile(self, version: int, currency: str) -> Lifecycle:
        """The runnable form, with money read in `currency` (ISO 4217)."""
        shape = self.shape
        scope = Scope.over_facts(fact_types(shape.facts, currency), currency)
        return Lifecycle(
            name=shape.lifecycle,
            version=version,
            start=shape.start,
            lateness_ms=shape.lateness,
            stages={
                key: Stage(key, part.order, {str(locale): label for locale, label in part.label.items()}, part.side)
                for key, part in shape.stages.items()
            },
            transitions=tuple(_transition(part, scope) for part in shape.transitions),
            own=compile_facts(shape.facts, ZoneInfo(shape.time_zone), currency),
        )

    def condition(self, source: str, event_types: frozenset[str], currency: str) -> CelCondition:
        """Another condition over the same facts, such as a part of one of the file's. Raises ConditionError."""
        scope = Scope.over_facts(fact_types(self.shape.facts, currency), currency)
        return compiled_condition(source, replace(scope, event_types=event_types))


def shipped_or_path(name: str) -> FilePath:
    """The file of a shipped lifecycle, or the path itself. Raises Permanent that lists what is shipped."""
    path = SHIPPED / f"{name}.yaml" if "/" not in name and not name.endswith((".yaml", ".yml")) else FilePath(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
        raise Permanent(f"there is no lifecycle {name!r}; shipped are {known}; a path to a YAML file works too")
    return path


def load_definition(path: FilePath) -> Definition:
    """Read and check a file. Raises DefinitionError that lists every problem with its line and column."""
    return parse_definition(str(path), decoded(str(path), path.read_bytes()))


def parse_definition(file: str, text: str) -> Definition:
    """The same for text that was read already; `file` is for messages."""
    document = Document(file, text)
    try:
        shape = LifecycleFile.model_validate(document.value)
    except ValidationError as error:
        first = error.errors(include_url=False)[: MAX_PROBLEMS + 1]
        raise DefinitionError([_shape_problem(document, each) for each in first]) from None
    if problems := list(islice(_problems(document, shape), MAX_PROBLEMS + 1)):
        raise DefinitionError(problems)
    return Definition(shape.lifecycle, text, file, shape)


def _shape_problem(document: Document, error: Mapping[str, Any]) -> Problem:
    path = file_path(error["loc"])
    return document.problem(path, tell(path, error))


def _problems(document: Document, shape: LifecycleFile) -> Iterator[Problem]:
    if shape.start not in shape.stages:
        meant = did_you_mean(shape.start, shape.stages)
        yield document.problem(("start",), f"start is `{shape.start}`, which is no stage of this file{meant}")
    for old, new in shape.migrate.items():
        if old in shape.stages:
            yield document.problem(
                ("migrate", old),
                f"`{old}` is a stage of this file; only stages that are no more migrate, so leave it out",
            )
        if new not in shape.stages:
            meant = did_you_mean(new, shape.stages)
            yield document.problem(("migrate", old), f"`{old}` goes to `{new}`, which is no stage of this file{meant}")
    in_facts = list(fact_problems(document, shape.facts))
    yield from in_facts
    known = BUILT_IN if in_facts else fact_types(shape.facts, "BRL")
    seen: set[str] = set()
    for index, part in enumerate(shape.transitions):
        path: Path = ("transitions", index)
        if part.id in seen:
            yield document.problem(
                (*path, "id"), f"the id `{part.id}` is taken by an earlier transition; give this one another"
            )
        seen.add(part.id)
        yield from _edge_problems(document, shape, part, path)
        if not in_facts:
            # With a broken fact every condition that names it would be called wrong as well.
            yield from _fact_uses(document, shape, known, index)


def _edge_problems(document: Document, shape: LifecycleFile, part: TransitionPart, path: Path) -> Iterator[Problem]:
    named: list[tuple[Path, str]] = [((*path, "from", at), key) for at, key in enumerate(part.from_)]
    missing = [(place, key) for place, key in [*named, ((*path, "to"), part.to)] if key not in shape.stages]
    for place, key in missing:
        meant = did_you_mean(key, shape.stages)
        yield document.problem(place, f"`{part.id}` names the stage `{key}`, which is not declared under stages{meant}")
    if part.to in part.from_:
        yield document.problem(path, f"`{part.id}` leads from `{part.to}` to itself; leave it out of `from`")
    if part.on is None and part.when is None and part.after is None:
        yield document.problem(path, f"`{part.id}` would always hold; give it `on`, `when` or `after`")
    if not missing and not part.demotion and (higher := _higher_sources(shape, part)):
        yield document.problem(
            path, f"`{part.id}` leads down from {', '.join(higher)}; say `demotion: true` if that is meant"
        )


def _higher_sources(shape: LifecycleFile, part: TransitionPart) -> list[str]:
    return [key for key in part.from_ if shape.stages[key].order > shape.stages[part.to].order]


def _fact_uses(
    document: Document, shape: LifecycleFile, known: Mapping[str, FactType], index: int
) -> Iterator[Problem]:
    """What is wrong with the facts that a transition names."""
    part, path = shape.transitions[index], ("transitions", index)
    if part.since is not None and part.after is None:
        yield document.problem(
            (*path, "since"), f"`{part.id}` has `since` without `after`; say how long, such as after: 60d"
        )
    if (base := part.since_fact) is not None:
        yield from _steady(document, shape, (*path, "since"), _Wanted(base, FactType.TIME, known))
    if isinstance(part.after, FollowPart):
        wanted = _Wanted(part.after.fact, FactType.DURATION, known)
        yield from _steady(document, shape, (*path, "after", "fact"), wanted)
    if part.when is not None:
        try:
            _condition(part, Scope.over_facts(known, "BRL"))
            check_stage_uses(part.when)
        except ConditionError as error:
            yield document.problem_inside((*path, "when"), error.offset, f"`{part.id}`: {error.message}")


class _Wanted(NamedTuple):
    """A fact that is named where only one type will do."""

    name: str
    type: FactType
    known: Mapping[str, FactType]


def _steady(document: Document, shape: LifecycleFile, path: Path, wanted: _Wanted) -> Iterator[Problem]:
    """A wait goes by facts that events alone change: otherwise its end would move while nothing happens."""
    right = [name for name, kind in wanted.known.items() if kind is wanted.type and _is_steady(shape, name)]
    if wanted.name in right:
        return
    holds = "a time" if wanted.type is FactType.TIME else "a duration"
    there = ", ".join(f"facts.{name}" for name in right) or "declare one under facts:"
    more = "entered, " if wanted.type is FactType.TIME else ""
    why = f"facts.{wanted.name} is no fact that holds {holds}"
    if wanted.known.get(wanted.name) is wanted.type:
        why = f"facts.{wanted.name} has a window or is computed, so it changes while nothing happens"
    advice = f"these are: {more}{there}"
    if wanted.name not in wanted.known and (close := get_close_matches(wanted.name, right, 1)):
        advice = f"did you mean `facts.{close[0]}`?"
    yield document.problem(path, f"{why}; {advice}")


def _is_steady(shape: LifecycleFile, name: str) -> bool:
    part = shape.facts.get(name)
    return part is None or (part.within is None and part.kind != "expr")


def _condition(part: TransitionPart, scope: Scope) -> CelCondition:
    return compiled_condition(part.when or "", replace(scope, event_types=frozenset(part.on or ())))


@lru_cache(maxsize=10_000)
def compiled_condition(source: str, scope: Scope) -> CelCondition:
    """A condition; the same text in the same scope is compiled once."""
    return CelCondition(source, scope)


def _transition(part: TransitionPart, scope: Scope) -> Transition:
    return Transition(
        id=part.id,
        sources=frozenset(part.from_),
        target=part.to,
        on=frozenset(part.on or ()),
        when=_condition(part, scope) if part.when else None,
        after=_wait(part.after),
        since=part.since_fact,
    )


def _wait(after: int | FollowPart | None) -> Wait | None:
    if isinstance(after, FollowPart):
        return Wait(fact=after.fact, times=after.times, min_ms=after.min or 0, max_ms=after.max)
    return None if after is None else Wait(after)
