"""The form of a campaign file, as people write it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from services.notifier.definitions.audience import CelAudience
from services.notifier.domain.campaign import (
    Campaign,
    CampaignClass,
    Everyone,
    Movement,
    Policy,
    PolicyKind,
    Step,
    Trigger,
)
from shared.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

_UNITS = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d|w)")
_MAX_DELAY_MS = 366 * DAY_MS


def parse_duration(text: object) -> int:
    """Milliseconds of `0`, `30s`, `5m`, `48h`, `7d` or `2w`. Raises ValueError that says what to write."""
    if text == 0 or text == "0":
        return 0
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is no duration: write 0, 30s, 5m, 48h, 7d or 2w")
    length = int(found[1]) * _UNITS[found[2]]
    if length > _MAX_DELAY_MS:
        raise ValueError(f"{text} is longer than a year")
    return length


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Stages = Annotated[list[Key], BeforeValidator(_as_list)]
Duration = Annotated[int, BeforeValidator(parse_duration)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TriggerFile(_Strict):
    """Which stage changes: `entered` or `left` with stages, or `from` and `to`."""

    lifecycle: Key
    entered: Stages | None = None
    left: Stages | None = None
    from_: Stages | None = Field(None, alias="from")
    to: Stages | None = None
    transit: bool = False

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        given = [name for name in ("entered", "left") if getattr(self, name) is not None]
        plain = self.from_ is not None or self.to is not None
        if len(given) + plain != 1:
            raise ValueError("say it in one way: `entered: stage`, or `left: stage`, or `from:` and `to:`")
        return self

    def build(self) -> Trigger:
        """The domain's trigger."""
        if self.left is not None:
            return Trigger(self.lifecycle, Movement.LEFT, frozenset(self.left), frozenset(), self.transit)
        to = frozenset(self.entered or self.to or ())
        return Trigger(self.lifecycle, Movement.ENTERED, frozenset(self.from_ or ()), to, self.transit)


class StepFile(_Strict):
    """One message. A delayed one waits only while the customer stays, unless the file says otherwise."""

    key: Key
    delay: Duration = 0
    channel: Literal["email"] = "email"
    template: Key
    while_in_stage: bool | None = None

    def build(self) -> Step:
        """The domain's step."""
        stays = self.delay > 0 if self.while_in_stage is None else self.while_in_stage
        return Step(self.key, self.delay, self.template, stays)


class CampaignFile(_Strict):
    """A campaign file."""

    key: Key
    class_: CampaignClass = Field(alias="class")
    description: Annotated[str, StringConstraints(max_length=500)] = ""
    trigger: TriggerFile
    audience: Annotated[str, StringConstraints(min_length=1, max_length=4000)] | None = None
    policy: Literal["every_entry", "once", "cooldown"] = "every_entry"
    cooldown: Duration | None = None
    steps: Annotated[list[StepFile], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.policy == "cooldown") != (self.cooldown is not None):
            raise ValueError("`cooldown: 30d` and `policy: cooldown` belong together")
        keys = [step.key for step in self.steps]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"two steps have the key {twice[0]!r}; give each its own")
        return self

    def build(self) -> Campaign:
        """The domain's campaign. Raises ValueError for an audience that can't be read."""
        return Campaign(
            key=self.key,
            klass=self.class_,
            trigger=self.trigger.build(),
            steps=tuple(step.build() for step in self.steps),
            policy=Policy(PolicyKind(self.policy), self.cooldown or 0),
            audience=CelAudience(self.audience) if self.audience else Everyone(),
        )


def advice(kind: str, where: tuple[Any, ...]) -> str:
    """What to do about an error of pydantic's, beyond its own message."""
    if kind == "extra_forbidden":
        models: dict[int, type[BaseModel]] = {1: CampaignFile, 2: TriggerFile, 3: StepFile}
        model = models.get(len(where), CampaignFile)
        return "known here: " + ", ".join(field.alias or name for name, field in model.model_fields.items())
    return "add it" if kind == "missing" else ""
