"""YAML 1.2 with positions: what a file says, and where it says it.

A definition needs mappings, lists and plain values. What else YAML knows (tags, aliases, merges, keys that are no words) is
refused with its place, so values are taken from the parser's events directly, each once, and reading stops at the first that
is one too many: the work is bounded, whatever the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from services.stage_engine.definitions.scalars import place_in_file
from shared.errors import Permanent

MAX_FILE_BYTES = 256 * 1024
MAX_DEPTH = 50
MAX_NODES = 15_000
"""Keys, values, lists and mappings: a thousand transitions with a condition each. Reading one takes some 20 µs."""
MAX_PROBLEMS = 20
"""Told at once; who has more mends these first."""
_ADVICE = {
    "that cannot start any token": "; indent with blanks, and put a text that begins with a sign in quotes",
    "mapping values are not allowed here": "; put a text with a `: ` in quotes, or begin a new line before the key",
    "end of stream": "; a quote or a bracket is open: close it",
    "could not find expected ':'": "; write a key as `key: value`",
    "expected <block end>": "; look at the indentation of this line, and at the line before",
    "sequence entries are not allowed": "; begin a new line before the -",
    "unknown escape character": "; write the text in single quotes, where a \\ means nothing",
}
"""What to do about what the parser says, by a part of that."""
_QUOTE_HINT = "; in flow style a condition with a comma, a bracket or a leading ! must be quoted"
_BRACKETS = re.compile(r"[\[\]{}]")
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


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
    """A definition file can't be used; the message lists every problem, one a line, with its place; of very many the
    first ones."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        told = [str(problem) for problem in problems[:MAX_PROBLEMS]]
        if len(problems) > MAX_PROBLEMS:
            told.append("and more")
        super().__init__("\n".join(told))
        self.problems = tuple(problems[:MAX_PROBLEMS])


Path = tuple[str | int, ...]
"""Keys and indexes from the top of a document."""


@dataclass(slots=True)
class _Node:
    """A value with its place. `parts` are those of a mapping or a list."""

    line: int
    column: int
    value: Any = None
    parts: dict[str | int, _Node] = field(default_factory=dict)


def decoded(file: str, body: bytes, encoding: str = "utf-8") -> str:
    """A file's text. `encoding` is UTF-8 or a kind of it. Raises DefinitionError."""
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise DefinitionError([Problem(file, 1, 1, f"not UTF-8 text: {error}")]) from None


class Document:
    """A parsed file: plain values, and the place of each. `begins` is how one may begin, for advice."""

    def __init__(self, file: str, text: str, begins: str = "lifecycle: name") -> None:
        self.file = file
        self.text = text
        self._root = _Reader(file, text, begins).root()
        self.value: Any = self._root.value

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
            if part not in node.parts:
                break
            node = node.parts[part]
            place = (node.line, node.column)
        return place


class _Reader:
    """One way through the events of a file."""

    def __init__(self, file: str, text: str, begins: str) -> None:
        self._file = file
        self._text = text
        self._begins = begins
        self._nodes = 0

    def root(self) -> _Node:
        """The only document, which must be a mapping. Raises DefinitionError."""
        if len(self._text) > MAX_FILE_BYTES or len(self._text.encode(errors="replace")) > MAX_FILE_BYTES:
            raise self._error(1, 1, f"the file is larger than {MAX_FILE_BYTES // 1024} KiB; make it shorter")
        if (offset := _too_deep(self._text)) is not None:
            before = self._text[:offset]
            line, column = before.count("\n") + 1, offset - before.rfind("\n")
            raise self._error(line, column, f"nested more than {MAX_DEPTH} deep; write it flatter")
        try:
            return self._document(YAML(typ="safe", pure=True).parse(self._text))
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            hint = _QUOTE_HINT if "flow" in str(error.context) else _advice(str(error.problem))
            raise self._error(line, column, f"no YAML: {error.problem}{hint}") from None
        except ReaderError as error:
            raise self._unreadable(error) from None
        except (YAMLError, ValueError, IndexError) as error:
            raise self._error(1, 1, f"no YAML: {' '.join(str(error).split())}") from None

    def _document(self, events: Iterator[Event]) -> _Node:
        root: _Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                raise self._refuse(event, "another document begins here; a definition is one, so leave the --- out")
            if isinstance(event, NodeEvent):
                root = self._node(event, events, 1)
        if root is None or not isinstance(root.value, dict):
            raise self._error(1, 1, f"the file must be a mapping that starts like `{self._begins}`")
        return root

    def _node(self, event: Event, events: Iterator[Event], depth: int) -> _Node:
        self._check(event, depth)
        node = _Node(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, ScalarEvent):
            node.value = event.value if event.style else _plain(event.value)
        elif isinstance(event, SequenceStartEvent):
            self._list(node, events, depth)
        elif isinstance(event, MappingStartEvent):
            self._mapping(node, events, depth)
        return node

    def _check(self, event: Event, depth: int) -> None:
        """Refuse what definitions have no use for."""
        self._nodes += 1
        if isinstance(event, AliasEvent):
            raise self._refuse(event, "aliases are not allowed: write it out")
        if getattr(event, "tag", None) is not None:
            raise self._refuse(event, "tags are not allowed: leave out the word that starts with !" + _QUOTE_HINT)
        if depth > MAX_DEPTH:
            raise self._refuse(event, f"nested more than {MAX_DEPTH} deep; write it flatter")
        if self._nodes > MAX_NODES:
            raise self._refuse(event, f"the file has more than {MAX_NODES} keys and values; make it shorter")

    def _list(self, node: _Node, events: Iterator[Event], depth: int) -> None:
        node.value = []
        while not isinstance(event := next(events), SequenceEndEvent):
            part = self._node(event, events, depth + 1)
            node.parts[len(node.value)] = part
            node.value.append(part.value)

    def _mapping(self, node: _Node, events: Iterator[Event], depth: int) -> None:
        node.value = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self._key(event, node)
            part = self._node(next(events), events, depth + 1)
            if part.value is None:
                # The parser gives nothing a place behind all that follows it.
                part.line, part.column = event.start_mark.line + 1, event.start_mark.column + 1
            node.parts[key] = part
            node.value[key] = part.value

    def _key(self, event: Event, node: _Node) -> str:
        self._check(event, 1)
        if not isinstance(event, ScalarEvent):
            raise self._refuse(event, "a key must be one word" + _QUOTE_HINT)
        key: str = event.value
        if not event.style and not isinstance(_plain(key), str):
            raise self._refuse(event, f"a key must be a word, not {key or 'nothing'}")
        if key == "<<":
            raise self._refuse(event, "merging is not allowed: write it out")
        if key in node.parts:
            raise self._refuse(event, f"duplicate key `{key}`; leave one of them out")
        return key

    def _unreadable(self, error: ReaderError) -> DefinitionError:
        """A character that no YAML file may have; it is the first of its kind."""
        before = self._text[: self._text.find(chr(error.character))]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return self._error(line, column, f"no YAML: the character U+{error.character:04X} is not allowed; leave it out")

    def _refuse(self, event: Event, message: str) -> DefinitionError:
        return self._error(event.start_mark.line + 1, event.start_mark.column + 1, message)

    def _error(self, line: int, column: int, message: str) -> DefinitionError:
        return DefinitionError([Problem(self._file, line, column, message)])


def _advice(problem: str) -> str:
    return next((advice for part, advice in _ADVICE.items() if part in problem), "")


def _too_deep(text: str) -> int | None:
    """Where brackets are nested too deeply for a parser to take in reasonable time. Brackets in texts count too: a
    condition does not need that many either."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += 1 if found[0] in "[{" else -1
        if depth > MAX_DEPTH:
            return found.start()
    return None


def _plain(text: str) -> Any:
    """A value without quotes, by YAML's core schema; what is no number, boolean or null is a text."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
