"""The topics, with everything that their creation needs. Ops people see exactly these names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.contracts.times import DAY_MS


class Topic(StrEnum):
    """Names of the topics; the suffix is the version of the record's shape."""

    EVENTS = "jornada.events.v1"
    STAGE_CHANGED = "jornada.stage-changed.v1"
    CUSTOMER_UPDATED = "jornada.customer-updated.v1"
    CAMPAIGN_OUTCOMES = "jornada.campaign-outcomes.v1"
    DEAD_LETTERS = "jornada.dead-letters.v1"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is created. `retention_ms` None keeps for ever; a compacted topic keeps the last record of a key."""

    topic: Topic
    partitions: int
    retention_ms: int | None
    compacted: bool = False
    max_message_bytes: int = 10 * 1024 * 1024


def topic_specs(partitions: int) -> tuple[TopicSpec, ...]:
    """All topics with `partitions` each, so that a customer has the same partition number everywhere.

    Arrival times are always the log's own (LogAppendTime). The generous message limit lets a foreign producer's huge
    record in, to be dead-lettered with its bytes instead of blocking that producer for a reason nobody sees.
    """
    return (
        TopicSpec(Topic.EVENTS, partitions, retention_ms=30 * DAY_MS),
        TopicSpec(Topic.STAGE_CHANGED, partitions, retention_ms=30 * DAY_MS),
        TopicSpec(Topic.CUSTOMER_UPDATED, partitions, retention_ms=None, compacted=True),
        TopicSpec(Topic.CAMPAIGN_OUTCOMES, partitions, retention_ms=30 * DAY_MS),
        TopicSpec(Topic.DEAD_LETTERS, partitions, retention_ms=30 * DAY_MS),
    )
