"""What became of a campaign's step or a webhook, published when it is final and kept per delivery."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

CAMPAIGN_OUTCOME_TYPE: Final = "campaign.outcome"
NOTIFIER_SOURCE: Final = "/jornada/notifier"


class Outcome(StrEnum):
    """How a delivery ended."""

    SENT = "sent"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Suppression(StrEnum):
    """Why something was not sent. Every non-send has exactly one."""

    NO_CONSENT = "no_consent"
    OPEN_COMPLAINT = "open_complaint"
    MISSING_ADDRESS = "missing_address"
    DUPLICATE = "duplicate"
    LEFT_STAGE = "left_stage"
    STALE = "stale"
    BACKFILL = "backfill"
    UNSUBSCRIBED = "unsubscribed"
    NOT_IN_AUDIENCE = "not_in_audience"
    NOT_ALLOWLISTED = "not_allowlisted"
    SWITCHED_OFF = "switched_off"
    POLICY = "policy"


class CampaignOutcome(msgspec.Struct, frozen=True):
    """The end of one delivery. `detail` is a sentence for people; it never holds an address or a body."""

    delivery_id: str
    customer_id: str
    campaign: str
    step: str
    channel: str
    outcome: Outcome
    reason: str | None
    stage_change_id: str
    attempts: int
    detail: str
