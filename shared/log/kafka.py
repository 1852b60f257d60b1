"""The log on Apache Kafka, through aiokafka. What the client does differently from what services need is dealt with in
`kafka_producer`, `kafka_fenced`, `kafka_consumer` and `kafka_topics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer

from shared.contracts.topics import Topic, TopicSpec
from shared.log.kafka_consumer import KafkaConsumer
from shared.log.kafka_errors import stop, within
from shared.log.kafka_fenced import KafkaFencedProducer
from shared.log.kafka_producer import MAX_BATCH_BYTES, KafkaProducer
from shared.log.kafka_topics import KafkaTopics
from shared.log.port import LogRefused, Membership, TopicPartition

_PING_SECONDS = 3.0
_REQUEST_TIMEOUT_MS = 40_000
_TRANSACTION_TIMEOUT_MS = 15_000
"""How long a transaction that its dead owner left open may hold back readers, when nobody takes the name over."""


class KafkaLog:
    """Log on a Kafka cluster; connects when first used. Every call is bounded by the append timeout."""

    def __init__(self, bootstrap: str, append_timeout_seconds: float, replication_factor: int = 1) -> None:
        self._bootstrap = bootstrap
        self._timeout_seconds = append_timeout_seconds
        self._topics = KafkaTopics(bootstrap, append_timeout_seconds, replication_factor)
        self._producers: list[KafkaProducer] = []

    async def identity(self) -> str:
        return await self._topics.identity()

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> None:
        await self._topics.ensure(specs)

    async def partitions(self, topic: Topic) -> int:
        return (await self._topics.get(topic.value)).partitions

    async def topic_settings(self, topic: Topic) -> Mapping[str, str]:
        """A topic's settings as the broker has them; for people and tests."""
        return await self._topics.settings(topic.value)

    async def producer(self) -> KafkaProducer:
        client = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        await self._start(client, "connecting a producer")
        producer = KafkaProducer(client, self._topics, self._timeout_seconds)
        self._producers.append(producer)
        return producer

    async def fenced_producer(self, name: str) -> KafkaFencedProducer:
        client = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            transactional_id=name,
            transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        await self._start(client, f"taking over {name!r}")
        return KafkaFencedProducer(name, client, self._topics, self._timeout_seconds)

    def consumer(self, membership: Membership) -> KafkaConsumer:
        return KafkaConsumer(
            self._bootstrap, membership, self._timeout_seconds, lambda: self._topics.ping(_PING_SECONDS)
        )

    async def trim(self, before_ms: int, keep_from: Mapping[TopicPartition, int], limit: int) -> int:
        """Kafka trims by its topics' retention."""
        return 0

    async def compact(self, limit: int) -> int:
        """Kafka compacts by its topics' cleanup policy."""
        return 0

    async def ping(self) -> None:
        for producer in self._producers:
            if producer.broken:
                raise LogRefused(producer.broken)
        await self._topics.ping(_PING_SECONDS)

    async def close(self) -> None:
        await self._topics.close()

    async def _start(self, client: AIOKafkaProducer, doing: str) -> None:
        try:
            await within(self._timeout_seconds, client.start(), f"{doing} at {self._bootstrap}")
        except BaseException:
            await stop(client)
            raise
