"""What can only be told of several lifecycles at once: whose stages a condition reads, and in which order they run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.expressions import code_in, did_you_mean, names_in, offset_of
from services.stage_engine.definitions.file_model import TransitionPart
from services.stage_engine.definitions.other_stages import stages_named
from services.stage_engine.definitions.spelling import odd_letters
from services.stage_engine.definitions.yaml_source import MAX_PROBLEMS, DefinitionError, Document, Path, Problem
from services.stage_engine.domain.lifecycle import Entangled, in_order


def check_together(definitions: Sequence[Definition]) -> None:
    """Check that lifecycles fit each other. Raises DefinitionError with every problem, of very many the first ones."""
    found = (problem for definition in definitions for problem in _problems(definition, definitions))
    # No more than are told: a short text can have tens of thousands, each with its place and what was meant.
    problems = list(islice(found, MAX_PROBLEMS + 1)) or list(_circles(definitions))
    if problems:
        raise DefinitionError(problems)


def _problems(definition: Definition, all_of_them: Sequence[Definition]) -> Iterator[Problem]:
    stages = {each.name: each.shape.stages for each in all_of_them}
    document: Document | None = None
    for index, part in enumerate(definition.shape.transitions):
        for offset, message in _wrong_stages(definition.name, part, stages):
            document = document or Document(definition.file, definition.body)
            yield document.problem_inside(("transitions", index, "when"), offset, message)


def _wrong_stages(own: str, part: TransitionPart, stages: Mapping[str, Collection[str]]) -> Iterator[tuple[int, str]]:
    """What is wrong with the stages that a condition reads, each with its character there."""
    source = part.when or ""
    code = code_in(source)
    for kind, name in sorted(names_in(source)):
        if kind != "stages":
            continue
        if name == own:
            yield offset_of(code, kind, name), f"`{part.id}` reads its own lifecycle's stage; `from` says that"
        elif name not in stages:
            hint = did_you_mean(name, stages.keys() - {own})
            yield offset_of(code, kind, name), f"`{part.id}`: there is no active lifecycle `{name}`{hint}"
    for named in stages_named(source):
        if named.stage not in stages.get(named.lifecycle, {named.stage}):
            hint = odd_letters(named.stage) + did_you_mean(named.stage, stages[named.lifecycle])
            yield named.offset, f"`{part.id}`: {named.lifecycle} has no stage `{named.stage}`{hint}"


def _circles(definitions: Sequence[Definition]) -> Iterator[Problem]:
    try:
        in_order([each.compile(1, "BRL") for each in definitions])
    except Entangled as error:
        first = next(each for each in definitions if each.name in error.names)
        path: Path = ("lifecycle",)
        yield Document(first.file, first.body).problem(path, str(error))
