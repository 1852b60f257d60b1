"""Appends to Kafka in transactions under a name that one process holds at a time: the broker itself keeps zombies out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.log.checks import check_partition, refuse_oversized
from shared.log.kafka_errors import FENCED, stop, within
from shared.log.kafka_topics import KafkaTopics
from shared.log.port import Fenced, LogRefused, LogUnavailable, Message


class KafkaFencedProducer:
    """A transactional producer whose transactional.id is the name; one transaction for each call, one at a time.

    After LogUnavailable its transaction's state is unknown: close it and open the name again, which aborts what was
    left open.
    """

    def __init__(self, name: str, client: AIOKafkaProducer, topics: KafkaTopics, timeout_seconds: float) -> None:
        self._name = name
        self._client = client
        self._topics = topics
        self._timeout_seconds = timeout_seconds
        self._lock = asyncio.Lock()
        self._used_up = ""

    async def append_to(self, topic: Topic, partition: int, messages: Sequence[Message]) -> None:
        state = await self._topics.get(topic.value)
        check_partition(topic, partition, state)
        refuse_oversized(topic, messages, state)
        if not messages:
            return
        async with self._lock:
            if self._used_up:
                raise LogUnavailable(self._used_up)
            await self._in_transaction(topic, partition, messages)

    async def close(self) -> None:
        await stop(self._client)

    async def _in_transaction(self, topic: Topic, partition: int, messages: Sequence[Message]) -> None:
        deliveries: list[asyncio.Future[Any]] = []
        work = self._transaction(topic, partition, messages, deliveries)
        try:
            await within(self._timeout_seconds, work, f"appending as {self._name!r}")
        except BaseException as error:
            self._used_up = f"the producer {self._name!r} failed before; open the name again"
            if _is_fencing(error, deliveries):
                raise Fenced(
                    f"{self._name!r} was taken over by a newer holder; nothing was appended, drop the work"
                ) from error
            if isinstance(error, LogRefused):
                raise LogUnavailable(f"{error}; {self._used_up}") from error
            raise
        finally:
            _forget(deliveries)

    async def _transaction(
        self, topic: Topic, partition: int, messages: Sequence[Message], deliveries: list[asyncio.Future[Any]]
    ) -> None:
        await self._client.begin_transaction()
        batch = self._client.create_batch()
        for message in messages:
            if not _put(batch, message):
                deliveries.append(await self._client.send_batch(batch, topic.value, partition=partition))
                batch = self._client.create_batch()
                _put(batch, message)
        deliveries.append(await self._client.send_batch(batch, topic.value, partition=partition))
        await asyncio.gather(*deliveries)
        await self._client.commit_transaction()


def _put(batch: Any, message: Message) -> bool:
    appended = batch.append(timestamp=now_ms(), key=message.key, value=message.value, headers=list(message.headers))
    return appended is not None


def _is_fencing(error: BaseException, deliveries: Sequence[asyncio.Future[Any]]) -> bool:
    """The client tells of a takeover at the call or at a delivery, whichever is first."""
    if isinstance(error.__cause__, FENCED):
        return True
    ended = (delivery for delivery in deliveries if delivery.done() and not delivery.cancelled())
    return any(isinstance(delivery.exception(), FENCED) for delivery in ended)


def _forget(deliveries: Sequence[asyncio.Future[Any]]) -> None:
    for delivery in deliveries:
        delivery.add_done_callback(lambda done: done.cancelled() or done.exception())
