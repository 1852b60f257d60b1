"""Appends to the SQL log: all calls of a process that wait at the same time share one commit.

A commit that is synced to disk costs milliseconds whatever it holds, so a single task drains the queue, writes what is
there in one transaction and answers everybody. It locks fences, then heads, each in order of their keys: two processes
can wait for each other's locks, never in a circle.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog
from sqlalchemy import select, tuple_

from shared.contracts.times import now_ms
from shared.db.port import Database, DatabaseConflict, Row, Transaction
from shared.errors import Permanent, Transient
from shared.log.port import Fenced, LogError, LogRefused, LogUnavailable, Message, Position, TopicPartition
from shared.log.sql_tables import fences, heads, records, rows_of

_COLUMNS = ("topic", "partition", "offset", "arrival_ms", "first_byte", "key", "value", "headers")
_HEAD_COLUMNS = ("topic", "partition", "next_offset", "last_arrival_ms", "next_byte")
_COMMIT_MESSAGES = 5_000
_COMMIT_BYTES = 16 * 1024 * 1024
_BACKOFF_SECONDS = 0.05
_CANCEL_SECONDS = 1.0
_RECORD_OVERHEAD_BYTES = 64

_log = structlog.get_logger(__name__)

Committed = Callable[[frozenset[str]], None]
"""Called with the topics appended to, once their records can be read."""


class Fence(msgspec.Struct, frozen=True):
    """The name and epoch that an append must still hold when it commits."""

    name: str
    epoch: int


@dataclass(slots=True, eq=False)
class Append:
    """One call's messages with their places, and who waits for them. Raises LogRefused for what is no record."""

    rows: list[tuple[TopicPartition, Message]]
    fence: Fence | None
    deadline: float
    answer: asyncio.Future[list[Position]]
    headers: list[bytes | None] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.headers = [msgspec.msgpack.encode(m.headers) if m.headers else None for _, m in self.rows]
            self.size = sum(_size(message) for _, message in self.rows)
        except (TypeError, UnicodeError) as error:
            raise LogRefused(f"a message is no record that the log can keep: {error}") from None


@dataclass(slots=True)
class _Head:
    next_offset: int
    last_arrival_ms: int
    next_byte: int


class Appender:
    """The queue and its one writer task. Each process has one; it starts with the first append."""

    def __init__(self, database: Database, timeout_seconds: float, committed: Committed) -> None:
        self._database = database
        self._timeout_seconds = timeout_seconds
        self._committed = committed
        self._queue: deque[Append] = deque()
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, rows: list[tuple[TopicPartition, Message]], fence: Fence | None = None) -> list[Position]:
        """Durable when it returns; all or none. Raises LogUnavailable in time, Fenced, LogRefused."""
        if self._closed:
            raise LogRefused("the log is closed in this process; start it again")
        waiting = self._enqueue(rows, fence)
        done, _ = await asyncio.wait((waiting.answer,), timeout=self._timeout_seconds)
        if not done:
            waiting.answer.cancel()
            raise LogUnavailable(
                f"the database did not confirm the append within {self._timeout_seconds:g} s; repeat it with the same ids"
            )
        return waiting.answer.result()

    async def close(self) -> None:
        """Write what is queued, for at most the timeout; then nobody can append any more."""
        self._closed = True
        if self._task is None:
            return
        self._filled.set()
        await asyncio.wait((self._task,), timeout=self._timeout_seconds)
        self._task.cancel()
        # A statement that hangs in the driver ends when it will; nobody waits for it.
        await asyncio.wait((self._task,), timeout=_CANCEL_SECONDS)

    def _enqueue(self, rows: list[tuple[TopicPartition, Message]], fence: Fence | None) -> Append:
        loop = asyncio.get_running_loop()
        waiting = Append(rows, fence, time.monotonic() + self._timeout_seconds, loop.create_future())
        self._queue.append(waiting)
        self._filled.set()
        if self._task is None:
            self._task = loop.create_task(self._write_for_ever(), name="sql-log-appender")
        return waiting

    async def _write_for_ever(self) -> None:
        while self._queue or not self._closed:
            await self._filled.wait()
            self._filled.clear()
            while group := self._take():
                await self._write(group)

    def _take(self) -> list[Append]:
        """The next appends that fit into one commit; those whose callers have given up are dropped."""
        group: list[Append] = []
        count = size = 0
        while self._queue:
            following = self._queue[0]
            if following.answer.done():
                self._queue.popleft()
                continue
            count, size = count + len(following.rows), size + following.size
            if group and (count > _COMMIT_MESSAGES or size > _COMMIT_BYTES):
                break
            group.append(self._queue.popleft())
        return group

    async def _write(self, group: list[Append]) -> None:
        try:
            await self._settle(group)
        except asyncio.CancelledError:
            _fail(group, LogUnavailable, "the append was interrupted; repeat it with the same ids")
            raise
        except Exception as error:  # the loop's edge: whatever one group does to it, later ones must be written
            _log.exception("log_append_failed", appends=len(group))
            _fail(group, LogUnavailable, f"the append was not confirmed: {error!r}; repeat it with the same ids")

    async def _settle(self, group: list[Append]) -> None:
        """Answer everybody. Of a group that is refused nothing was written: its halves are tried, down to who is to blame."""
        try:
            answers = await self._commit_with_retries(group)
        except Transient as error:
            _fail(group, LogUnavailable, f"the append was not confirmed: {error}; repeat it with the same ids")
        except Permanent as error:
            if len(group) == 1:
                _fail(group, LogRefused, f"the database refused the append: {error}")
                return
            middle = len(group) // 2
            for half in (group[:middle], group[middle:]):
                if waiting := [append for append in half if not append.answer.done()]:
                    await self._settle(waiting)
        else:
            for append, answer in zip(group, answers, strict=True):
                _resolve(append, answer)

    async def _commit_with_retries(self, group: list[Append]) -> list[list[Position] | Fenced]:
        """Tries again while nothing can have been written; a commit whose outcome is unknown is never repeated here."""
        deadline = min(append.deadline for append in group)
        while True:
            committing = False
            try:
                async with self._database.transaction() as transaction:
                    answers = await _append(transaction, group)
                    topics = frozenset(place.topic for append in group for place, _ in append.rows)
                    transaction.after_commit(lambda topics=topics: self._committed(topics))  # type: ignore[misc]
                    committing = True
                return answers
            except Transient as error:
                unknown = committing and not isinstance(error, DatabaseConflict)
                if unknown or time.monotonic() + _BACKOFF_SECONDS > deadline:
                    raise
            await asyncio.sleep(_BACKOFF_SECONDS)


def _fail(group: Iterable[Append], kind: type[LogError], text: str) -> None:
    for append in group:
        if not append.answer.done():
            append.answer.set_exception(kind(text))


def _resolve(append: Append, answer: list[Position] | Fenced) -> None:
    if append.answer.done():
        return
    if isinstance(answer, Fenced):
        append.answer.set_exception(answer)
    else:
        append.answer.set_result(answer)


async def _append(transaction: Transaction, group: Sequence[Append]) -> list[list[Position] | Fenced]:
    epochs = await _lock_fences(transaction, {append.fence.name for append in group if append.fence})
    holding = [
        append for append in group if append.fence is None or epochs.get(append.fence.name) == append.fence.epoch
    ]
    locked = await _lock_heads(transaction, {place for append in holding for place, _ in append.rows})
    now = now_ms()
    for head in locked.values():
        head.last_arrival_ms = max(now, head.last_arrival_ms)
    written: list[Row] = []
    positions = {
        id(append): [
            _place(place, message, headers, locked, written)
            for (place, message), headers in zip(append.rows, append.headers, strict=True)
        ]
        for append in holding
    }
    await transaction.insert(records, _COLUMNS, written)
    await transaction.upsert(heads, _HEAD_COLUMNS, [_head_row(place, head) for place, head in locked.items()])
    return [positions[id(append)] if id(append) in positions else _fenced(append) for append in group]


def _place(
    place: TopicPartition,
    message: Message,
    headers: bytes | None,
    locked: Mapping[TopicPartition, _Head],
    written: list[Row],
) -> Position:
    head = locked[place]
    position = Position(place.partition, head.next_offset, head.last_arrival_ms)
    written.append(
        (*place, position.offset, position.arrival_ms, head.next_byte, message.key, message.value, headers),
    )
    head.next_offset += 1
    head.next_byte += _size(message)
    return position


def _head_row(place: TopicPartition, head: _Head) -> Row:
    return (*place, head.next_offset, head.last_arrival_ms, head.next_byte)


async def _lock_fences(transaction: Transaction, names: set[str]) -> dict[str, int]:
    if not names:
        return {}
    query = select(fences.c.name, fences.c.epoch).where(fences.c.name.in_(sorted(names))).order_by(fences.c.name)
    return dict(await rows_of(transaction, query.with_for_update()))


async def _lock_heads(transaction: Transaction, places: set[TopicPartition]) -> dict[TopicPartition, _Head]:
    if not places:
        return {}
    query = (
        select(*(heads.c[name] for name in _HEAD_COLUMNS))
        .where(tuple_(heads.c.topic, heads.c.partition).in_(sorted(places)))
        .order_by(heads.c.topic, heads.c.partition)
        .with_for_update()
    )
    found = {TopicPartition(row[0], row[1]): _Head(*row[2:]) for row in await rows_of(transaction, query)}
    if missing := places - found.keys():
        raise LogRefused(
            f"no such partition: {', '.join(f'{t}/{p}' for t, p in sorted(missing))}; create the topics first"
        )
    return found


def _fenced(append: Append) -> Fenced:
    name = append.fence.name if append.fence else ""
    return Fenced(f"{name!r} was taken over by a newer holder; nothing was appended, drop the work")


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value) for name, value in message.headers)
    return len(message.key) + len(message.value or b"") + headers + _RECORD_OVERHEAD_BYTES
