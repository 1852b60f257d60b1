"""What a cell says: from its text to a value of an event's data. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

import msgspec

from services.cli.importing.problems import Unfit, shortened

Value = str | int | bool | msgspec.Raw
_MOST_DIGITS = 40
_WHOLE = re.compile(r"[-+]?[0-9]{1,40}", re.ASCII)
_SIGN = re.compile(r"^(-?)\s*(?:R\$|US\$|[$€£]|[A-Z]{3}(?=\s))\s*")
_POINT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]+)?|[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+)", re.ASCII)
_COMMA = re.compile(r"[-+]?(?:[0-9]+(?:,[0-9]+)?|[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]+)?)", re.ASCII)
_YES = frozenset(("true", "1", "yes", "y", "sim", "s", "sí", "si", "verdadeiro", "verdadero"))
_NO = frozenset(("false", "0", "no", "n", "não", "nao", "falso"))


class Type(StrEnum):
    """The types that a cell can be read as. A decimal is kept as text, exact as money must be; a number is a JSON
    number, which is what facts of the type `number` add up."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    NUMBER = "number"
    BOOLEAN = "boolean"


Convert = Callable[[str], Value]
"""From a cell that is not empty. Raises Unfit."""


def converter(type_: Type, *, decimal_comma: bool) -> Convert:
    """How cells of a type are read."""
    return {
        Type.TEXT: lambda cell: cell,
        Type.INTEGER: lambda cell: _integer(cell),
        Type.DECIMAL: lambda cell: _decimal(cell, decimal_comma),
        Type.NUMBER: lambda cell: msgspec.Raw(_as_json_number(_decimal(cell, decimal_comma)).encode()),
        Type.BOOLEAN: _boolean,
    }[type_]


def _integer(cell: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise Unfit(f"{shortened(cell)} is no whole number", "mend it, or give it another `type`")
    return int(cell)


def _decimal(cell: str, decimal_comma: bool) -> str:
    bare = _SIGN.sub(r"\1", cell)
    if len(bare) > _MOST_DIGITS or not (_COMMA if decimal_comma else _POINT).fullmatch(bare):
        raise _no_decimal(cell, bare, decimal_comma)
    plain = bare.replace(".", "").replace(",", ".") if decimal_comma else bare.replace(",", "")
    return plain.removeprefix("+")


def _no_decimal(cell: str, bare: str, decimal_comma: bool) -> Unfit:
    """A number that the other convention would read is likely one of that: 12,50 must never become 1250."""
    if decimal_comma and _POINT.fullmatch(bare):
        return Unfit(f"{shortened(cell)} has no decimal comma as in 1.234,56", "leave out `decimal_comma`")
    if not decimal_comma and _COMMA.fullmatch(bare):
        return Unfit(f"{shortened(cell)} has no decimal point as in 1234.56", "give the field `decimal_comma: true`")
    return Unfit(f"{shortened(cell)} is no decimal number", "mend it, or give it another `type`")


def _as_json_number(text: str) -> str:
    """JSON knows no leading zeros."""
    sign = "-" if text.startswith("-") else ""
    whole, dot, rest = text.lstrip("-").partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}{dot}{rest}"


def _boolean(cell: str) -> bool:
    word = cell.casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise Unfit(f"{shortened(cell)} is neither yes nor no", "say what it means by `values`, such as {Aceito: true}")
