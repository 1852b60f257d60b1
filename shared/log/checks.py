"""What both logs check before they take an append or a topic, with the same advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.contracts.topics import TopicSpec
from shared.log.port import LogRefused, Message


@dataclass(frozen=True, slots=True)
class TopicState:
    """What an append needs to know of an existing topic."""

    partitions: int
    max_message_bytes: int


def unknown_topic(topic: str) -> LogRefused:
    """The error for a topic that was never created."""
    return LogRefused(f"the topic {topic} does not exist; run `jornada topics create`")


def refuse_oversized(topic: str, messages: Sequence[Message], state: TopicState) -> None:
    """Raises LogRefused if a message is larger than the topic takes."""
    for message in messages:
        size = len(message.key) + len(message.value or b"")
        if size > state.max_message_bytes:
            raise LogRefused(
                f"a message of {size} bytes is more than {topic} takes ({state.max_message_bytes}); nothing was appended"
            )


def check_partition(topic: str, partition: int, state: TopicState) -> None:
    """Raises LogRefused for a partition that the topic does not have."""
    if not 0 <= partition < state.partitions:
        raise LogRefused(f"{topic} has partitions 0 to {state.partitions - 1}, not {partition}")


def partition_mismatch(spec: TopicSpec, found: int) -> str:
    """What to do when an existing topic has another number of partitions."""
    return (
        f"the topic {spec.topic} has {found} partitions, the settings say {spec.partitions}. A change would send customers "
        f"to other partitions and break their order: set JORNADA_PARTITIONS={found}, or move to a new log "
        "(new topics or cluster, and an empty database) and import the history there."
    )
