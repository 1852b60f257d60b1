"""A mapping file, checked and ready to be applied.

What can be known without a row is told of the mapping, with file, line and column: a field that the event's type does not
have is one mistake there, and would be a million in the data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from services.cli.importing.applying import FieldRule, Rule, translated
from services.cli.importing.mapping_file import (
    TAGS,
    FieldPart,
    MappingFile,
    RulePart,
    Scalar,
    TestPart,
    TextPart,
    TimePart,
    columns_in,
)
from services.cli.importing.moments import reader
from services.cli.importing.values import converter
from services.ingest.domain.envelope import type_error
from services.stage_engine.definitions.yaml_source import DefinitionError, Document, Problem, decoded
from services.stage_engine.definitions.yaml_source import Path as Place
from shared.contracts.events import PAYLOADS
from shared.contracts.field_errors import did_you_mean
from shared.errors import Permanent


@dataclass(frozen=True, slots=True)
class RowMapping:
    """How rows become events. `digest` is that of the file's text; `used` are the columns that it reads with the places
    where it names them."""

    rules: Sequence[Rule]
    encoding: str | None
    delimiter: str | None
    digest: str
    used: Mapping[str, Sequence[Place]]
    document: Document

    def check_columns(self, there: Collection[str]) -> None:
        """Raises DefinitionError for each place that names a column which is not there."""
        missing = [(place, name) for name, places in self.used.items() if name not in there for place in places]
        if missing:
            named = [name for name in there if name]
            raise DefinitionError(
                [
                    self.document.problem(place, f"the file has no column `{name}`; {did_you_mean(name, named)}")
                    for place, name in missing
                ]
            )

    def said_of(self, index: int, message: str) -> str:
        """A message about a rule, with its place."""
        return str(self.document.problem(("events", index), message))


def load_mapping(path: Path) -> RowMapping:
    """Read and check a mapping file. Raises DefinitionError that lists every problem with its place."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise Permanent(f"{path} can't be read: {error.strerror or error}") from None
    return parse_mapping(str(path), decoded(str(path), body, "utf-8-sig"))


def parse_mapping(file: str, text: str) -> RowMapping:
    """The same for text that was read already; `file` is for messages."""
    document = Document(file, text, begins="events:")
    try:
        shape = MappingFile.model_validate(document.value)
    except ValidationError as error:
        # Of a value that fits none of several types the first complaint says enough.
        first = {_path(each): each for each in reversed(error.errors(include_url=False))}
        raise DefinitionError([_shape_problem(document, each) for each in reversed(first.values())]) from None
    if problems := [one for index, part in enumerate(shape.events) for one in _problems(document, shape, index, part)]:
        raise DefinitionError(problems)
    rules = [_rule(part, shape.time_zone) for part in shape.events]
    digest = hashlib.sha256(text.encode()).hexdigest()
    return RowMapping(rules, shape.encoding, shape.delimiter, digest, _used(shape), document)


def _rule(part: RulePart, zone: str | None) -> Rule:
    own = part.time.time_zone or zone
    return Rule(
        type=part.type,
        tests=[(column, _test(test)) for column, test in part.where.items()],
        id=TextPart(template=part.id) if part.id else None,
        customer=part.customer_id,
        time=part.time,
        read_time=reader(part.time.format, ZoneInfo(own) if own else None),
        fields=[_field(name, each) for name, each in part.data.items()],
    )


def _field(name: str, part: FieldPart) -> FieldRule:
    convert = converter(part.type, decimal_comma=part.decimal_comma)
    if part.values is not None:
        convert = translated(part.values)
    return FieldRule(name.split("."), None if part.value is not None else part, convert, part.value)


def _test(test: list[Scalar] | TestPart) -> Callable[[str], bool]:
    if isinstance(test, list):
        wanted = frozenset(map(_as_cell, test))
        return lambda cell: cell in wanted
    if test.filled is not None:
        return lambda cell: bool(cell) is test.filled
    unwanted = frozenset(map(_as_cell, test.not_ or ()))
    return lambda cell: cell not in unwanted


def _as_cell(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _used(shape: MappingFile) -> dict[str, list[Place]]:
    used: dict[str, list[Place]] = {}
    for index, part in enumerate(shape.events):
        for place, columns in _columns(part):
            for column in columns:
                used.setdefault(column, []).append(("events", index, *place))
    return used


def _columns(part: RulePart) -> Iterator[tuple[Place, Sequence[str]]]:
    yield from ((("where", column), (column,)) for column in part.where)
    yield ("id",), columns_in(part.id or "")
    sources: dict[Place, TextPart] = {("customer_id",): part.customer_id, ("time",): part.time}
    sources |= {("data", name): each for name, each in part.data.items()}
    for place, source in sources.items():
        yield (*place, "column" if source.column else "template"), source.columns()


def _problems(document: Document, shape: MappingFile, index: int, part: RulePart) -> Iterator[Problem]:
    place: Place = ("events", index)
    if not part.time.has_offset and not (part.time.time_zone or shape.time_zone):
        message = "times of this format have no offset; give the mapping a `time_zone`, such as America/Sao_Paulo"
        yield document.problem((*place, "time", "format"), message)
    for name in part.data:
        above = [other for other in part.data if name.startswith(other + ".")]
        if above:
            yield document.problem(
                (*place, "data", name), f"`{above[0]}` is a value already; `{name}` would be inside it"
            )
    yield from _type_problems(document, place, part)


def _type_problems(document: Document, place: Place, part: RulePart) -> Iterator[Problem]:
    model = PAYLOADS.get(part.type)
    if model is None:
        if (wrong := type_error(part.type)) is not None:
            yield document.problem((*place, "type"), f"{wrong.detail}; {wrong.advice}")
        return
    known = model.model_fields
    for name in part.data:
        if name.split(".")[0] not in known:
            meant = did_you_mean(name, known)
            message = f"a {part.type} has no field `{name}`; {meant}; what is your own goes under properties.{name}"
            yield document.problem((*place, "data", name), message)
    given = {name.split(".")[0] for name in part.data}
    for name, field in known.items():
        if field.is_required() and name not in given:
            yield document.problem((*place, "data"), f"a {part.type} needs `{name}`; say which column has it")


def _shape_problem(document: Document, error: ErrorDetails) -> Problem:
    path = _path(error)
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    if error["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in _model_at(path).model_fields.items()]
        message = f"unknown key `{path[-1]}`; {did_you_mean(str(path[-1]), known)}"
    elif error["type"] == "missing":
        message = f"`{path[-1]}` is missing"
    elif error["input"] is None:
        message = "there is a key without a value; give it one, or leave the key out"
    elif error["type"] == "too_short":
        message = "this is empty; give at least one"
    elif error["type"] in ("model_type", "dict_type"):
        message = "this must be a mapping, such as {column: Total}"
    return document.problem(path, message)


def _path(error: ErrorDetails) -> Place:
    scalars = ("str", "int", "float", "bool")
    return tuple(part for part in error["loc"] if part not in (*TAGS, *scalars))


def _model_at(path: Place) -> type[BaseModel]:
    if len(path) < 3:
        return MappingFile
    inner: dict[str | int, type[BaseModel]] = {
        "time": TimePart,
        "customer_id": TextPart,
        "where": TestPart,
        "data": FieldPart,
    }
    return inner.get(path[2], RulePart) if len(path) > 3 else RulePart
