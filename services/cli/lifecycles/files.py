"""Lifecycle files as commands are given them, with those whose stages they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.stage_engine.definitions.definition import SHIPPED, Definition, load_definition, shipped_or_path
from services.stage_engine.definitions.together import check_together
from services.stage_engine.definitions.yaml_source import DefinitionError
from services.stage_engine.domain.lifecycle import Rules, in_order
from shared.errors import Permanent


@dataclass(frozen=True, slots=True)
class Gathered:
    """Definitions, those asked for first. `taken` names shipped ones that were added because their stages are read,
    `missing` those that are read and can't be had."""

    definitions: Sequence[Definition]
    taken: Sequence[str]
    missing: Sequence[str]

    def notes(self) -> list[str]:
        """What a person should know of it."""
        taken = [
            f"the shipped lifecycle `{name}` is taken for stages.{name}; --with names another" for name in self.taken
        ]
        advice = "a file with --with"
        return taken + [f"there is no shipped lifecycle `{name}`: name {advice}" for name in self.missing]


def gather(names: Sequence[str]) -> Gathered:
    """Files, or shipped lifecycles by name, and shipped ones whose stages they read. Each is right in itself.

    Raises DefinitionError, and Permanent for a file that is not there.
    """
    definitions = [load_definition(shipped_or_path(name)) for name in names]
    taken: list[str] = []
    missing: list[str] = []
    waiting = list(definitions)
    while waiting:
        for name in waiting.pop().reads_stages:
            if name in missing or any(name == each.name for each in definitions):
                continue
            if not (SHIPPED / f"{name}.yaml").is_file():
                missing.append(name)
                continue
            taken.append(name)
            definitions.append(load_definition(SHIPPED / f"{name}.yaml"))
            waiting.append(definitions[-1])
    return Gathered(definitions, taken, missing)


def checked(gathered: Gathered) -> Gathered:
    """The same, if they fit each other. Raises Permanent."""
    try:
        check_together(gathered.definitions)
    except DefinitionError as error:
        if not gathered.missing:
            raise
        raise Permanent("\n".join([str(error), *gathered.notes()])) from None
    return gathered


def rules_of(definitions: Sequence[Definition], currency: str) -> Rules:
    """The rules of definitions that run together, each as version 1."""
    return Rules(in_order([each.compile(1, currency) for each in definitions]), currency)
