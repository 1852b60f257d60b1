"""Topics, identity and health of a Kafka cluster, through its administrative client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from shared.contracts.topics import TopicSpec
from shared.log.checks import TopicState, partition_mismatch, unknown_topic
from shared.log.kafka_errors import log_error, within
from shared.log.port import LogError, LogUnavailable, TopicMismatch

T = TypeVar("T")

_LEADER_POLL_SECONDS = 0.1
_CREATE_SECONDS = 30.0
_GIVE_UP_SECONDS = 1.0
_BATCH_OVERHEAD_BYTES = 4096
"""Room for the headers and framing of a batch of one record, within the topic's limit."""


class KafkaTopics:
    """One lazily opened administrative connection; what it learns of a topic is remembered, since it never changes."""

    def __init__(self, bootstrap: str, timeout_seconds: float, replication_factor: int) -> None:
        self._bootstrap = bootstrap
        self._timeout_seconds = timeout_seconds
        self._replication_factor = replication_factor
        self._opening = asyncio.Lock()
        self._admin: AIOKafkaAdminClient | None = None
        self._known: dict[str, TopicState] = {}

    async def ensure(self, specs: Sequence[TopicSpec]) -> None:
        """Create what is missing and wait for its leaders. Raises TopicMismatch, LogUnavailable, LogRefused."""
        admin = await self._open()
        found = await self._found(specs)
        missing = [self._new(spec) for spec in specs if spec.topic.value not in found]
        if missing:
            answer = await within(_CREATE_SECONDS, admin.create_topics(missing, timeout_ms=20_000), "creating topics")
            for topic, code, message in answer.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise log_error(for_code(code)(message), f"creating {topic}")
        found = await within(_CREATE_SECONDS, self._with_leaders(specs), "waiting for the topics' leaders")
        for spec in specs:
            await self._compare(spec, len(found[spec.topic.value]["partitions"]))

    async def get(self, topic: str) -> TopicState:
        """Raises LogUnavailable, LogRefused (unknown topic)."""
        if topic not in self._known:
            described = await self._described([topic])
            if topic not in described:
                raise unknown_topic(topic)
            config = await self.settings(topic)
            limit = int(config["max.message.bytes"]) - _BATCH_OVERHEAD_BYTES
            self._known[topic] = TopicState(len(described[topic]["partitions"]), limit)
        return self._known[topic]

    async def identity(self) -> str:
        admin = await self._open()
        return str((await self._bounded(admin.describe_cluster(), "asking for the cluster's id"))["cluster_id"])

    async def ping(self, seconds: float) -> None:
        """Raises LogUnavailable unless a broker answers in time."""
        try:
            async with asyncio.timeout(seconds):
                admin = await self._open()
                await self._bounded(admin.describe_cluster(), "asking Kafka for its metadata")
        except TimeoutError:
            raise LogUnavailable(f"Kafka at {self._bootstrap} did not answer within {seconds:g} s") from None

    async def close(self) -> None:
        if self._admin is not None:
            await self._bounded(self._admin.close(), "closing the connection")
            self._admin = None

    async def _open(self) -> AIOKafkaAdminClient:
        async with self._opening:
            if self._admin is None:
                admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, client_id="jornada-admin")
                try:
                    await self._bounded(admin.start(), f"connecting to Kafka at {self._bootstrap}")
                except BaseException:
                    # What did not open may not close either; whoever asked is told why it did not open.
                    with contextlib.suppress(LogError):
                        await within(_GIVE_UP_SECONDS, admin.close(), "closing the connection")
                    raise
                self._admin = admin
            return self._admin

    async def _bounded(self, work: Coroutine[Any, Any, T], doing: str) -> T:
        return await within(self._timeout_seconds, work, doing)

    async def _with_leaders(self, specs: Sequence[TopicSpec]) -> dict[str, dict[str, Any]]:
        while True:
            found = await self._found(specs)
            if len(found) == len(specs) and all(map(_has_leaders, found.values())):
                return found
            await asyncio.sleep(_LEADER_POLL_SECONDS)

    async def _found(self, specs: Sequence[TopicSpec]) -> dict[str, dict[str, Any]]:
        return await self._described([spec.topic.value for spec in specs])

    async def _described(self, names: list[str]) -> dict[str, dict[str, Any]]:
        admin = await self._open()
        described = {}
        for topic in await self._bounded(admin.describe_topics(names), "looking up topics"):
            error = for_code(topic["error_code"])
            if topic["error_code"] == 0:
                described[topic["topic"]] = topic
            elif error is not UnknownTopicOrPartitionError:
                raise log_error(error(), f"looking up {topic['topic']}")
        return described

    async def settings(self, topic: str) -> dict[str, str]:
        """All settings of an existing topic, as the broker names and writes them."""
        admin = await self._open()
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        answers = await self._bounded(admin.describe_configs(asked), f"reading the settings of {topic}")
        return {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}

    async def _compare(self, spec: TopicSpec, partitions: int) -> None:
        if partitions != spec.partitions:
            raise TopicMismatch(partition_mismatch(spec, partitions))
        time_type = (await self.settings(spec.topic.value))["message.timestamp.type"]
        if time_type != "LogAppendTime":
            raise TopicMismatch(
                f"the topic {spec.topic} stamps records with {time_type}; arrival times must be the broker's. Set "
                f"message.timestamp.type=LogAppendTime on it (kafka-configs --alter --topic {spec.topic} "
                "--add-config message.timestamp.type=LogAppendTime), before anything is written to it."
            )

    def _new(self, spec: TopicSpec) -> NewTopic:
        settings = {
            "cleanup.policy": "compact" if spec.compacted else "delete",
            "retention.ms": str(-1 if spec.retention_ms is None else spec.retention_ms),
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(spec.max_message_bytes),
        }
        return NewTopic(spec.topic.value, spec.partitions, self._replication_factor, topic_configs=settings)


def _has_leaders(described: dict[str, Any]) -> bool:
    return all(partition["leader"] >= 0 for partition in described["partitions"])
