"""What differs between two versions of a lifecycle. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.file_model import LifecycleFile


@dataclass(frozen=True, slots=True)
class Difference:
    """`parts` has names by what they name (stages, transitions, facts) and what became of it (added, removed, changed);
    `lines` are those of a unified diff, none when the texts are the same."""

    parts: Mapping[str, Mapping[str, list[str]]]
    lines: list[str]

    def as_json(self) -> dict[str, Any]:
        """The form of `--format json`, and of the API."""
        return {**self.parts, "text": self.lines}


def difference(old: Definition, new: Definition) -> Difference:
    """From one version to another."""
    lines = difflib.unified_diff(old.body.splitlines(), new.body.splitlines(), old.file, new.file, lineterm="", n=2)
    return Difference(_parts(old.shape, new.shape), list(lines))


def _parts(old: LifecycleFile, new: LifecycleFile) -> dict[str, dict[str, list[str]]]:
    sides: dict[str, tuple[Mapping[str, object], Mapping[str, object]]] = {
        "stages": (old.stages, new.stages),
        "transitions": ({each.id: each for each in old.transitions}, {each.id: each for each in new.transitions}),
        "facts": (old.facts, new.facts),
    }
    return {
        what: {
            "added": [name for name in after if name not in before],
            "removed": [name for name in before if name not in after],
            "changed": [name for name in after if name in before and after[name] != before[name]],
        }
        for what, (before, after) in sides.items()
    }
