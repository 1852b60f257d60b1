"""From a stage change to what shall be sent: pure, so that simulation and production cannot differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.notifier.domain.campaign import Campaign, Step
from services.notifier.domain.change import Change, Contact, Place
from services.notifier.domain.delivery import Channel, DeliveryKey, Planned, Suppressed
from services.notifier.domain.subscription import Subscription
from shared.contracts.outcomes import Suppression


def plan_campaign(
    campaign: Campaign, change: Change, contact: Contact, last_run_ms: int | None, now_ms: int
) -> Sequence[Planned | Suppressed]:
    """The steps of one campaign for one change that triggers it, each planned or suppressed.

    Consent, address, complaints and staleness are left to the moment of sending, when they may be others.
    """
    planned = [_step(campaign, step, change, now_ms) for step in campaign.steps]
    reason = _objection(campaign, change, contact, last_run_ms, now_ms)
    return [Suppressed(one, reason) for one in planned] if reason else planned


def _objection(
    campaign: Campaign, change: Change, contact: Contact, last_run_ms: int | None, now_ms: int
) -> Suppression | None:
    if not campaign.audience.includes(change, contact):
        return Suppression.NOT_IN_AUDIENCE
    return None if campaign.policy.allows(last_run_ms, now_ms) else Suppression.POLICY


def _step(campaign: Campaign, step: Step, change: Change, now_ms: int) -> Planned:
    key = DeliveryKey(change.tenant, campaign.key, change.id, step.key, f"customer:{change.customer_id}")
    return Planned(
        id=key.delivery_id(),
        tenant=change.tenant,
        customer_id=change.customer_id,
        channel=Channel.EMAIL,
        endpoint=f"{Channel.EMAIL}:{change.tenant}",
        change_id=change.id,
        effective_ms=change.effective_ms,
        planned_ms=now_ms,
        due_ms=change.effective_ms + step.delay_ms,
        campaign=campaign.key,
        step=step.key,
        template=step.template,
        klass=campaign.klass,
        lifecycle=change.lifecycle,
        place=Place(change.to_stage, change.entry),
        while_in_stage=step.while_in_stage,
    )


def plan_webhooks(change: Change, subscriptions: Iterable[Subscription], now_ms: int) -> list[Planned]:
    """One delivery for each subscription that asked for this change."""
    return [_webhook(one, change, now_ms) for one in subscriptions if one.wants(change)]


def _webhook(subscription: Subscription, change: Change, now_ms: int) -> Planned:
    key = DeliveryKey(change.tenant, "", change.id, "", f"subscription:{subscription.id}")
    return Planned(
        id=key.delivery_id(),
        tenant=change.tenant,
        customer_id=change.customer_id,
        channel=Channel.WEBHOOK,
        endpoint=subscription.endpoint,
        change_id=change.id,
        effective_ms=change.effective_ms,
        planned_ms=now_ms,
        due_ms=now_ms,
        subscription_id=subscription.id,
    )


def left_behind(change: Change, waiting: Iterable[Planned]) -> list[Planned]:
    """The waiting steps that this change ends: those of another stage, or another entry, of the same lifecycle."""
    return [
        one
        for one in waiting
        if one.while_in_stage
        and one.lifecycle == change.lifecycle
        and one.place != Place(change.to_stage, change.entry)
    ]
