"""What can only be told of several lifecycles at once: whose stages a condition reads, and in which order they run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.expressions import blank_strings, did_you_mean, names_in
from services.stage_engine.definitions.other_stages import stages_named
from services.stage_engine.definitions.spelling import odd_letters
from services.stage_engine.definitions.yaml_source import DefinitionError, Document, Path, Problem
from services.stage_engine.domain.lifecycle import Entangled, in_order


def check_together(definitions: Sequence[Definition]) -> None:
    """Check that lifecycles fit each other. Raises DefinitionError with every problem."""
    problems = [problem for definition in definitions for problem in _problems(definition, definitions)]
    if not problems:
        problems = list(_circles(definitions))
    if problems:
        raise DefinitionError(problems)


def _problems(definition: Definition, all_of_them: Sequence[Definition]) -> Iterator[Problem]:
    stages = {each.name: each.shape.stages for each in all_of_them}
    document: Document | None = None
    for index, part in enumerate(definition.shape.transitions):
        source, path = part.when or "", ("transitions", index, "when")
        found: list[tuple[int, str]] = []
        for kind, name in sorted(names_in(source)):
            if kind != "stages":
                continue
            if name == definition.name:
                found.append((_offset(source, name), f"`{part.id}` reads its own lifecycle's stage; `from` says that"))
            elif name not in stages:
                hint = did_you_mean(name, stages.keys() - {definition.name})
                found.append((_offset(source, name), f"`{part.id}`: there is no active lifecycle `{name}`{hint}"))
        for named in stages_named(source):
            if named.stage not in stages.get(named.lifecycle, {named.stage: None}):
                hint = odd_letters(named.stage) + did_you_mean(named.stage, stages[named.lifecycle])
                message = f"`{part.id}`: {named.lifecycle} has no stage `{named.stage}`{hint}"
                found.append((named.offset, message))
        for offset, message in found:
            document = document or Document(definition.file, definition.body)
            yield document.problem_inside(path, offset, message)


def _offset(source: str, name: str) -> int:
    found = re.search(rf"(?<![\w.])stages\s*\.\s*{re.escape(name)}\b", blank_strings(source))
    return found.start() if found else 0


def _circles(definitions: Sequence[Definition]) -> Iterator[Problem]:
    try:
        in_order([each.compile(1, "BRL") for each in definitions])
    except Entangled as error:
        first = next(each for each in definitions if each.name in error.names)
        path: Path = ("lifecycle",)
        yield Document(first.file, first.body).problem(path, str(error))
