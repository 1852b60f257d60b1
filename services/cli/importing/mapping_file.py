"""The shape of a mapping file: how the rows of a CSV or JSONL file become events."""

from __future__ import annotations

import codecs
import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from services.cli.importing.moments import EPOCH_MILLISECONDS, EPOCH_SECONDS, RFC_3339
from services.cli.importing.values import Type
from services.stage_engine.definitions.file_model import EventName, Part, TimeZone

_COLUMN = re.compile(r"\{([^{}]*)\}")
_OFFSET = re.compile(r"%(?:%%)*[zZ]")

Scalar = str | int | float | bool


def columns_in(template: str) -> tuple[str, ...]:
    """The columns that a template names in braces."""
    return tuple(name.strip() for name in _COLUMN.findall(template))


def filled_in(template: str, cell: Any) -> str:
    """A template with each `{column}` replaced by what `cell` gives for it."""
    return _COLUMN.sub(lambda found: str(cell(found[1].strip())), template)


def _template(value: str) -> str:
    around = _COLUMN.sub("", value)
    if not all(columns_in(value)) or "{" in around or "}" in around:
        raise ValueError("a template names columns in braces, such as order-{Pedido}-paid")
    return value


def _shorthand(name: str) -> BeforeValidator:
    """A text stands for `{name: text}`."""
    return BeforeValidator(lambda value: {name: value} if isinstance(value, str) else value)


Column = Annotated[str, StringConstraints(min_length=1, max_length=200)]
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*$")]


class TextPart(Part):
    """Where a text comes from: one column, or a template of several."""

    column: Column | None = None
    template: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] | None = None

    @field_validator("template")
    @classmethod
    def _names_columns(cls, value: str | None) -> str | None:
        return value if value is None else _template(value)

    @model_validator(mode="after")
    def _one_source(self) -> TextPart:
        named = [name for name in self.sources() if getattr(self, name) is not None]
        if len(named) != 1:
            given = f"{' and '.join(named)} are given" if named else "none is given"
            raise ValueError(f"give one of {', '.join(self.sources())}; {given}")
        return self

    @classmethod
    def sources(cls) -> tuple[str, ...]:
        """The keys of which one is given."""
        return ("column", "template")

    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.column,) if self.column is not None else columns_in(self.template or "")


class TimePart(TextPart):
    """When it happened. A format of the strptime kind, or one of the three by name."""

    format: str = RFC_3339
    time_zone: TimeZone | None = None

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value in (RFC_3339, EPOCH_SECONDS, EPOCH_MILLISECONDS):
            return value
        try:
            if "%" not in value:
                raise ValueError(value)
            datetime.strptime(datetime(2026, 11, 22, 14, 3, 11).astimezone().strftime(value), value)
        except ValueError:
            known = f"{RFC_3339}, {EPOCH_SECONDS}, {EPOCH_MILLISECONDS}"
            raise ValueError(f"{value!r} is no format; write {known}, or one such as %d/%m/%Y %H:%M") from None
        return value

    @property
    def has_offset(self) -> bool:
        """Whether the format itself says which instant is meant, or its cells may."""
        return "%" not in self.format or _OFFSET.search(self.format) is not None


class FieldPart(TextPart):
    """A field of an event's data: from a column or a template, or the same `value` in every event."""

    value: Scalar | None = None
    type: Type = Field(Type.TEXT, strict=False)
    decimal_comma: bool = False
    values: Annotated[dict[str, Scalar], Field(min_length=1, max_length=1_000)] | None = None

    @classmethod
    def sources(cls) -> tuple[str, ...]:
        return ("column", "template", "value")

    @model_validator(mode="after")
    def _fits_together(self) -> FieldPart:
        if self.value is not None and self.model_fields_set != {"value"}:
            raise ValueError("a `value` is the same in every event; nothing else goes with it")
        if self.values is not None and {"type", "decimal_comma"} & self.model_fields_set:
            raise ValueError("`values` says what each cell becomes; `type` and `decimal_comma` do not go with it")
        if self.decimal_comma and self.type not in (Type.DECIMAL, Type.NUMBER):
            raise ValueError("`decimal_comma` goes with `type: decimal` or `type: number`")
        return self

    def columns(self) -> tuple[str, ...]:
        return () if self.value is not None else super().columns()


class TestPart(Part):
    """What a cell must be: filled or empty, or none of some values."""

    filled: bool | None = None
    not_: Annotated[list[Scalar], BeforeValidator(lambda v: v if isinstance(v, list) else [v])] | None = Field(
        None, alias="not"
    )

    @model_validator(mode="after")
    def _one_test(self) -> TestPart:
        if (self.filled is None) == (self.not_ is None):
            raise ValueError("give one of filled, not; or write a value, or a list of values")
        return self


def _as_test(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float | bool) else value


def _kind_of_test(value: Any) -> str:
    return TAGS[0] if isinstance(value, list) else TAGS[1]


TAGS = ("one_of", "test")
"""Parts of a location in pydantic's errors that stand for no key of the file."""
_OneOf = Annotated[list[Scalar], Field(min_length=1, max_length=1_000), Tag(TAGS[0])]
Test = Annotated[
    Annotated[_OneOf | Annotated[TestPart, Tag(TAGS[1])], Discriminator(_kind_of_test)], BeforeValidator(_as_test)
]


class RulePart(Part):
    """One kind of event that a row can give."""

    type: EventName
    where: dict[Column, Test] = Field({})
    id: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] | None = None
    customer_id: Annotated[TextPart, _shorthand("column")]
    time: Annotated[TimePart, _shorthand("column")]
    data: dict[FieldName, Annotated[FieldPart, _shorthand("column")]] = Field({}, max_length=200)

    @field_validator("id")
    @classmethod
    def _differs(cls, value: str | None) -> str | None:
        if value is not None and not columns_in(_template(value)):
            raise ValueError("all events would get the same id; name a column in braces, such as order-{Pedido}-paid")
        return value


class MappingFile(Part):
    """A whole mapping. `time_zone` is that of times without an offset, unless a `time` has its own."""

    time_zone: TimeZone | None = None
    encoding: str | None = None
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] | None = None
    events: Annotated[list[RulePart], Field(min_length=1, max_length=100)]

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        return value if value is None else known_encoding(value)


def known_encoding(value: str) -> str:
    """An encoding of text by its name. Raises ValueError."""
    try:
        found = codecs.lookup(value)
        "".encode(value)
    except LookupError:
        raise ValueError(f"{value!r} is no encoding of text; write utf-8-sig, cp1252 or iso-8859-1") from None
    return found.name
