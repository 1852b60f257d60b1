"""A member of a group in a process of its own, to be killed or frozen: prints `owns N` after every assignment."""

from __future__ import annotations

import asyncio
import sys

from shared.db.connect import connect
from shared.log.kafka import KafkaLog
from shared.log.port import Log, Membership, TopicPartition
from shared.log.sql import SqlLog


async def main(backend: str, where: str, topic: str, group: str, session_timeout_ms: int) -> None:
    log: Log = KafkaLog(where, 5.0) if backend == "kafka" else SqlLog(connect(where), 5.0)

    told = -1

    async def changed(_places: frozenset[TopicPartition]) -> None:
        """The loop below tells, also when as many partitions come back as were lost."""
        nonlocal told
        told = -1

    # The topic of a test has a name that is no constant of ours.
    topics = (type("T", (str,), {"value": topic})(topic),)
    consumer = log.consumer(Membership(group, topics, changed, changed, session_timeout_ms))
    await consumer.start()
    while True:
        for place in consumer.assigned():
            await consumer.seek(place, 0)
        await consumer.fetch(10, 100)
        if len(consumer.assigned()) != told:
            told = len(consumer.assigned())
            print(f"owns {told}", flush=True)


if __name__ == "__main__":
    backend, where, topic, group, session_timeout_ms = sys.argv[1:]
    asyncio.run(main(backend, where, topic, group, int(session_timeout_ms)))
