"""The last word before sending, over what is known in the claim's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from services.notifier.domain.campaign import CampaignClass
from services.notifier.domain.change import Contact
from services.notifier.domain.delivery import Channel, Planned
from shared.contracts.outcomes import Suppression


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which addresses may be written to; `everybody` is set for live delivery and for files, which reach nobody."""

    everybody: bool
    entries: tuple[str, ...] = ()

    def covers(self, address: str) -> bool:
        """Whether the address, or its @domain, is on the list."""
        lowered = address.lower()
        return self.everybody or any(
            lowered.endswith(entry.lower()) if entry.startswith("@") else lowered == entry.lower()
            for entry in self.entries
        )


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known at the moment of the claim."""

    contact: Contact
    switched_off: bool
    allowed: Allowed
    stale_after_ms: int
    now_ms: int


def objection(planned: Planned, known: Circumstances) -> Suppression | None:
    """Why this may not be sent now; None when it may."""
    if known.switched_off:
        return Suppression.SWITCHED_OFF
    if planned.channel is Channel.WEBHOOK:
        return None
    if planned.while_in_stage and not known.contact.in_stage(planned.lifecycle, planned.place):
        return Suppression.LEFT_STAGE
    if planned.klass is CampaignClass.MARKETING and (reason := _no_marketing(planned, known)):
        return reason
    if not known.contact.email:
        return Suppression.MISSING_ADDRESS
    return None if known.allowed.covers(known.contact.email) else Suppression.NOT_ALLOWLISTED


def _no_marketing(planned: Planned, known: Circumstances) -> Suppression | None:
    if known.contact.unsubscribed:
        return Suppression.UNSUBSCRIBED
    if known.contact.consent.get(planned.channel) is not True:
        return Suppression.NO_CONSENT
    if known.contact.open_complaints > 0:
        return Suppression.OPEN_COMPLAINT
    return Suppression.STALE if _is_stale(planned, known) else None


def _is_stale(planned: Planned, known: Circumstances) -> bool:
    """Old when it was planned, or long past the moment for which the step was meant."""
    late = max(planned.planned_ms - planned.effective_ms, known.now_ms - planned.due_ms)
    return late > known.stale_after_ms
