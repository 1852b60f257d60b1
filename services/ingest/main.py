"""The ingest service, wired."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter

from services.ingest.api.events import events_router
from services.ingest.publish import Publisher
from shared.errors import Transient
from shared.service import Check, Resources, check_servers
from shared.telemetry.logging import logger

_log = logger(__name__)


class Ingest:
    """Takes events over HTTP. Its loop only keeps the producer."""

    name = "ingest"

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._publisher = Publisher(resources.log, resources.settings.append_timeout_seconds)

    def routers(self) -> Sequence[APIRouter]:
        """POST /v1/events."""
        return [events_router(self._publisher)]

    async def run(self, stopping: asyncio.Event) -> None:
        """Open the producer before the first event needs it; close it when all requests have been answered."""
        try:
            await self._publisher.open()
        except Transient as error:
            _log.warning("the log is away; events are answered 503 until it is back", error=str(error))
        await stopping.wait()
        await self._publisher.close()

    async def checks(self) -> Sequence[Check]:
        """The log takes events, the database knows the keys."""
        return await check_servers(self._resources)

    def alive(self) -> bool:
        """False when the producer broke for good."""
        return self._publisher.alive()


def build(resources: Resources) -> Ingest:
    """The service over resources that somebody else opens and closes."""
    return Ingest(resources)
