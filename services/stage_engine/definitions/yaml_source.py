"""YAML 1.2 with positions: what a file says, and where it says it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from services.stage_engine.definitions.scalars import place_in_file
from shared.errors import Permanent

MAX_FILE_BYTES = 256 * 1024
MAX_DEPTH = 50
_BRACKETS = re.compile(r"[\[\]{}]")
_QUOTE_HINT = "; in flow style a condition with a comma, a bracket or a leading ! must be quoted"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a definition file; line and column count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class DefinitionError(Permanent):
    """A definition file can't be used; the message lists every problem, one a line, with its place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


Path = tuple[str | int, ...]
"""Keys and indexes from the top of a document."""


class Document:
    """A parsed file: plain values, and the place of each."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._root = _parse(file, text)
        self.value: Any = _plain(self._root)

    def problem(self, path: Path, message: str) -> Problem:
        """A problem with the value at `path`, or with the nearest thing above it that is there."""
        line, column = self._place(path)
        return Problem(self.file, line, column, message)

    def problem_inside(self, path: Path, offset: int, message: str) -> Problem:
        """A problem at a character of the text at `path`; the offset counts from 0."""
        line, column = place_in_file(self.text, *self._place(path), offset)
        return Problem(self.file, line, column, message)

    def _place(self, path: Path) -> tuple[int, int]:
        node, place = self._root, (1, 1)
        for part in path:
            if isinstance(node, CommentedMap) and part in node:
                line, column = node.lc.value(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                line, column = node.lc.item(part)
            else:
                break
            place, node = (line + 1, column + 1), node[part]
        return place


def _parse(file: str, text: str) -> Any:
    if len(text.encode()) > MAX_FILE_BYTES:
        raise DefinitionError([Problem(file, 1, 1, f"the file is larger than {MAX_FILE_BYTES // 1024} KiB")])
    if (offset := _too_deep(text)) is not None:
        before = text[:offset]
        line, column = before.count("\n") + 1, offset - before.rfind("\n")
        raise DefinitionError([Problem(file, line, column, f"nested more than {MAX_DEPTH} deep")])
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            if isinstance(event, AliasEvent):
                mark = event.start_mark
                raise DefinitionError(
                    [Problem(file, mark.line + 1, mark.column + 1, "aliases are not allowed: write it out")]
                )
        root = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        hint = _QUOTE_HINT if "flow" in str(error.context) else ""
        raise DefinitionError([Problem(file, line, column, f"no YAML: {error.problem}{hint}")]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise DefinitionError([Problem(file, 1, 1, f"no YAML: {error}")]) from None
    if not isinstance(root, CommentedMap):
        raise DefinitionError([Problem(file, 1, 1, "the file must be a mapping that starts like `lifecycle: name`")])
    return root


def _too_deep(text: str) -> int | None:
    """Where brackets are nested too deeply for a parser to take in reasonable time. Brackets in texts count too: a
    condition does not need that many either."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += 1 if found[0] in "[{" else -1
        if depth > MAX_DEPTH:
            return found.start()
    return None


def _plain(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    return node
