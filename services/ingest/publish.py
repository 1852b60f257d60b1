"""From accepted events to records that the log has durably. Answers in bounded time, whatever the log does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from services.ingest.domain.outcome import Accepted
from shared.contracts.cloudevent import headers
from shared.contracts.topics import Topic
from shared.log.port import Log, LogError, LogRefused, LogUnavailable, Message, Producer
from shared.telemetry.logging import logger
from shared.telemetry.metrics import EVENTS_IN_FLIGHT, LOG_APPEND_FAILURES, LOG_APPEND_SECONDS

_log = logger(__name__)

MAX_IN_FLIGHT: Final = 20_000
"""Events of one process that wait for the log: about 20 MB, and a second of work for a healthy one."""

_latency = LOG_APPEND_SECONDS.labels(Topic.EVENTS)
_failures = LOG_APPEND_FAILURES.labels(Topic.EVENTS)


class Overloaded(LogUnavailable):
    """Too many events wait for the log already; nothing was handed to it."""


class Publisher:
    """Appends events, never more at once than memory allows, never waiting longer than `timeout_seconds`."""

    def __init__(self, log: Log, timeout_seconds: float, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self._log = log
        self._timeout_seconds = timeout_seconds
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._producer: Producer | None = None
        self._opening = asyncio.Lock()
        self._appending: set[asyncio.Task[None]] = set()
        self._broken = False

    def alive(self) -> bool:
        """False once the producer failed in a way that only a new process cures."""
        return not self._broken

    async def open(self) -> Producer:
        """The producer, made when it is first needed. Raises LogUnavailable."""
        async with self._opening:
            if self._producer is None:
                self._producer = await self._log.producer()
            return self._producer

    async def publish(self, events: Sequence[Accepted], traceparent: str) -> None:
        """Returns once the log has all of them. Raises LogUnavailable (the outcome is unknown), Overloaded, LogError."""
        if self._in_flight + len(events) > self._max_in_flight:
            raise Overloaded(f"{self._in_flight:,} events wait for the log")
        started = time.perf_counter()
        appending = self._start(events, traceparent)
        # Not wait_for: that waits for the cancelled append to end, which may be never.
        done, _ = await asyncio.wait({appending}, timeout=self._timeout_seconds)
        if not done:
            appending.cancel()
            _failures.inc()
            raise LogUnavailable(f"the log did not acknowledge within {self._timeout_seconds:g} s")
        appending.result()
        _latency.observe(time.perf_counter() - started)

    async def close(self) -> None:
        """Let appends under way end, and release the producer."""
        if self._appending:
            await asyncio.wait(self._appending, timeout=self._timeout_seconds)
        if self._producer is not None:
            await self._producer.close()
            self._producer = None

    def _start(self, events: Sequence[Accepted], traceparent: str) -> asyncio.Task[None]:
        appending = asyncio.create_task(self._append(_messages(events, traceparent)))
        self._appending.add(appending)
        self._count(len(events))
        appending.add_done_callback(lambda ended: self._ended(ended, len(events)))
        return appending

    async def _append(self, messages: Sequence[Message]) -> None:
        producer = self._producer or await self.open()
        try:
            await producer.append(Topic.EVENTS, messages)
        except LogRefused as error:
            if not await self._is_broken():
                raise
            raise LogUnavailable(f"the producer is broken, the process ends: {error}") from error

    async def _is_broken(self) -> bool:
        """Whether the log says that only a new process helps, rather than that it does not like these records."""
        try:
            await self._log.ping()
        except LogRefused as error:
            _log.error("the producer is broken; the process ends", error=str(error))
            self._broken = True
        except LogUnavailable:
            pass  # away, which passes
        return self._broken

    def _ended(self, appending: asyncio.Task[None], events: int) -> None:
        self._appending.discard(appending)
        self._count(-events)
        error = None if appending.cancelled() else appending.exception()
        if error is None:
            return
        _failures.inc()
        if not isinstance(error, LogError):
            _log.error("the producer is broken; the process ends", exc_info=error)
            self._broken = True

    def _count(self, events: int) -> None:
        self._in_flight += events
        EVENTS_IN_FLIGHT.set(self._in_flight)


def _messages(events: Sequence[Accepted], traceparent: str) -> list[Message]:
    by_type = {event_type: headers(event_type, traceparent) for event_type in {event.type for event in events}}
    return [Message(event.key, event.value, by_type[event.type]) for event in events]
