"""The file: opened, told apart, and read row by row, each with the number of the line that it begins on."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, cast

from services.cli.importing.problems import Problem, Unfit
from shared.contracts.cloudevent import MAX_EVENT_BYTES
from shared.errors import Permanent

DEFAULT_ENCODING = "utf-8-sig"
_MAX_LINE_BYTES = 4 * MAX_EVENT_BYTES
_DELIMITERS = ";,\t|"
_CHUNK = 1024 * 1024
_OBJECT = "write one JSON object a line, without brackets and commas around"


class Form(Enum):
    """What a file holds, by its ending."""

    CSV = (".csv", ".tsv")
    JSONL = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line that it begins on, counted from 1, and its cells by column, without white space around. A cell
    that is not there is empty."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Text:
    """How the text of a CSV file is to be read; None looks at its header."""

    encoding: str = DEFAULT_ENCODING
    delimiter: str | None = None


class File:
    """An open file to import. Errors name it and say what to do."""

    def __init__(self, path: Path, raw: BinaryIO) -> None:
        self._path = path
        self._raw = raw
        self._stream = _content(path, raw)
        self._decoded: io.TextIOWrapper | None = None  # it would close the file as soon as nobody holds it

    @property
    def bytes_read(self) -> int:
        """How far it was read, in bytes of the file as it lies there."""
        return self._raw.tell()

    def lines(self) -> Iterator[tuple[int, bytes] | Problem]:
        """The lines of a JSONL file that are not blank."""
        number = 0
        while line := self._stream.readline(_MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > _MAX_LINE_BYTES:
                while line and not line.endswith(b"\n"):
                    line = self._stream.readline(_CHUNK)
                yield Problem(number, "", "", f"the line has more than {_MAX_LINE_BYTES:,} bytes", _OBJECT)
                continue
            text = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
            if text:
                yield number, text

    def table(self, text: Text) -> Table:
        """The rows of a CSV file. Raises Permanent when its header can't be used."""
        self._decoded = io.TextIOWrapper(self._stream, text.encoding, newline="")
        return Table(self._path, self._decoded, text)


def _content(path: Path, raw: BinaryIO) -> BinaryIO:
    """The text of a file, in bytes: unpacked when it is zipped."""
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if path.suffix.lower() == ".gz" else raw


class Table:
    """A CSV file behind its header."""

    def __init__(self, path: Path, stream: io.TextIOWrapper, text: Text) -> None:
        self._path = path
        self._encoding = text.encoding
        with self._readable():
            header = stream.readline(_CHUNK + 1)
        delimiter = text.delimiter or max(_DELIMITERS, key=header.count)
        self._reader = csv.reader(_bounded(header, stream), delimiter=delimiter)
        with self._readable():
            self.header = [cell.strip() for cell in next(self._reader, [])]
        self._check_header()

    def rows(self) -> Iterator[Row | Problem]:
        """The rows behind the header; a row with another number of cells is a problem. Raises Permanent."""
        while True:
            line = self._reader.line_num + 1
            with self._readable():
                cells = next(self._reader, None)
            if cells is None:
                return
            if len(cells) == len(self.header):
                yield Row(line, {name: cell.strip() for name, cell in zip(self.header, cells, strict=True)})
            elif cells:
                detail = f"it has {len(cells)} cells, the header has {len(self.header)}"
                yield Problem(line, "", "", detail, "look for a quote or a delimiter too many or too few")

    def _check_header(self) -> None:
        if not any(self.header):
            raise Permanent(f"{self._path}:1: the first line must name the columns; it is empty")
        twice = [name for name, times in Counter(self.header).items() if times > 1 and name]
        if twice:
            raise Permanent(f"{self._path}:1: several columns have the name {twice[0]!r}; give each its own")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            advice = "--encoding names another, such as cp1252, which spreadsheets often write"
            encoding = "UTF-8" if self._encoding == DEFAULT_ENCODING else self._encoding
            where = f"{self._path}:{self._unreadable_line() or self._line + 1}"
            raise Permanent(f"{where}: not {encoding} text: {error.reason}; {advice}") from None
        except csv.Error as error:
            advice = "look for a quote that is opened and never closed"
            raise Permanent(f"{self._path}:{self._line + 1}: no CSV: {error}; {advice}") from None

    def _unreadable_line(self) -> int | None:
        """The first line that is no text of the encoding, for a person: text is decoded in blocks, so the reader can't tell."""
        with self._path.open("rb") as raw:
            for number, line in enumerate(_content(self._path, raw), start=1):
                try:
                    line.decode(self._encoding)
                except UnicodeDecodeError:
                    return number
        return None

    @property
    def _line(self) -> int:
        reader = getattr(self, "_reader", None)
        return reader.line_num if reader else 0


def _bounded(header: str, rest: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a table, with a header that was looked at already."""
    line = header
    while line:
        if len(line) > _CHUNK:
            raise csv.Error(f"a line has more than {_CHUNK:,} characters")
        yield line
        line = rest.readline(_CHUNK + 1)


def form_of(path: Path) -> Form:
    """What a file holds. Raises Permanent."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    found = next((form for form in Form if name.suffix.lower() in form.value), None)
    if found is None:
        endings = ", ".join(ending for form in Form for ending in form.value)
        raise Permanent(f"{path}: an import is a file that ends in {endings}, with or without .gz")
    return found


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """The file for the length of a block. Raises Permanent when it can't be read, there or further on."""
    try:
        with path.open("rb") as raw:
            yield File(path, raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Permanent(f"{path} is no whole gzip file ({error}); copy it again") from None
    except OSError as error:
        raise Permanent(f"{path} can't be read: {error.strerror or error}") from None


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex. Raises Permanent."""
    with opened(path), path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def object_row(line: int, text: bytes) -> Row:
    """A line of JSONL as cells: inner objects and lists as `address.city` and `items.0.sku`, numbers as they are
    written. Raises Unfit."""
    try:
        value = json.loads(text, parse_float=str, parse_int=str, parse_constant=_no_number)
    except RecursionError:
        raise Unfit("the JSON is nested too deeply", "flatten it") from None
    except ValueError as error:
        raise Unfit(f"it is no valid JSON: {error}", "write JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise Unfit("it is no JSON object", _OBJECT)
    return Row(line, dict(_cells(value)))


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")


def _cells(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[str, Any]] = [(name, part) for name, part in reversed(value.items())]
    while waiting:
        name, part = waiting.pop()
        if isinstance(part, dict):
            waiting += [(f"{name}.{inner}", each) for inner, each in reversed(part.items())]
        elif isinstance(part, list):
            waiting += [(f"{name}.{index}", each) for index, each in reversed(list(enumerate(part)))]
        elif isinstance(part, bool):
            yield name, str(part).lower()
        elif part is not None:
            yield name, part.strip()
