"""What a service is to the process that runs it: routes, a loop, and honest answers about its health.

`services/cli` composes one or several of them into a process; each service has a `main.build(resources)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import APIRouter

from shared.db.port import Database
from shared.errors import Permanent, Transient
from shared.log.port import Log
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process opens once and closes last; services borrow it."""

    settings: Settings
    database: Database
    log: Log


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must work for the service to be ready; `detail` tells a person what is wrong and what to do."""

    name: str
    ok: bool
    detail: str = ""


class Service(Protocol):
    """A service as its process sees it."""

    @property
    def name(self) -> str:
        """`ingest`, `engine` or `notifier`."""
        ...

    def routers(self) -> Sequence[APIRouter]:
        """Its HTTP routes, without /livez, /readyz and /metrics, which the process adds. Paths never collide."""
        ...

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set, then finish what is under way and return, losing nothing.

        Transient failures are waited out inside; an exception that escapes ends the process with a message.
        """
        ...

    async def checks(self) -> Sequence[Check]:
        """What readiness depends on, asked now; returns within 3 s."""
        ...

    def alive(self) -> bool:
        """False once its loop is stuck or dead and only a new process helps."""
        ...


async def check_servers(resources: Resources) -> Sequence[Check]:
    """Whether the log takes and gives records and the database answers: what every service depends on."""
    return await asyncio.gather(
        _check("log", resources.log.ping(), "check JORNADA_LOG and JORNADA_KAFKA_BOOTSTRAP"),
        _check("database", resources.database.ping(), "check JORNADA_DATABASE_URL"),
    )


async def _check(name: str, ping: Awaitable[None], advice: str) -> Check:
    try:
        await ping
    except (Transient, Permanent) as error:
        return Check(name, False, f"{error}; {advice}")
    return Check(name, True)
