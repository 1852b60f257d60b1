"""A member of a Kafka consumer group. Offsets live in the owners' database; those told to Kafka are for lag tools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError

from shared.log.kafka_errors import abandon, log_error, stop, within
from shared.log.port import LogError, LogUnavailable, Membership, Record, TopicPartition

_GRACE_SECONDS = 0.5
_ASK_SECONDS = 5.0
"""How long a member is without a place in its group before it asks whether the cluster is away, and again after."""
_PARTITION_FETCH_BYTES = 256 * 1024
_FETCH_BYTES = 4 * 1024 * 1024

_log = structlog.get_logger(__name__)


class KafkaConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads what is committed. Assignment is by ranges, so that a member has the same numbers in every topic.

    A rebalance takes everything away and then deals out anew: owners hear `on_revoked` for all they had first.
    """

    def __init__(
        self, bootstrap: str, membership: Membership, timeout_seconds: float, ping: Callable[[], Awaitable[None]]
    ) -> None:
        """`ping` asks the cluster through another client; it raises LogUnavailable when there is no answer."""
        self._membership = membership
        self._timeout_seconds = timeout_seconds
        self._bootstrap = bootstrap
        self._ping = ping
        self._client: AIOKafkaConsumer | None = None
        self._sought: dict[TopicPartition, bool] = {}
        self._fetching: asyncio.Task[dict[KafkaPartition, list[Any]]] | None = None
        self._sought_meanwhile: dict[TopicPartition, int] = {}
        self._adrift_since: float | None = None
        self._asked_at = 0.0

    async def start(self) -> None:
        client = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=self._membership.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=self._membership.session_timeout_ms,
            heartbeat_interval_ms=min(3_000, max(300, self._membership.session_timeout_ms // 3)),
            rebalance_timeout_ms=30_000,
            max_partition_fetch_bytes=_PARTITION_FETCH_BYTES,
            fetch_max_bytes=_FETCH_BYTES,
        )
        try:
            await within(self._timeout_seconds, client.start(), f"joining {self._membership.group}")
        except BaseException:
            await stop(client)
            raise
        self._client = client
        # Subscribing only now: joining goes on in the background, and a listener can be given.
        client.subscribe([topic.value for topic in self._membership.topics], listener=self)

    def assigned(self) -> frozenset[TopicPartition]:
        return frozenset(self._sought)

    async def seek(self, where: TopicPartition, offset: int) -> None:
        if where in self._sought:
            self._started().seek(KafkaPartition(*where), offset)
            self._sought[where] = True
            if self._fetching is not None:
                self._sought_meanwhile[where] = offset
            self.resume(where)

    def pause(self, where: TopicPartition) -> None:
        if where in self._sought:
            self._started().pause(KafkaPartition(*where))

    def resume(self, where: TopicPartition) -> None:
        if self._sought.get(where):
            self._started().resume(KafkaPartition(*where))

    async def position(self, where: TopicPartition) -> int:
        if not self._sought.get(where):
            raise LogUnavailable(f"{where.topic}/{where.partition} is not this member's now, or was not sought yet")
        work = self._started().position(KafkaPartition(*where))
        return int(await self._asking(work, f"asking for the position in {where.topic}/{where.partition}"))

    async def end_offset(self, where: TopicPartition) -> int:
        place = KafkaPartition(*where)
        doing = f"asking for the end of {where.topic}/{where.partition}"
        return int((await self._asking(self._started().end_offsets([place]), doing))[place])

    async def fetch(self, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        try:
            fetched = await self._getmany(max_records, timeout_ms)
        except LogError:
            await self._drift()
            raise
        if fetched is not None and self._has_place():
            self._adrift_since = None
        else:
            await self._drift()
        if fetched is None:
            return {}
        places = [(TopicPartition(*place), batch) for place, batch in fetched.items()]
        places = [(place, batch) for place, batch in places if not self._is_stale(place)]
        self._sought_meanwhile.clear()
        return {place: [_record(r) for r in batch] for place, batch in places if self._sought.get(place)}

    async def _getmany(self, max_records: int, timeout_ms: int) -> dict[KafkaPartition, list[Any]] | None:
        """What has come; None when the client has not answered. It must not be cancelled, and may wait for a rebalance
        longer than asked: then the next fetch takes it up."""
        if self._fetching is None:
            work = self._started().getmany(timeout_ms=timeout_ms, max_records=max_records)
            self._fetching = asyncio.ensure_future(work)
        done, _ = await asyncio.wait((self._fetching,), timeout=timeout_ms / 1000 + _GRACE_SECONDS)
        if not done:
            return None
        fetching, self._fetching = self._fetching, None
        try:
            return fetching.result()
        except (KafkaError, ConsumerStoppedError) as error:
            raise log_error(error, f"reading as {self._membership.group}") from error

    def _is_stale(self, place: TopicPartition) -> bool:
        """Whether a partition was sought while the fetch was under way: its records are from before, and are fetched
        again from where the seek wants them."""
        offset = self._sought_meanwhile.get(place)
        if offset is None:
            return False
        self._started().seek(KafkaPartition(*place), offset)
        return True

    def stuck_seconds(self) -> float:
        """The client can lose its group for good when a broker restarts: it then waits, or fails, at every fetch."""
        return 0.0 if self._adrift_since is None else time.monotonic() - self._adrift_since

    def _has_place(self) -> bool:
        """The client's own opinion: it knows the group's coordinator and need not join. It has no public way to ask."""
        coordinator = self._started()._coordinator
        return coordinator.coordinator_id is not None and not coordinator._rejoin_needed_fut.done()

    async def _drift(self) -> None:
        """Notes a fetch without a place in the group. A cluster that is away takes everybody's: that is not the
        client's fault, and no other process would have more luck."""
        now = time.monotonic()
        if self._adrift_since is None:
            self._adrift_since = self._asked_at = now
        if now - self._asked_at < _ASK_SECONDS:
            return
        try:
            await self._ping()
        except LogError:
            self._adrift_since = None
        self._asked_at = time.monotonic()

    async def tell_progress(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        offsets = {KafkaPartition(*place): offset for place, offset in next_offsets.items() if place in self._sought}
        if not offsets:
            return
        try:
            await within(self._timeout_seconds, self._started().commit(offsets), "telling progress")
        except (LogUnavailable, IllegalStateError) as error:
            _log.info("log_progress_not_told", group=self._membership.group, error=str(error))

    async def close(self) -> None:
        if self._client is None:
            return
        client, self._client = self._client, None
        await self.on_partitions_revoked(())
        await stop(client)
        if self._fetching is not None:
            abandon(self._fetching)
            self._fetching = None

    # Called by the client, which only logs what these raise.

    async def on_partitions_assigned(self, assigned: Sequence[KafkaPartition]) -> None:
        """Pauses first: records may come before the owner has said from where."""
        if self._client is None:
            return
        self._client.pause(*assigned)
        gained = frozenset(TopicPartition(*place) for place in assigned)
        self._sought = dict.fromkeys(gained, False)
        if gained:
            await self._membership.on_assigned(gained)

    async def on_partitions_revoked(self, revoked: Sequence[KafkaPartition]) -> None:
        """Everything is lost, whatever the new assignment will be."""
        lost, self._sought = frozenset(self._sought), {}
        if lost:
            await self._membership.on_revoked(lost)

    async def _asking(self, work: Any, doing: str) -> Any:
        try:
            return await within(self._timeout_seconds, work, doing)
        except IllegalStateError as error:
            raise LogUnavailable(f"{doing}: it is not this member's any more") from error

    def _started(self) -> AIOKafkaConsumer:
        if self._client is None:
            raise LogUnavailable(f"the member of {self._membership.group} has not been started, or is closed")
        return self._client


def _record(r: Any) -> Record:
    return Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
