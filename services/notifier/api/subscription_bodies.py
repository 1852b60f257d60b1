"""What goes in and comes out at the routes of subscriptions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import uuid_utils
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.notifier.domain.subscription import Filters, Subscription, SubscriptionStatus
from services.notifier.store.subscriptions import Listed, new_secret
from shared.contracts.times import to_text

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
Names = Annotated[list[Name], Field(max_length=100)]

_FILTERS = ("lifecycles", "from_stages", "to_stages", "transitions")


class FiltersIn(BaseModel):
    """Which stage changes; what is left out or empty means any."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lifecycles: Names = []
    from_stages: Names = []
    to_stages: Names = []
    transitions: Names = []
    types: list[Literal["customer.stage_changed"]] = ["customer.stage_changed"]

    def build(self) -> Filters:
        """The domain's filters."""
        return Filters(**{name: frozenset(getattr(self, name)) for name in _FILTERS})


class SubscriptionIn(BaseModel):
    """A new endpoint."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    filters: FiltersIn = FiltersIn()
    include_customer: bool = False
    include_backfill: bool = False
    transit: bool = False

    def build(self, tenant: str) -> Subscription:
        """A new subscription of a tenant, with an id and a secret of its own."""
        return Subscription(
            id=f"sub_{uuid_utils.uuid7().hex}",
            tenant=tenant,
            url=self.url,
            filters=self.filters.build(),
            status=SubscriptionStatus.ACTIVE,
            secrets=(new_secret(),),
            include_customer=self.include_customer,
            include_backfill=self.include_backfill,
            transit=self.transit,
        )


class SubscriptionOut(BaseModel):
    """An endpoint as it stands. `status` is active, paused (backlog kept) or disabled."""

    id: str
    url: str
    filters: dict[str, list[str]]
    include_customer: bool
    include_backfill: bool
    transit: bool
    status: str
    status_detail: str
    failing_since: str | None
    created_at: str

    @classmethod
    def of(cls, listed: Listed) -> SubscriptionOut:
        """What is told of a subscription."""
        return SubscriptionOut(**_told(listed))


class SecretOut(SubscriptionOut):
    """An endpoint with its secret: shown now and never again."""

    secret: str

    @classmethod
    def showing(cls, listed: Listed, secret: str) -> SecretOut:
        """The same with the secret."""
        return SecretOut(**_told(listed), secret=secret)


class PageOut(BaseModel):
    """Some subscriptions; `next` is set while there are more."""

    subscriptions: list[SubscriptionOut]
    next: str | None


class PingOut(BaseModel):
    """What came of a ping."""

    ok: bool
    status_code: int | None
    duration_ms: int
    error: str


def _told(listed: Listed) -> dict[str, Any]:
    one = listed.subscription
    return {
        "id": one.id,
        "url": one.url,
        "filters": {name: sorted(getattr(one.filters, name)) for name in _FILTERS},
        "include_customer": one.include_customer,
        "include_backfill": one.include_backfill,
        "transit": one.transit,
        "status": one.status,
        "status_detail": listed.status_detail,
        "failing_since": to_text(one.failing_since_ms) if one.failing_since_ms is not None else None,
        "created_at": to_text(listed.created_ms),
    }
