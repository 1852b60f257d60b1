"""A delivery's stages: planned, pending dispatch, completed. Each is a type of its own, so none is taken for another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from services.notifier.domain.campaign import CampaignClass
from services.notifier.domain.change import NOWHERE, Contact, Place
from services.notifier.domain.subscription import Subscription
from shared.contracts.outcomes import Outcome, Suppression

REASONS = {
    Suppression.NO_CONSENT: "the customer has not agreed to marketing by this channel",
    Suppression.OPEN_COMPLAINT: "a complaint of the customer is open, and marketing waits for nobody's anger",
    Suppression.MISSING_ADDRESS: "no address of the customer is known",
    Suppression.DUPLICATE: "it was planned before",
    Suppression.LEFT_STAGE: "the customer has left the stage that this step was about",
    Suppression.STALE: "the news is too old for marketing",
    Suppression.BACKFILL: "imported history sends nothing",
    Suppression.UNSUBSCRIBED: "the customer unsubscribed by the link in an e-mail",
    Suppression.NOT_IN_AUDIENCE: "the customer is not in the campaign's audience",
    Suppression.NOT_ALLOWLISTED: "delivery is limited to the allow-list, and the address is not on it",
    Suppression.SWITCHED_OFF: "the channel is switched off for this tenant",
    Suppression.POLICY: "the customer had this campaign before, as often as its policy allows",
}
"""Each reason as a sentence for people."""


class Channel(StrEnum):
    """How something leaves the house."""

    EMAIL = "email"
    WEBHOOK = "webhook"


class DeliveryKey(NamedTuple):
    """What makes a delivery the same one; planning it again changes nothing."""

    tenant: str
    campaign: str
    change_id: str
    step: str
    recipient: str

    def delivery_id(self) -> str:
        """An id that everybody derives alike: 128 bits of SHA-256 over the parts with their lengths."""
        text = "".join(f"{len(part)}:{part}" for part in self)
        return "dlv_" + hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Planned:
    """Something to be sent at `due_ms`, unless what is known then speaks against it.

    `endpoint` names the queue: what shares one shares its concurrency, and never waits for another's.
    `campaign` and `step` are empty for a webhook, `subscription_id` for an e-mail.
    """

    id: str
    tenant: str
    customer_id: str
    channel: Channel
    endpoint: str
    change_id: str
    effective_ms: int
    planned_ms: int
    due_ms: int
    campaign: str = ""
    step: str = ""
    template: str = ""
    klass: CampaignClass = CampaignClass.TRANSACTIONAL
    lifecycle: str = ""
    place: Place = NOWHERE
    while_in_stage: bool = False
    subscription_id: str = ""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Something that will not be sent, and why."""

    planned: Planned
    reason: Suppression

    def ending(self, traceparent: str | None = None) -> Ending:
        """A step withdrawn because its stage was left was cancelled; anything else was suppressed."""
        outcome = Outcome.CANCELLED if self.reason is Suppression.LEFT_STAGE else Outcome.SUPPRESSED
        return Ending(self.planned, outcome, self.reason, REASONS[self.reason], traceparent=traceparent)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a delivery ended, for the record and for the topic. `detail` never holds an address or a body."""

    planned: Planned
    outcome: Outcome
    reason: Suppression | None = None
    detail: str = ""
    attempts: int = 0
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What happened, as published: `data` is the stage change's JSON without the customer, which stands beside it."""

    change_id: str
    effective_ms: int
    data: bytes
    customer: bytes
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Email:
    """What an e-mail is made from."""

    contact: Contact
    story: Story


@dataclass(frozen=True, slots=True)
class Post:
    """What a webhook is made from."""

    subscription: Subscription
    story: Story


@dataclass(frozen=True, slots=True)
class PendingDispatch:
    """A claimed delivery: ours until its lease ends. `attempts` are those made before."""

    planned: Planned
    lease_token: str
    lease_until_ms: int
    attempts: int
    message: Email | Post


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt as its channel saw it; `status_code` is the receiver's, where it gave one."""

    ok: bool
    started_ms: int
    duration_ms: int
    status_code: int | None = None
    error: str = ""
    permanent: bool = False
    gone: bool = False
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class CompletedDispatch:
    """A claimed delivery after its attempt; what it means is `domain.retry`'s to say."""

    pending: PendingDispatch
    attempted: Attempted
