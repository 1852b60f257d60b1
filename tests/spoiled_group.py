"""A consumer group on Kafka in which everybody else loses their place for good, while the broker is in the best of health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

_NAME = "spoiler"


class _Spoiling(RangePartitionAssignor):  # type: ignore[misc]
    """Deals out as always, but tells others about it in bytes that their client can't read, and dies of."""

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        dealt = super().assign(cluster, members)
        return {member: part if member.startswith(_NAME) else b"\xff" for member, part in dealt.items()}


@asynccontextmanager
async def spoiled_group(bootstrap: str, group: str, topic: str) -> AsyncIterator[None]:
    """The group's leader is a stranger; who joins after it gets an answer that ends its client's part in the group."""
    stranger = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        client_id=_NAME,
        enable_auto_commit=False,
        heartbeat_interval_ms=200,
        partition_assignment_strategy=(_Spoiling,),
    )
    await stranger.start()
    try:
        async with asyncio.timeout(30):
            while not stranger.assignment():
                await stranger.getmany(timeout_ms=50)
        yield
    finally:
        await stranger.stop()
