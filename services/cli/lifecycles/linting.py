"""What `lint` finds: errors and warnings with their places. Campaigns are looked at here, since the engine knows none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from services.cli.triggers import trigger_problems
from services.notifier.definitions.load import read
from services.stage_engine.definitions.definition import Definition, load_definition, shipped_or_path
from services.stage_engine.definitions.lint import lint
from services.stage_engine.definitions.together import check_together
from services.stage_engine.definitions.yaml_source import DefinitionError, Problem
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one file."""

    file: str
    errors: Sequence[Problem | str]
    warnings: Sequence[Problem]

    def as_json(self) -> dict[str, Any]:
        """The form of `--format json`."""
        return {
            "file": self.file,
            "errors": [_json(each) for each in self.errors],
            "warnings": [_json(each) for each in self.warnings],
        }


def check(file: str, beside: Sequence[str], settings: Settings) -> Report:
    """Everything there is to say about a file. Raises Permanent for one that is not there."""
    path = shipped_or_path(file)
    try:
        definition = load_definition(path)
        others = [load_definition(shipped_or_path(name)) for name in beside]
        if beside or _reads_nobody(definition):
            check_together([definition, *others])
    except DefinitionError as error:
        return Report(str(path), error.problems, ())
    return Report(str(path), campaign_problems(definition, settings), lint(definition))


def show(out: Console, report: Report) -> None:
    """As compilers do: one finding a line, then how many there were."""
    for each in report.errors:
        out.print(Text.assemble((f"{each}", "default"), ("  [error]", "bold red")), soft_wrap=True)
    for warning in report.warnings:
        out.print(Text.assemble((f"{warning}", "default"), ("  [warning]", "yellow")), soft_wrap=True)
    found = f"{len(report.errors)} errors, {len(report.warnings)} warnings"
    out.print(f"{report.file}: " + ("nothing to say" if not (report.errors or report.warnings) else found))


def _reads_nobody(definition: Definition) -> bool:
    return not definition.compile(1, "BRL").reads_stages


def campaign_problems(definition: Definition, settings: Settings) -> list[str]:
    """Campaigns that wait for stages of this lifecycle which it does not have."""
    stages = {definition.name: definition.shape.stages}
    sources = [each for each in read(settings.campaigns_dir) if each.shape.trigger.lifecycle == definition.name]
    return [problem for source in sources for problem in trigger_problems(source, stages)]


def _json(found: Problem | str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"message": found}
    return {"file": found.file, "line": found.line, "column": found.column, "message": found.message}
