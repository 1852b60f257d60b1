"""The shape of a lifecycle file. What a value means beyond its shape is checked when it is compiled."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator

from services.stage_engine.definitions.durations import parse_duration

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
EventName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.:-]{0,63}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Labels = dict[Literal["pt-BR", "es", "en"], Label]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _milliseconds(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} has no unit; write one whole number with s, m, h, d or w, such as 60d")
    return parse_duration(value)


Duration = Annotated[int, BeforeValidator(_milliseconds)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _has_a_value(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("there is a key without a value; give it one, or leave the key out")
        return value


class StagePart(_Part):
    """`order` says how far along a stage is; `side` draws it beside the main way."""

    order: Annotated[int, Field(ge=0, le=10_000)]
    label: Labels = {}
    side: bool = False


class TransitionPart(_Part):
    """An edge; what is given of `on`, `when`, `after` must hold together."""

    id: Key
    from_: Annotated[list[Key], BeforeValidator(_listed), Field(alias="from", min_length=1)]
    to: Key
    on: Annotated[list[EventName], BeforeValidator(_listed), Field(min_length=1)] | None = None
    when: Annotated[str, StringConstraints(min_length=1)] | None = None
    after: Duration | None = None
    since: Annotated[str, StringConstraints(pattern=r"^(entered|facts\.[a-z][a-z0-9_]*)$")] | None = None
    demotion: bool = False


class LifecycleFile(_Part):
    """A whole definition. `lateness` is how long a silence waits for events that are late."""

    lifecycle: Key
    labels: Labels = {}
    start: Key
    time_zone: str = "UTC"
    lateness: Duration = parse_duration("5m")
    stages: Annotated[dict[Key, StagePart], Field(min_length=1, max_length=200)]
    transitions: Annotated[list[TransitionPart], Field(max_length=1_000)] = []

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is no IANA time zone; write one such as America/Sao_Paulo") from None
        return value
