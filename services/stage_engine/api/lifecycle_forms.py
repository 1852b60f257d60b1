"""Lifecycles, versions and publications as they are told over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.file_model import Key
from services.stage_engine.store.publications import Publication
from shared.contracts.times import to_text

_TEXT = r"^[^\x00]*$"
_KEY = re.compile("[a-z][a-z0-9_]{0,62}")


class StageOut(BaseModel):
    """A stage. `order` says how far along it is; `side` draws it beside the main way; `end`: nothing leads out."""

    key: str
    order: int
    label: dict[str, str]
    side: bool
    end: bool


class LifecycleOut(BaseModel):
    """A registered lifecycle in its active version, with its stages in order.

    `default`: it is what the caller's tenant means where none is named; `running`: this engine's settings list it.
    """

    name: str
    version: int
    labels: dict[str, str]
    start: str
    default: bool
    running: bool
    stages: list[StageOut]


class LifecyclesOut(BaseModel):
    """All registered lifecycles, by name."""

    lifecycles: list[LifecycleOut]


class PublicationOut(BaseModel):
    """One publication. `number` counts those of its lifecycle; `migrate` says where customers of lost stages went."""

    publish_id: str
    lifecycle: str
    number: int
    version: int
    message: str
    author: str
    created_at: str
    notify: bool
    migrate: dict[str, str]


class LifecycleWhole(LifecycleOut):
    """The same with the text of the active version and the newest publications, the last one first."""

    text: str
    publications: list[PublicationOut]


class PublishedOut(PublicationOut):
    """A publication, just made; or, when it was there already, announced again."""

    new: bool


class PublicationIn(BaseModel):
    """What is to be published: a text, or the number of a version that is stored."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = Field(None, description="the YAML text of the next version")
    version: int | None = Field(None, ge=1, lt=2**31, description="of an earlier version, to roll back to it")
    message: str = Field(min_length=1, max_length=1_000, pattern=_TEXT, description="why, for who reads the history")
    author: str | None = Field(
        None, min_length=1, max_length=200, pattern=_TEXT, description="who publishes; the key's id when left out"
    )
    notify: bool = Field(False, description="let campaigns act on what changes; otherwise it changes silently")
    migrate: dict[str, Key] = Field(
        {}, max_length=200, description="old stage: new stage, where customers of stages go that are no more"
    )

    @field_validator("migrate")
    @classmethod
    def _keys(cls, value: dict[str, str]) -> dict[str, str]:
        if wrong := [key[:100] for key in value if not _KEY.fullmatch(key)]:
            raise ValueError(f"{wrong[0]!r} can't be a stage's key: these are made of a-z, 0-9 and _")
        return value

    @model_validator(mode="after")
    def _one_of_two(self) -> PublicationIn:
        if (self.text is None) == (self.version is None):
            raise ValueError("give `text` to publish a new version, or `version` to roll back to one: one of the two")
        return self


class DefaultIn(BaseModel):
    """The lifecycle that a tenant means where none is named."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lifecycle: str = Field(min_length=1, max_length=200)


class DefaultOut(BaseModel):
    """The default lifecycle; `chosen` is false while it is that of the settings."""

    lifecycle: str
    chosen: bool


class FindingOut(BaseModel):
    """An error or a warning with its place; line and column count from 1."""

    file: str
    line: int
    column: int
    message: str


class LintOut(BaseModel):
    """What there is to say about a text: as `jornada lifecycle lint --format json` tells it."""

    file: str
    errors: list[FindingOut]
    warnings: list[FindingOut]
    notes: list[str]


def told_lifecycle(definition: Definition, version: int, *, default: bool, running: bool) -> dict[str, Any]:
    """The fields of a LifecycleOut."""
    shape = definition.shape
    stages = [
        StageOut(key=key, order=part.order, label=_plain(part.label), side=part.side, end=part.end)
        for key, part in sorted(shape.stages.items(), key=lambda each: each[1].order)
    ]
    return {
        "name": definition.name,
        "version": version,
        "labels": _plain(shape.labels),
        "start": shape.start,
        "default": default,
        "running": running,
        "stages": stages,
    }


def told_publication(publication: Publication) -> dict[str, Any]:
    """The fields of a PublicationOut."""
    told = {**publication._asdict(), "migrate": dict(publication.migrate)}
    return {**told, "created_at": to_text(told.pop("created_ms"))}


def _plain(labels: Mapping[Any, str]) -> dict[str, str]:
    return {str(locale): label for locale, label in labels.items()}
