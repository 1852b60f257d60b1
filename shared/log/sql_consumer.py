"""A member that reads: ownership from `sql_membership`, records by offset, woken by this process's own commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog
from sqlalchemy import select, tuple_

from shared.contracts.cloudevent import Headers
from shared.db.port import Database, Transaction
from shared.errors import Permanent, Transient
from shared.log.port import LogUnavailable, Membership, Record, TopicPartition
from shared.log.sql_errors import log_errors
from shared.log.sql_membership import Registration, Turn
from shared.log.sql_tables import heads, records, rows_of
from shared.log.sql_topics import SqlTopics
from shared.log.sql_wake import Wakes, wait_for

_POLL_SECONDS = 0.2
_FETCH_BYTES = 16 * 1024 * 1024
_MAX_BEAT_SECONDS = 3.0

_log = structlog.get_logger(__name__)
_headers = msgspec.msgpack.Decoder(Headers)


@dataclass(slots=True)
class _Cursor:
    """Where a partition is read; `position` None until its owner has called `seek`."""

    position: int | None = None
    paused: bool = False


class SqlConsumer:
    """One member of a group. Its heartbeat is a task of its own: slow handling of records costs no ownership."""

    def __init__(self, database: Database, topics: SqlTopics, wakes: Wakes, membership: Membership) -> None:
        self._database = database
        self._topics = topics
        self._wakes = wakes
        self._membership = membership
        self._cursors: dict[TopicPartition, _Cursor] = {}
        self._appended = wakes.listen(topic.value for topic in membership.topics)
        self._group_changed = wakes.listen([self._group_wake])
        self._registration: Registration | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn_of = 0
        self._closing = False
        self._out_since: float | None = None

    @property
    def _group_wake(self) -> str:
        return f"group:{self._membership.group}"

    async def start(self) -> None:
        async with log_errors(f"joining {self._membership.group}"):
            counts = {topic.value: (await self._topics.get(topic)).partitions for topic in self._membership.topics}
            self._registration = Registration(self._database, self._membership, counts)
            await self._take_turn()
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"sql-log-{self._membership.group}")
        self._task.add_done_callback(self._note_end)

    def assigned(self) -> frozenset[TopicPartition]:
        return frozenset(self._cursors)

    async def seek(self, where: TopicPartition, offset: int) -> None:
        cursor = self._cursors.get(where)
        if cursor is not None:
            cursor.position, cursor.paused = offset, False
            self._appended.set()

    def pause(self, where: TopicPartition) -> None:
        if cursor := self._cursors.get(where):
            cursor.paused = True

    def resume(self, where: TopicPartition) -> None:
        if cursor := self._cursors.get(where):
            cursor.paused = False
            self._appended.set()

    async def position(self, where: TopicPartition) -> int:
        cursor = self._cursors.get(where)
        if cursor is None or cursor.position is None:
            raise LogUnavailable(f"{where.topic}/{where.partition} is not this member's now, or was not sought yet")
        return cursor.position

    async def end_offset(self, where: TopicPartition) -> int:
        async with log_errors("asking for the end of the log"), self._database.reading() as transaction:
            ends = await _ends(transaction, [where])
        if where not in ends:
            raise LogUnavailable(f"the log has no {where.topic}/{where.partition}")
        return ends[where]

    def stuck_seconds(self) -> float:
        """A member that beats no more is out, and may not know."""
        return 0.0 if self._out_since is None else time.monotonic() - self._out_since

    async def tell_progress(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Nobody asks: lag tools read the services' own progress rows."""

    async def fetch(self, max_records: int, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            self._appended.clear()
            async with log_errors("reading the log"):
                found = await self._read(max_records)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            await wait_for(self._appended, min(left, _POLL_SECONDS))

    async def close(self) -> None:
        if self._task is not None:
            await self._end(self._task)
        self._wakes.forget(self._appended)
        self._wakes.forget(self._group_changed)
        await self._lose(self.assigned())
        await self._leave()

    # Reading

    async def _read(self, max_records: int) -> dict[TopicPartition, list[Record]]:
        wanted = {w: c.position for w, c in self._cursors.items() if c.position is not None and not c.paused}
        if not wanted:
            return {}
        found: dict[TopicPartition, list[Record]] = {}
        ends: dict[TopicPartition, int] = {}
        async with self._database.reading() as transaction:
            ends = await _ends(transaction, list(wanted))
            behind = [where for where in wanted if ends[where] > wanted[where]]
            for where in self._in_turn(behind):
                left = max_records - sum(map(len, found.values()))
                if left <= 0:
                    break
                found[where] = await _records(transaction, where, wanted[where], left)
        return {
            w: kept for w, rows in found.items() if (kept := self._passed(w, wanted[w], rows, ends[w], max_records))
        }

    def _in_turn(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Each fetch begins one partition further, so that a full one starves nobody."""
        self._turn_of += 1
        first = self._turn_of % len(places) if places else 0
        return places[first:] + places[:first]

    def _passed(
        self, where: TopicPartition, start: int, rows: list[Record], end: int, max_records: int
    ) -> list[Record] | None:
        """The records, unless the partition was lost, paused or sought while they were read; moves the position."""
        cursor = self._cursors.get(where)
        if cursor is None or cursor.paused or cursor.position != start:
            return None
        cursor.position = rows[-1].offset + 1 if rows else end
        return rows or None

    # Ownership

    async def _live(self) -> None:
        """Beat and watch until cancelled; a database that is away is waited for."""
        registration = self._joined()
        every = min(_MAX_BEAT_SECONDS, self._membership.session_timeout_ms / 3000)
        beat_at = time.monotonic() + every
        while not self._closing:
            self._group_changed.clear()
            try:
                if time.monotonic() >= beat_at or await registration.watch():
                    beat_at = time.monotonic() + every
                    await self._take_turn()
            except Transient as error:
                _log.warning("log_membership_unavailable", group=self._membership.group, error=str(error))
            if not self._closing:
                await wait_for(self._group_changed, min(_POLL_SECONDS, every))

    def _note_end(self, living: asyncio.Task[None]) -> None:
        """What no waiting mends has ended it, unless it was asked to."""
        if not living.cancelled() and (error := living.exception()):
            self._out_since = time.monotonic()
            _log.error("log_membership_failed", group=self._membership.group, error=str(error))

    async def _take_turn(self) -> None:
        registration = self._joined()
        turn = await registration.turn()
        await self._lose((self.assigned() - turn.owned) | (self.assigned() & turn.surplus))
        if turn.surplus:
            await registration.hand_back(turn.surplus)
        await self._gain(turn.owned - turn.surplus - self.assigned())
        self._tell_group(turn)

    async def _gain(self, places: frozenset[TopicPartition]) -> None:
        if places:
            self._cursors.update({place: _Cursor() for place in places})
            await self._membership.on_assigned(places)

    async def _lose(self, places: frozenset[TopicPartition]) -> None:
        if places:
            for place in places:
                del self._cursors[place]
            await self._membership.on_revoked(places)

    async def _end(self, task: asyncio.Task[None]) -> None:
        """Let a turn under way finish, so that no transaction is cut off; a database that hangs is not waited for."""
        self._closing = True
        self._group_changed.set()
        await asyncio.wait((task,), timeout=_MAX_BEAT_SECONDS)
        task.cancel()
        await asyncio.wait((task,), timeout=_MAX_BEAT_SECONDS)

    async def _leave(self) -> None:
        if self._registration is None:
            return
        try:
            async with asyncio.timeout(_MAX_BEAT_SECONDS):
                await self._registration.leave()
        except (Transient, Permanent, TimeoutError) as error:
            _log.warning("log_leave_failed", group=self._membership.group, error=str(error))
        self._registration = None
        self._wakes.wake([self._group_wake])

    def _tell_group(self, turn: Turn) -> None:
        if turn.changed or turn.surplus:
            self._wakes.wake([self._group_wake])

    def _joined(self) -> Registration:
        if self._registration is None:
            raise LogUnavailable(f"the member of {self._membership.group} has not been started, or is closed")
        return self._registration


def _record(
    topic: str, partition: int, offset: int, arrival_ms: int, key: bytes, value: bytes | None, headers: bytes | None
) -> Record:
    return Record(topic, partition, offset, arrival_ms, key, value, _headers.decode(headers) if headers else ())


async def _ends(transaction: Transaction, places: list[TopicPartition]) -> dict[TopicPartition, int]:
    query = select(heads.c.topic, heads.c.partition, heads.c.next_offset)
    rows = await rows_of(transaction, query.where(tuple_(heads.c.topic, heads.c.partition).in_(places)))
    return {TopicPartition(topic, partition): end for topic, partition, end in rows}


async def _records(transaction: Transaction, where: TopicPartition, start: int, limit: int) -> list[Record]:
    """Records from `start` on: at least one, then no more than the limit and the bytes of one fetch allow."""
    r = records.c
    here = (r.topic == where.topic) & (r.partition == where.partition) & (r.offset >= start)
    first_byte = select(r.first_byte).where(here).order_by(r.offset).limit(1).scalar_subquery()
    query = (
        select(r.topic, r.partition, r.offset, r.arrival_ms, r.key, r.value, r.headers)
        .where(here, r.first_byte <= first_byte + _FETCH_BYTES)
        .order_by(r.offset)
        .limit(limit)
    )
    found = await rows_of(transaction, query)
    return [_record(*row) for row in found]
