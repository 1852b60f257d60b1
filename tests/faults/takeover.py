"""With the session timeout that ships: how long a killed engine's partitions stay without an owner."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from shared.db.port import Database
from shared.settings import Settings
from tests.faults.chaos import partitions_of
from tests.faults.cluster import PARTITIONS, Cluster, Team, running_cluster
from tests.faults.processes import ServiceProcess

TAKEOVER_LIMIT_SECONDS = 10.0
_POLL_SECONDS = 0.05


async def measure_takeover(folder: Path) -> float:
    """Seconds from the SIGKILL of one of two engines until the other has claimed all of its partitions."""
    default_ms = Settings.model_fields["session_timeout_ms"].default
    async with running_cluster(folder, Team(engines=2, session_timeout_ms=default_ms)) as cluster:
        database = cluster.database()
        try:
            async with asyncio.timeout(60):
                return await _measure(cluster, database)
        finally:
            await database.close()


async def _measure(cluster: Cluster, database: Database) -> float:
    first, second = cluster.of("engine")
    while not await _share_all(database, first, second):
        await asyncio.sleep(_POLL_SECONDS)
    cluster.held.add(first.name)
    first.kill()
    killed_at = time.monotonic()
    while await partitions_of(database, second.owner) < PARTITIONS:
        await asyncio.sleep(_POLL_SECONDS)
    return time.monotonic() - killed_at


async def _share_all(database: Database, first: ServiceProcess, second: ServiceProcess) -> bool:
    shares = [await partitions_of(database, each.owner) for each in (first, second)]
    return all(shares) and sum(shares) == PARTITIONS
