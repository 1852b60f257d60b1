"""A subscription: an endpoint of a tenant, and the stage changes that it asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.notifier.domain.change import Change


class SubscriptionStatus(StrEnum):
    """Active ones are sent to; paused ones keep their backlog; disabled ones asked for nothing more (410)."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which changes; an empty set means any. `transitions` are ids of edges."""

    lifecycles: frozenset[str] = frozenset()
    from_stages: frozenset[str] = frozenset()
    to_stages: frozenset[str] = frozenset()
    transitions: frozenset[str] = frozenset()

    def match(self, change: Change) -> bool:
        """Whether all that are given hold."""
        pairs = (
            (self.lifecycles, change.lifecycle),
            (self.from_stages, change.from_stage),
            (self.to_stages, change.to_stage),
            (self.transitions, change.transition),
        )
        return all(not wanted or value in wanted for wanted, value in pairs)


@dataclass(frozen=True, slots=True)
class Subscription:
    """An endpoint. `secrets` sign each body, the newest first; `failing_since_ms` is unset while it answers well."""

    id: str
    tenant: str
    url: str
    filters: Filters
    status: SubscriptionStatus
    secrets: tuple[str, ...]
    include_customer: bool = False
    include_backfill: bool = False
    transit: bool = False
    failing_since_ms: int | None = None

    @property
    def endpoint(self) -> str:
        """The queue that its deliveries wait in."""
        return endpoint_of(self.id)

    def wants(self, change: Change) -> bool:
        """Whether this change is to be posted; a paused one goes on collecting."""
        if self.status is SubscriptionStatus.DISABLED or self.tenant != change.tenant:
            return False
        if change.backfill and not self.include_backfill:
            return False
        return (change.settled or self.transit) and self.filters.match(change)


def endpoint_of(subscription_id: str) -> str:
    """The queue of a subscription."""
    return f"webhook:{subscription_id}"
