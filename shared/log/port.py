"""The log as services see it. `kafka` and `sql` implement it; one contract suite holds both to the same laws.

Laws: records of one partition keep the order in which they were appended; offsets grow but may have gaps (Kafka's
transaction markers take some); arrival times never decrease within a partition; a position returned by `append` is
durable; a consumer sees committed records only; a partition is owned by at most one member of a group that the log
still believes alive (an owner that lost touch may not know it yet: what must not happen twice is fenced elsewhere).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shared.contracts.cloudevent import Headers
from shared.contracts.topics import Topic, TopicSpec
from shared.errors import Permanent, Transient


class LogError(Exception):
    """Base of what the log raises; the message says what happened, where, and what to do."""


class LogUnavailable(LogError, Transient):
    """Transient: no acknowledgement in time. The outcome of an append is unknown; the id makes a retry harmless."""


class LogRefused(LogError, Permanent):
    """Permanent: the log will never take this (too large, unknown topic, not authorised)."""


class Fenced(LogError, Permanent):
    """A newer holder of the same fencing name has taken over; drop the work."""


class TopicMismatch(LogError, Permanent):
    """A topic exists with other settings than stated (partitions, arrival times); the message says what to do."""


class Message(NamedTuple):
    """A record to append. `key` decides the partition; `value` None is a tombstone."""

    key: bytes
    value: bytes | None
    headers: Headers = ()


class Position(NamedTuple):
    """Where a message came to stand, and when the log took it (milliseconds)."""

    partition: int
    offset: int
    arrival_ms: int


class Record(NamedTuple):
    """A record read back; `arrival_ms` is the log's own time of arrival, never the sender's."""

    topic: str
    partition: int
    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Producer(Protocol):
    """Appends that are durable when the call returns (Kafka: acks=all, idempotent; SQL: committed and synced)."""

    async def append(self, topic: Topic, messages: Sequence[Message]) -> list[Position]:
        """Append all; positions in the order given. Raises LogUnavailable within the configured timeout, LogRefused."""
        ...

    async def append_to(self, topic: Topic, partition: int, messages: Sequence[Message]) -> list[Position]:
        """Append all to one partition, whatever their keys, in the order given."""
        ...

    async def close(self) -> None:
        """Flush and release; returns within seconds even if the log is away."""
        ...


class FencedProducer(Protocol):
    """Appends atomically under a name; whoever opened the same name later wins, and this one gets Fenced."""

    async def append_to(self, topic: Topic, partition: int, messages: Sequence[Message]) -> None:
        """Append all or none, in the order given. Raises Fenced, LogUnavailable, LogRefused.

        Committed when it returns; readers may see it, and `end_offset` count it, a moment later.
        """
        ...

    async def close(self) -> None:
        """Release; never undoes what was appended."""
        ...


OnAssigned = Callable[[frozenset[TopicPartition]], Awaitable[None]]
OnRevoked = Callable[[frozenset[TopicPartition]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Membership:
    """A member of a consumer group. A partition newly assigned stays paused until its owner has called `seek`.

    `on_assigned` gets partitions gained, `on_revoked` partitions lost; both may be awaited by the log's own machinery:
    they must be quick, take no lock that a fetch holds, and not raise. `session_timeout_ms` bounds how long a dead
    member keeps its partitions.
    """

    group: str
    topics: tuple[Topic, ...]
    on_assigned: OnAssigned
    on_revoked: OnRevoked
    session_timeout_ms: int = 6_000


class Consumer(Protocol):
    """A member of a group; keeps no offsets of its own: owners seek to what their database says."""

    async def start(self) -> None:
        """Join the group. Raises LogUnavailable."""
        ...

    def assigned(self) -> frozenset[TopicPartition]:
        """The partitions that this member believes to own now."""
        ...

    async def seek(self, where: TopicPartition, offset: int) -> None:
        """Read on from `offset` (0 or below the first kept record: from the first kept one) and un-pause."""
        ...

    async def fetch(self, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        """Records that have come, at most `max_records` in all, waiting up to `timeout_ms` for the first.

        Must be called regularly, also when all partitions are paused: it keeps the membership alive.
        """
        ...

    def pause(self, where: TopicPartition) -> None:
        """Fetch nothing from it until `resume`; what was fetched already may not be lost."""
        ...

    def resume(self, where: TopicPartition) -> None:
        """Undo `pause`."""
        ...

    async def position(self, where: TopicPartition) -> int:
        """Offset of the next record that `fetch` will return, behind gaps that hold none."""
        ...

    async def end_offset(self, where: TopicPartition) -> int:
        """Asks the log itself, now: the offset after the last committed record. Raises LogUnavailable."""
        ...

    def stuck_seconds(self) -> float:
        """For how long this member has had no working place in its group; 0 while it has one, with or without partitions.

        An outage of the log does not count, but for some seconds. Beyond a minute, which is more than joining takes,
        only a new process helps. Counted by `fetch`: ask it while `fetch` is being called.
        """
        ...

    async def tell_progress(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Publish progress for lag tools only; failures are swallowed and logged, nothing depends on it."""
        ...

    async def close(self) -> None:
        """Leave the group at once, so that others take over without waiting for a timeout. Calls on_revoked first."""
        ...


class Log(Protocol):
    """One log; made once at start, closed last."""

    async def identity(self) -> str:
        """Stable id of this log (Kafka's cluster id): offsets of one log mean nothing in another."""
        ...

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create what is missing. Raises TopicMismatch when one exists with another partition count or time type."""
        ...

    async def partitions(self, topic: Topic) -> int:
        """Number of partitions of an existing topic. Raises LogUnavailable, LogRefused (unknown topic)."""
        ...

    async def producer(self) -> Producer:
        """A producer of its own, started. Raises LogUnavailable."""
        ...

    async def fenced_producer(self, name: str) -> FencedProducer:
        """Take `name` over from whoever had it before: their appends fail from now on. Raises LogUnavailable.

        A producer that raised LogUnavailable is used up: open the name again for another try."""
        ...

    def consumer(self, membership: Membership) -> Consumer:
        """A consumer, not yet started."""
        ...

    async def trim(self, before_ms: int, keep_from: Mapping[TopicPartition, int], limit: int) -> int:
        """One small step of retention: of each partition named, delete up to `limit` of the oldest records that arrived
        before `before_ms` and lie below the offset given (what no reader needs any more). Gives how many were deleted;
        0 means done. Kafka trims by its topics' settings: always 0. Not for compacted topics. Raises LogUnavailable."""
        ...

    async def compact(self, limit: int) -> int:
        """One small step of compaction over all compacted topics: looks at up to `limit` records of each partition and
        deletes those that a later record of their key supersedes. Gives how many it looked at; 0 means up to date.
        Kafka compacts by itself: always 0. Raises LogUnavailable."""
        ...

    async def ping(self) -> None:
        """Returns when the log answers. Raises LogUnavailable within 3 s; LogRefused when only a new process helps."""
        ...

    async def close(self) -> None:
        """Release what the log itself holds."""
        ...
