"""Where a character of a YAML text value stands in the file, through quotes, escapes and block styles."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")


def place_in_file(text: str, line: int, column: int, offset: int) -> tuple[int, int]:
    """Line and column (from 1) of character `offset` of the value that starts at `line`, `column` of the file `text`.

    A value in quotes over several lines is placed at its start.
    """
    lines = text.split("\n")
    first = lines[line - 1][column - 1 :]
    if first[:1] in ("|", ">"):
        return _in_block(lines, line, offset)
    if first[:1] == "'":
        length = _raw_length(first[1:], offset, re.compile("''"))
        return line, column + 1 + length
    if first[:1] == '"':
        return line, column + 1 + _raw_length(first[1:], offset, _ESCAPE)
    return line, min(column + offset, len(lines[line - 1]) + 1)


def _raw_length(raw: str, offset: int, escape: re.Pattern[str]) -> int:
    """How many characters of `raw` stand for the first `offset` of the value."""
    position = 0
    for _ in range(offset):
        if position >= len(raw):
            return 0
        escaped = escape.match(raw, position)
        position = escaped.end() if escaped else position + 1
    return position


def _in_block(lines: list[str], header: int, offset: int) -> tuple[int, int]:
    """In a block, each line of the file stands for one of the value, or for a stretch of it that ends in a space."""
    indent = len(lines[header]) - len(lines[header].lstrip()) if header < len(lines) else 0
    for number in range(header, len(lines)):
        length = len(lines[number][indent:])
        if offset <= length:
            return number + 1, indent + offset + 1
        offset -= length + 1
    return header, 1
