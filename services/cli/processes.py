"""`jornada up | ingest | engine | notifier`: which services a process runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import services.ingest.main
import services.notifier.main
import services.stage_engine.main
from services.cli.database import check_revision
from services.cli.retention import LogRetention
from shared.db.connect import connect
from shared.errors import Transient
from shared.http.app import create_app
from shared.http.server import run_process, serve
from shared.log.connect import open_log
from shared.log.sql import SqlLog
from shared.service import Resources, Service
from shared.settings import Settings
from shared.telemetry.logging import configure_logging, logger

Build = Callable[[Resources], Service]
Announce = Callable[[str], None]
SERVICES: dict[str, Build] = {
    "ingest": services.ingest.main.build,
    "engine": services.stage_engine.main.build,
    "notifier": services.notifier.main.build,
}
_log = logger(__name__)


async def open_resources(settings: Settings, stack: AsyncExitStack) -> Resources:
    """What a process needs, closed with `stack`; nothing is connected yet."""
    database = connect(settings.database_url, settings.database_pool_size)
    stack.push_async_callback(database.close)
    log = open_log(settings, database)
    stack.push_async_callback(log.close)
    return Resources(settings, database, log)


def run(settings: Settings, names: Sequence[str], announce: Announce | None = None) -> int:
    """Run services in this process until a signal; gives the exit code. `announce` gets the address once it listens."""
    configure_logging(settings)
    return run_process(_run(settings, names, announce))


async def _run(settings: Settings, names: Sequence[str], announce: Announce | None) -> int:
    await _check_schema(settings)
    async with AsyncExitStack() as stack:
        resources = await open_resources(settings, stack)
        built = build(resources, names)
        return await serve(create_app(built, resources), built, settings, announce)


def build(resources: Resources, names: Sequence[str]) -> list[Service]:
    """The services of a process; the one with the engine also keeps the SQL log within its retention."""
    built = [SERVICES[name](resources) for name in names]
    if "engine" in names and isinstance(resources.log, SqlLog):
        built.append(LogRetention(resources, resources.log))
    return built


async def _check_schema(settings: Settings) -> None:
    """Raises Permanent for a database of another revision. One that is away is waited for by the services themselves."""
    try:
        await check_revision(settings.database_url)
    except Transient as error:
        _log.warning("the database is away; starting all the same", error=str(error))
