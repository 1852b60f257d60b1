"""Small makers of domain values for tables of cases."""

from __future__ import annotations

from typing import Any

from services.notifier.domain.campaign import Campaign, CampaignClass, Movement, Step, Trigger
from services.notifier.domain.change import Change, Contact, Place
from services.notifier.domain.delivery import Channel, Planned
from services.notifier.domain.subscription import Filters, Subscription, SubscriptionStatus
from shared.contracts.times import DAY_MS, HOUR_MS

NOW = 1_790_000_000_000


def change(**given: Any) -> Change:
    """A settled, live change of customer c-1 to `at_risk`."""
    values: dict[str, Any] = {
        "tenant": "shop",
        "id": "ch-1",
        "customer_id": "c-1",
        "lifecycle": "ecommerce",
        "from_stage": "loyal",
        "to_stage": "at_risk",
        "entry": 1,
        "sequence": 5,
        "revision": 7,
        "settled": True,
        "backfill": False,
        "effective_ms": NOW,
        "transition": "went_quiet",
        **given,
    }
    return Change(**values)


def contact(**given: Any) -> Contact:
    """Somebody who may be written to."""
    values: dict[str, Any] = {
        "revision": 7,
        "sequence": 5,
        "name": "Ana",
        "email": "ana@example.com",
        "locale": "pt-BR",
        "consent": {"email": True},
        "places": {"ecommerce": Place("at_risk", 1)},
        **given,
    }
    return Contact(**values)


def trigger(**given: Any) -> Trigger:
    """Entered at_risk."""
    values: dict[str, Any] = {
        "lifecycle": "ecommerce",
        "movement": Movement.ENTERED,
        "from_stages": frozenset(),
        "to_stages": frozenset({"at_risk"}),
        **given,
    }
    return Trigger(**values)


def campaign(**given: Any) -> Campaign:
    """Win-back in two steps."""
    values: dict[str, Any] = {
        "key": "win-back",
        "klass": CampaignClass.MARKETING,
        "trigger": trigger(),
        "steps": (Step("hello", 0, "hello", False), Step("offer", 7 * DAY_MS, "offer", True)),
        **given,
    }
    return Campaign(**values)


def planned(**given: Any) -> Planned:
    """A marketing letter, due now."""
    values: dict[str, Any] = {
        "id": "dlv_1",
        "tenant": "shop",
        "customer_id": "c-1",
        "channel": Channel.EMAIL,
        "endpoint": "email:shop",
        "change_id": "ch-1",
        "effective_ms": NOW - HOUR_MS,
        "planned_ms": NOW - HOUR_MS,
        "due_ms": NOW - HOUR_MS,
        "campaign": "win-back",
        "step": "hello",
        "template": "welcome",
        "klass": CampaignClass.MARKETING,
        "lifecycle": "ecommerce",
        "place": Place("at_risk", 1),
        **given,
    }
    return Planned(**values)


def subscription(**given: Any) -> Subscription:
    """An endpoint that wants everything live."""
    values: dict[str, Any] = {
        "id": "sub_1",
        "tenant": "shop",
        "url": "https://shop.example/hook",
        "filters": Filters(),
        "status": SubscriptionStatus.ACTIVE,
        "secrets": ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
        **given,
    }
    return Subscription(**values)
