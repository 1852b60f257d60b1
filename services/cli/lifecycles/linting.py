"""What `lint` finds: errors and warnings with their places. Campaigns are looked at here, since the engine knows none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from services.cli.lifecycles.files import gather
from services.cli.lifecycles.formats import counted
from services.cli.triggers import trigger_problems
from services.notifier.definitions.load import CampaignError, read
from services.stage_engine.definitions.definition import Definition, shipped_or_path
from services.stage_engine.definitions.lint import lint
from services.stage_engine.definitions.together import check_together
from services.stage_engine.definitions.yaml_source import DefinitionError, Problem
from shared.settings import Settings

_PLACED = re.compile(r"(.*?):(\d+):(\d+): (.*)")


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one file. `notes` say beside what it was looked at."""

    file: str
    errors: Sequence[Problem]
    warnings: Sequence[Problem] = ()
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """The form of `--format json`."""
        return {
            "file": self.file,
            "errors": [_json(each) for each in self.errors],
            "warnings": [_json(each) for each in self.warnings],
            "notes": list(self.notes),
        }


def check(file: str, beside: Sequence[str], settings: Settings) -> Report:
    """Everything there is to say about a file. Raises Permanent for one that is not there."""
    path = str(shipped_or_path(file))
    notes: list[str] = []
    try:
        gathered = gather([file, *beside])
        notes = gathered.notes()
        check_together(gathered.definitions)
    except DefinitionError as error:
        return Report(path, error.problems, (), notes)
    definition = gathered.definitions[0]
    return Report(path, campaign_findings(definition, settings), lint(definition), notes)


def show(out: Console, report: Report) -> None:
    """As compilers do: one finding a line, then how many there were."""
    for kind, colour, found in (("error", "bold red", report.errors), ("warning", "yellow", report.warnings)):
        for each in found:
            place = f"{each.file}:{each.line}:{each.column}: "
            out.print(Text.assemble(place, (kind, colour), f": {each.message}"), soft_wrap=True)
    for note in report.notes:
        out.print(Text.assemble(f"{report.file}: ", ("note", "cyan"), f": {note}"), soft_wrap=True)
    numbers = f"{counted(len(report.errors), 'error')}, {counted(len(report.warnings), 'warning')}"
    out.print(Text(f"{report.file}: {numbers}"), soft_wrap=True)


def campaign_problems(definition: Definition, settings: Settings) -> list[str]:
    """Campaigns that wait for stages of this lifecycle which it does not have. Raises CampaignError for broken ones."""
    stages = {definition.name: definition.shape.stages}
    sources = [each for each in read(settings.campaigns_dir) if each.shape.trigger.lifecycle == definition.name]
    return [problem for source in sources for problem in trigger_problems(source, stages)]


def campaign_findings(definition: Definition, settings: Settings) -> list[Problem]:
    """The same as findings with their places, and what is wrong with broken ones."""
    try:
        found = campaign_problems(definition, settings)
    except CampaignError as error:
        found = str(error).splitlines()
    return [_problem(each) for each in found]


def _problem(line: str) -> Problem:
    """A campaign's problem, which is told as text: `file:line:column: message`."""
    if found := _PLACED.fullmatch(line):
        return Problem(found[1], int(found[2]), int(found[3]), found[4])
    file, _, message = line.partition(": ")
    return Problem(file, 1, 1, message)


def _json(found: Problem) -> dict[str, Any]:
    return {"file": found.file, "line": found.line, "column": found.column, "message": found.message}
