"""What follows an attempt, as a value: done, again at a time, never again, or not to this endpoint for now.

The schedule is the one that Standard Webhooks recommends. Jitter spreads the retries of many deliveries that failed
together; it comes in as a number from 0 to 1, so that every case is arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.notifier.domain.delivery import Attempted, Channel
from shared.contracts.times import HOUR_MS, MINUTE_MS, SECOND_MS

WEBHOOK_SCHEDULE_MS = (
    0,
    5 * SECOND_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
    20 * HOUR_MS,
    24 * HOUR_MS,
)
"""Wait before each attempt, the first included."""

EMAIL_SCHEDULE_MS = (0, 30 * SECOND_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS, 10 * HOUR_MS)
"""Mail servers queue and retry by themselves, so a failure to hand over is either short or an outage."""

SCHEDULES = {Channel.WEBHOOK: WEBHOOK_SCHEDULE_MS, Channel.EMAIL: EMAIL_SCHEDULE_MS}

JITTER = 0.2
MAX_RETRY_AFTER_MS = 24 * HOUR_MS
PAUSE_AFTER_MS = 120 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Done:
    """It was taken."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Again, not before `due_ms`."""

    due_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Never again; `detail` says why."""

    detail: str


@dataclass(frozen=True, slots=True)
class Pause:
    """The endpoint has failed for too long: keep its backlog until somebody enables it."""

    detail: str


@dataclass(frozen=True, slots=True)
class Disable:
    """The endpoint said that it is gone (410): send it nothing more."""

    detail: str


Decision = Done | RetryAt | GiveUp | Pause | Disable


@dataclass(frozen=True, slots=True)
class Tried:
    """How far a delivery has come: attempts made, this one included, and since when its endpoint fails."""

    channel: Channel
    attempts: int
    failing_since_ms: int | None
    now_ms: int


def decide(tried: Tried, attempted: Attempted, jitter: float) -> Decision:
    """What follows this attempt. `jitter` is from 0 to 1: 0.5 keeps the schedule's own wait."""
    if attempted.ok:
        return Done()
    if attempted.gone:
        return Disable("the receiver answered 410 Gone")
    if attempted.permanent:
        return GiveUp(attempted.error)
    since = tried.failing_since_ms
    if since is not None and tried.now_ms - since >= PAUSE_AFTER_MS:
        return Pause(f"no attempt has succeeded for {PAUSE_AFTER_MS // HOUR_MS} hours; last: {attempted.error}")
    schedule = SCHEDULES[tried.channel]
    if tried.attempts >= len(schedule):
        return GiveUp(f"{tried.attempts} attempts failed; last: {attempted.error}")
    return RetryAt(tried.now_ms + _wait(schedule[tried.attempts], attempted.retry_after_ms, jitter))


def _wait(scheduled_ms: int, retry_after_ms: int | None, jitter: float) -> int:
    """The schedule's wait ±20 %, or what the receiver asked for if that is longer (a day at most)."""
    spread = round(scheduled_ms * (1 - JITTER + 2 * JITTER * jitter))
    return max(spread, min(retry_after_ms or 0, MAX_RETRY_AFTER_MS))
