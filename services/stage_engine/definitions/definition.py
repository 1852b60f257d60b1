"""A lifecycle definition: read from YAML, checked whole, compiled for a currency."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath

from pydantic import BaseModel, ValidationError

from services.stage_engine.definitions.cel import CelCondition, ConditionError, Scope
from services.stage_engine.definitions.file_model import LifecycleFile, StagePart, TransitionPart
from services.stage_engine.definitions.yaml_source import DefinitionError, Document, Path, Problem
from services.stage_engine.domain.facts import BUILT_IN, FactType
from services.stage_engine.domain.lifecycle import Lifecycle, Stage, Transition
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

    def compile(self, version: int, currency: str) -> Lifecycle:
        """The runnable form, with money read in `currency` (ISO 4217)."""
        shape = self.shape
        return Lifecycle(
            name=shape.lifecycle,
            version=version,
            start=shape.start,
            lateness_ms=shape.lateness,
            stages={
                key: Stage(key, part.order, {str(locale): label for locale, label in part.label.items()}, part.side)
                for key, part in shape.stages.items()
            },
            transitions=tuple(_transition(part, currency) for part in shape.transitions),
        )


def shipped_or_path(name: str) -> FilePath:
    """The file of a shipped lifecycle, or the path itself. Raises Permanent that lists what is shipped."""
    path = SHIPPED / f"{name}.yaml" if "/" not in name and not name.endswith((".yaml", ".yml")) else FilePath(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
        raise Permanent(f"there is no lifecycle {name!r}; shipped are {known}; a path to a YAML file works too")
    return path


def load_definition(path: FilePath) -> Definition:
    """Read and check a file. Raises DefinitionError that lists every problem with its line and column."""
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise DefinitionError([Problem(str(path), 1, 1, f"not UTF-8 text: {error}")]) from None
    return parse_definition(str(path), text)


def parse_definition(file: str, text: str) -> Definition:
    """The same for text that was read already; `file` is for messages."""
    document = Document(file, text)
    try:
        shape = LifecycleFile.model_validate(document.value)
    except ValidationError as error:
        raise DefinitionError([_shape_problem(document, dict(each)) for each in error.errors()]) from None
    if problems := list(_problems(document, shape)):
        raise DefinitionError(problems)
    return Definition(shape.lifecycle, text, file, shape)


def _shape_problem(document: Document, error: dict[str, object]) -> Problem:
    location = error["loc"]
    path: Path = tuple(part for part in location if part != "[key]") if isinstance(location, tuple) else ()
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in (_model_at(path)).model_fields.items()]
        message = f"unknown key `{path[-1]}`; known are {', '.join(known)}"
    elif error["type"] == "missing":
        message = f"`{path[-1]}` is missing"
    return document.problem(path, message)


def _model_at(path: Path) -> type[BaseModel]:
    if len(path) > 1 and path[0] == "transitions":
        return TransitionPart
    return StagePart if len(path) > 1 and path[0] == "stages" else LifecycleFile


def _problems(document: Document, shape: LifecycleFile) -> Iterator[Problem]:
    if shape.start not in shape.stages:
        yield document.problem(("start",), f"start is `{shape.start}`, which is no stage of this file")
    seen: set[str] = set()
    for index, part in enumerate(shape.transitions):
        path: Path = ("transitions", index)
        if part.id in seen:
            yield document.problem((*path, "id"), f"the id `{part.id}` is taken by an earlier transition")
        seen.add(part.id)
        yield from _edge_problems(document, shape, part, path)


def _edge_problems(document: Document, shape: LifecycleFile, part: TransitionPart, path: Path) -> Iterator[Problem]:
    missing = [key for key in (*part.from_, part.to) if key not in shape.stages]
    for key in missing:
        yield document.problem(path, f"`{part.id}` names the stage `{key}`, which is not declared under stages")
    if part.to in part.from_:
        yield document.problem(path, f"`{part.id}` leads from `{part.to}` to itself; leave it out of `from`")
    if part.on is None and part.when is None and part.after is None:
        yield document.problem(path, f"`{part.id}` would always hold; give it `on`, `when` or `after`")
    if not missing and not part.demotion and (higher := _higher_sources(shape, part)):
        yield document.problem(
            path, f"`{part.id}` leads down from {', '.join(higher)}; say `demotion: true` if that is meant"
        )
    yield from _since_problems(document, part, path)
    if part.when is not None:
        try:
            _condition(part, "BRL")
        except ConditionError as error:
            yield document.problem_inside((*path, "when"), error.offset, f"`{part.id}`: {error.message}")


def _higher_sources(shape: LifecycleFile, part: TransitionPart) -> list[str]:
    return [key for key in part.from_ if shape.stages[key].order > shape.stages[part.to].order]


def _since_problems(document: Document, part: TransitionPart, path: Path) -> Iterator[Problem]:
    if part.since is None:
        return
    if part.after is None:
        yield document.problem(
            (*path, "since"), f"`{part.id}` has `since` without `after`; say how long, such as after: 60d"
        )
    fact = _since_fact(part)
    if fact is not None and BUILT_IN.get(fact) is not FactType.TIME:
        times = ", ".join(f"facts.{name}" for name, kind in BUILT_IN.items() if kind is FactType.TIME)
        yield document.problem(
            (*path, "since"), f"facts.{fact} is no fact that holds a time; these are: entered, {times}"
        )


def _since_fact(part: TransitionPart) -> str | None:
    return None if part.since in (None, "entered") else part.since.removeprefix("facts.")


def _condition(part: TransitionPart, currency: str) -> CelCondition:
    return compiled_condition(part.when or "", frozenset(part.on or ()), currency)


@lru_cache(maxsize=10_000)
def compiled_condition(source: str, event_types: frozenset[str], currency: str) -> CelCondition:
    """A condition over the built-in facts; the same text is compiled once."""
    return CelCondition(source, Scope(BUILT_IN, event_types, currency))


def _stage(key: str, part: StagePart) -> Stage:
    return Stage(key, part.order, {str(locale): label for locale, label in part.label.items()}, part.side)


def _transition(part: TransitionPart, currency: str) -> Transition:
    return Transition(
        id=part.id,
        sources=frozenset(part.from_),
        target=part.to,
        on=frozenset(part.on or ()),
        when=_condition(part, currency) if part.when else None,
        after_ms=part.after,
        since=_since_fact(part),
    )
