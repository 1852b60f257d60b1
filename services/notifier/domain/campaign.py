"""A campaign: on which stage change it acts, for whom, how often, and what it sends when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from services.notifier.domain.change import Change, Contact


class CampaignClass(StrEnum):
    """Why the customer gets it: marketing needs consent and a quiet complaint desk, transactional only an address."""

    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


class Movement(StrEnum):
    """Which side of a stage change a trigger watches."""

    ENTERED = "entered"
    LEFT = "left"


class PolicyKind(StrEnum):
    """How often one customer gets a campaign."""

    EVERY_ENTRY = "every_entry"
    ONCE = "once"
    COOLDOWN = "cooldown"


@dataclass(frozen=True, slots=True)
class Policy:
    """How often; `cooldown_ms` is the least time between two runs, and only a cooldown has one."""

    kind: PolicyKind = PolicyKind.EVERY_ENTRY
    cooldown_ms: int = 0

    def allows(self, last_run_ms: int | None, now_ms: int) -> bool:
        """Whether the campaign may run again for a customer who last had it at `last_run_ms`."""
        if last_run_ms is None or self.kind is PolicyKind.EVERY_ENTRY:
            return True
        return self.kind is PolicyKind.COOLDOWN and now_ms - last_run_ms >= self.cooldown_ms


@dataclass(frozen=True, slots=True)
class Trigger:
    """The stage changes that start a campaign; an empty set of stages means any.

    A stage is left at one hop only, so `left` looks at every hop; `entered` looks at the last hop of a decision unless
    `transit` is set, so that a stage merely passed through sends nothing.
    """

    lifecycle: str
    movement: Movement
    from_stages: frozenset[str]
    to_stages: frozenset[str]
    transit: bool = False

    def matches(self, change: Change) -> bool:
        """Whether this change starts the campaign."""
        if change.lifecycle != self.lifecycle:
            return False
        if self.movement is Movement.ENTERED and not (change.settled or self.transit):
            return False
        return self._holds(self.from_stages, change.from_stage) and self._holds(self.to_stages, change.to_stage)

    @staticmethod
    def _holds(stages: frozenset[str], stage: str | None) -> bool:
        return not stages or stage in stages


class Audience(Protocol):
    """Who of those in the trigger gets the campaign."""

    def includes(self, change: Change, contact: Contact) -> bool:
        """Whether this customer is meant; a condition that can't be answered is a no."""
        ...


@dataclass(frozen=True, slots=True)
class Everyone:
    """The audience of a campaign that names none."""

    def includes(self, change: Change, contact: Contact) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, slots=True)
class Step:
    """One message of a campaign, `delay_ms` after the change took effect.

    `while_in_stage` steps are cancelled when the customer leaves the stage that the change led to; the others tell of
    something that happened and stay true.
    """

    key: str
    delay_ms: int
    template: str
    while_in_stage: bool
    channel: str = "email"


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as its file declares it."""

    key: str
    klass: CampaignClass
    trigger: Trigger
    steps: tuple[Step, ...]
    policy: Policy = Policy()
    audience: Audience = Everyone()


class CampaignIndex:
    """Campaigns by lifecycle, so that a change is compared with few."""

    def __init__(self, campaigns: Mapping[str, Campaign]) -> None:
        self._by_lifecycle: dict[str, tuple[Campaign, ...]] = {}
        for campaign in campaigns.values():
            known = self._by_lifecycle.get(campaign.trigger.lifecycle, ())
            self._by_lifecycle[campaign.trigger.lifecycle] = (*known, campaign)

    def triggered_by(self, change: Change) -> list[Campaign]:
        """The campaigns that this change starts; none for an imported one."""
        if change.backfill:
            return []
        return [one for one in self._by_lifecycle.get(change.lifecycle, ()) if one.trigger.matches(change)]
