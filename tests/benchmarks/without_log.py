"""Ingest as it is, but for a log that answers at once and keeps nothing: what the log is compared with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

import services.ingest.main
from services.cli.processes import open_resources
from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.http.app import create_app
from shared.http.server import run_process, serve
from shared.log.kafka import KafkaLog
from shared.log.port import Message, Position, Producer
from shared.service import Resources
from shared.settings import load
from shared.telemetry.logging import configure_logging


class NoProducer:
    """Acknowledges everything."""

    async def append(self, _topic: Topic, messages: Sequence[Message]) -> list[Position]:
        arrival_ms = now_ms()
        return [Position(0, 0, arrival_ms) for _ in messages]

    async def append_to(self, topic: Topic, _partition: int, messages: Sequence[Message]) -> list[Position]:
        return await self.append(topic, messages)

    async def close(self) -> None:
        return


class NoLog(KafkaLog):
    """Kafka's log with a producer that does nothing."""

    async def producer(self) -> Producer:  # type: ignore[override]
        return NoProducer()


async def _main() -> int:
    settings = load()
    configure_logging(settings)
    async with AsyncExitStack() as stack:
        resources = await open_resources(settings, stack)
        log = NoLog(settings.kafka_bootstrap, settings.append_timeout_seconds, settings.replication_factor)
        ingest = services.ingest.main.build(Resources(settings, resources.database, log))
        return await serve(create_app([ingest], resources), [ingest], settings)


if __name__ == "__main__":
    sys.exit(run_process(_main()))
