"""The shape of a lifecycle file. What a value means beyond its shape is checked when it is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from services.stage_engine.definitions.durations import parse_days, parse_duration

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
EventName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.:-]{0,63}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]
_MOST_SHOWN = 60
"""How many characters of a wrong value a message repeats."""
Labels = dict[Literal["pt-BR", "es", "en"], Label]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _milliseconds(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(
            f"{repr(value)[:_MOST_SHOWN]} has no unit; write one whole number with s, m, h, d or w, such as 60d"
        )
    return parse_duration(value)


Duration = Annotated[
    int,
    BeforeValidator(_milliseconds),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}[smhdw]$", "examples": ["5m", "48h", "60d"]}),
]


def _known_zone(value: str) -> str:
    try:
        if value in ("localtime", "posixrules", "Factory") or value.startswith(("posix/", "right/")):
            raise KeyError(value)  # of this machine, of no place, or with leap seconds
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value[:_MOST_SHOWN]!r} is no IANA time zone; write one such as America/Sao_Paulo") from None
    return value


TimeZone = Annotated[str, AfterValidator(_known_zone)]
_EVENT_NAME = {"type": "string", "pattern": "^[a-z][a-z0-9_.:-]{0,63}$"}
_STAGE_KEY = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$"}


def _one_or_more(item: dict[str, str]) -> WithJsonSchema:
    """The schema of what may be written alone or as a list."""
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})


class Part(BaseModel):
    """What all parts of a file have in common: no unknown keys, no keys without a value."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _has_a_value(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("there is a key without a value; give it one, or leave the key out")
        return value


def _days(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{repr(value)[:_MOST_SHOWN]} has no unit; a window counts local days, such as 90d or 4w")
    return parse_days(value)


EventTypes = Annotated[
    list[EventName], BeforeValidator(_listed), Field(min_length=1, max_length=50), _one_or_more(_EVENT_NAME)
]
Days = Annotated[
    int,
    BeforeValidator(_days),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,4}[dw]$", "description": "local days", "examples": ["90d"]}),
]
Field_ = Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9_]{0,63}$")]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=4_096)]
AGGREGATIONS = ("count", "average_gap", "sum", "min", "max", "average", "first", "last", "distinct")
"""The first two name event types; the others name a field, whose events `of` names."""


class FactPart(Part):
    """A fact of the lifecycle's own: one aggregation over events, or `expr`, arithmetic over facts."""

    count: EventTypes | None = None
    average_gap: EventTypes | None = None
    sum: Field_ | None = None
    min: Field_ | None = None
    max: Field_ | None = None
    average: Field_ | None = None
    first: Field_ | None = None
    last: Field_ | None = None
    distinct: Field_ | None = None
    of: EventTypes | None = None
    where: Expression | None = None
    within: Days | None = None
    type: Literal["int", "number", "money", "text"] | None = None
    expr: Expression | None = None
    label: Labels = {}

    @model_validator(mode="after")
    def _one_way(self) -> FactPart:
        named = [name for name in (*AGGREGATIONS, "expr") if getattr(self, name) is not None]
        if len(named) != 1:
            given = f"{' and '.join(named)} are given" if named else "nothing is given"
            raise ValueError(f"a fact is one of {', '.join(AGGREGATIONS)} or expr; {given}")
        kind = named[0]
        more = [name for name in ("of", "where", "within", "type") if getattr(self, name) is not None]
        if kind == "expr" and more:
            raise ValueError(f"`expr` goes over facts, not over events; {', '.join(more)} does not belong to it")
        if kind in ("count", "average_gap") and {"of", "type"} & set(more):
            raise ValueError(f"`{kind}` names event types itself, such as {{{kind}: purchase}}; leave out of and type")
        if kind not in ("count", "average_gap", "expr") and self.of is None:
            raise ValueError(f"`{kind}` names a field; say of which events, such as {{{kind}: amount, of: purchase}}")
        return self

    @property
    def kind(self) -> str:
        """Which of the aggregations it is, or `expr`."""
        return next(name for name in (*AGGREGATIONS, "expr") if getattr(self, name) is not None)

    @property
    def event_types(self) -> frozenset[str]:
        """The event types that move it."""
        return frozenset(self.of or self.count or self.average_gap or ())

    @property
    def field(self) -> str | None:
        """The field of the event's data that it takes, where it takes one."""
        return self.sum or self.min or self.max or self.average or self.first or self.last or self.distinct


class FollowPart(Part):
    """A wait that is as long as a duration fact says, times a number, within bounds."""

    fact: Key
    times: Annotated[float, Field(gt=0, le=1_000)] = 1.0
    min: Duration | None = None
    max: Duration | None = None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> FollowPart:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` is longer than `max`")
        return self


def _kind_of_wait(value: Any) -> str:
    return "follows" if isinstance(value, Mapping | FollowPart) else "fixed"


After = Annotated[
    Annotated[Duration, Tag("fixed")] | Annotated[FollowPart, Tag("follows")], Discriminator(_kind_of_wait)
]


class StagePart(Part):
    """`order` says how far along a stage is; `side` draws it beside the main way; `end` says that nothing leads out of it
    on purpose."""

    order: Annotated[int, Field(ge=0, le=10_000)]
    label: Labels = {}
    side: bool = False
    end: bool = False


class TransitionPart(Part):
    """An edge; what is given of `on`, `when`, `after` must hold together."""

    id: Key
    from_: Annotated[
        list[Key], BeforeValidator(_listed), Field(alias="from", min_length=1, max_length=200), _one_or_more(_STAGE_KEY)
    ]
    to: Key
    on: EventTypes | None = None
    when: Annotated[str, StringConstraints(min_length=1)] | None = None
    after: After | None = None
    since: Annotated[str, StringConstraints(pattern=r"^(entered|facts\.[a-z][a-z0-9_]*)$")] | None = None
    demotion: bool = False

    @property
    def since_fact(self) -> str | None:
        """The fact that the wait counts from; None where it counts from entering the stage."""
        return None if self.since in (None, "entered") else self.since.removeprefix("facts.")


class LifecycleFile(Part):
    """A whole definition. `lateness` is how long a silence waits for events that are late."""

    lifecycle: Key
    labels: Labels = {}
    start: Key
    time_zone: TimeZone = "UTC"
    lateness: Duration = parse_duration("5m")
    facts: Annotated[dict[Key, FactPart], Field(max_length=100)] = {}
    stages: Annotated[dict[Key, StagePart], Field(min_length=1, max_length=200)]
    migrate: dict[Key, Key] = {}
    transitions: Annotated[list[TransitionPart], Field(max_length=1_000)] = []
