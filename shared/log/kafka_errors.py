"""Bounded waiting for Kafka, and how its client's errors become the log's.

The client may wait for ever for a broker that is away, so nothing of it is awaited without a limit of our own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
    UnsupportedVersionError,
)

from shared.log.port import LogError, LogRefused, LogUnavailable

T = TypeVar("T")

FENCED = (ProducerFenced, InvalidProducerEpoch)
"""Somebody else initialised the same producer."""

FATAL = (*FENCED, OutOfOrderSequenceNumber, UnknownProducerId, InvalidProducerIdMapping, InvalidTxnState)
"""After one of these an idempotent producer never works again."""

_REFUSALS = (MessageSizeTooLargeError, UnsupportedVersionError)
_STOP_SECONDS = 3.0


async def within(seconds: float, work: Coroutine[Any, Any, T], doing: str) -> T:
    """The result of `work`, or LogUnavailable when it takes longer; errors of the client become the log's."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if not done:
            raise LogUnavailable(f"{doing}: Kafka did not answer within {seconds:g} s")
    finally:
        abandon(task)
    try:
        return task.result()
    except LogError:
        raise
    except (KafkaError, OSError, TimeoutError) as error:
        raise log_error(error, doing) from error


def log_error(error: BaseException, doing: str) -> LogError:
    """Whether a repetition can help: what Kafka calls retriable, and every trouble with a connection, is Transient."""
    text = f"{doing}: {error or type(error).__name__}"
    refused = isinstance(error, (*FATAL, *_REFUSALS)) or "Authorization" in type(error).__name__
    return LogRefused(text) if refused else LogUnavailable(text)


def abandon(task: asyncio.Future[Any]) -> None:
    """Cancel what nobody waits for any more, and look at its end, so that nobody is told of a forgotten error."""
    if not task.done():
        task.cancel()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


async def stop(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Stop in order, but only for so long: without a broker the client's own stop may never return."""
    stopping = asyncio.ensure_future(client.stop())
    try:
        done, _ = await asyncio.wait((stopping,), timeout=_STOP_SECONDS)
        abandon(stopping)
        if not done:
            await _tear_down(client)
    finally:
        if isinstance(client, AIOKafkaProducer):
            _look_at_left_behind(client)


def _look_at_left_behind(producer: AIOKafkaProducer) -> None:
    """A producer that was fenced, or died otherwise, has failed what nobody waits for: the end of its transaction, and
    the turn of batches that never had one. Whoever appended has got the same error; it need not be told of again."""
    waiting = [batch._drain_waiter for lane in producer._message_accumulator._batches.values() for batch in lane]
    if producer._txn_manager is not None and producer._txn_manager._transaction_waiter is not None:
        waiting.append(producer._txn_manager._transaction_waiter)
    for future in waiting:
        if future.done() and not future.cancelled():
            future.exception()


async def _tear_down(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """End the tasks that the client's own stop would have waited for, then close its connections."""
    for task in _background_tasks(client):
        # The first cancellation makes a task wait for its requests, the second ends that wait.
        for _ in range(2):
            task.cancel()
            await asyncio.wait((task,), timeout=0.1)
        abandon(task)
    connections = getattr(client, "client", None) or client._client
    closing = asyncio.ensure_future(connections.close())
    await asyncio.wait((closing,), timeout=1)
    abandon(closing)


def _background_tasks(client: AIOKafkaProducer | AIOKafkaConsumer) -> list[asyncio.Task[Any]]:
    if isinstance(client, AIOKafkaProducer):
        return [task for task in (client._sender.sender_task,) if task is not None]
    coordinator, fetcher = client._coordinator, client._fetcher
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")
    tasks = [getattr(coordinator, name, None) for name in names] + [getattr(fetcher, "_fetch_task", None)]
    return [task for task in tasks if task is not None]
