"""`jornada up | ingest | engine | notifier`: which services a process runs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace

import services.ingest.main
import services.notifier.main
import services.stage_engine.main
from services.cli.database import check_revision
from services.cli.lifecycles.linting import campaign_findings
from services.cli.lifecycles.stories import read_posted
from services.cli.retention import LogRetention
from services.cli.triggers import active_versions, check_triggers
from shared.contracts.topics import Topic, topic_specs
from shared.db.connect import connect
from shared.errors import Transient
from shared.http.app import create_app
from shared.http.server import address_of, listen, run_process, serve
from shared.log.checks import partition_mismatch
from shared.log.connect import open_log
from shared.log.port import Log, TopicMismatch
from shared.log.sql import SqlLog
from shared.service import Resources, Service
from shared.settings import Settings
from shared.telemetry.logging import configure_logging, logger


def build_engine(resources: Resources) -> Service:
    """The engine, which reads stories for simulations as ingest reads events, and is told what campaigns wait for."""
    return services.stage_engine.main.build(
        resources, read_posted, lambda definition: campaign_findings(definition, resources.settings)
    )


Build = Callable[[Resources], Service]
Announce = Callable[[str, Resources], Awaitable[None]]
"""Gets the address and the process's resources once it listens."""
Fit = Callable[[Settings, str], Settings]
"""Fits the settings to the address that the process really has."""
SERVICES: dict[str, Build] = {
    "ingest": services.ingest.main.build,
    "engine": build_engine,
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


def start_logging(settings: Settings) -> None:
    """Logs as configured, without what Alembic tells of every look at a database's revision."""
    configure_logging(settings)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def as_they_are(settings: Settings, _address: str) -> Settings:
    """The settings of a process that takes them as they are."""
    return settings


def run(settings: Settings, names: Sequence[str], fit: Fit = as_they_are, announce: Announce | None = None) -> int:
    """Run services in this process until a signal; gives the exit code. `announce` is called once it listens.

    Raises Permanent for what somebody has to change before it can start.
    """
    start_logging(settings)
    return run_process(_run(settings, names, fit, announce))


async def _run(settings: Settings, names: Sequence[str], fit: Fit, announce: Announce | None) -> int:
    await _check_schema(settings)
    async with AsyncExitStack() as stack:
        resources = await open_resources(settings, stack)
        if "notifier" in names:
            await _check_campaigns(resources)
        await check_partitions(settings, resources.log)
        # Bound before the services are built, because the links in e-mails carry the port.
        listener = stack.enter_context(closing(listen(settings)))
        settings = fit(settings, address_of(listener))
        resources = replace(resources, settings=settings)
        built = build(resources, names)

        async def tell(address: str) -> None:
            if announce is not None:
                await announce(address, resources)

        return await serve(create_app(built, resources), built, settings, tell, listener)


async def check_partitions(settings: Settings, log: Log) -> None:
    """Raises TopicMismatch when somebody set a number of partitions that the log's topics do not have, LogRefused when
    there are no topics. Where nobody set it the log's own number counts; a log that is away is waited for by services."""
    try:
        found = {topic: await log.partitions(topic) for topic in Topic}
    except Transient as error:
        _log.warning("the log is away; starting all the same", error=str(error))
        return
    if "partitions" not in settings.model_fields_set:
        return
    for spec in topic_specs(settings.partitions):
        if found[spec.topic] != spec.partitions:
            raise TopicMismatch(partition_mismatch(spec, found[spec.topic]))


def build(resources: Resources, names: Sequence[str]) -> list[Service]:
    """The services of a process; the one with the engine also keeps the SQL log within its retention."""
    built = [SERVICES[name](resources) for name in names]
    if "engine" in names and isinstance(resources.log, SqlLog):
        built.append(LogRetention(resources, resources.log))
    return built


async def _check_campaigns(resources: Resources) -> None:
    """Raises CampaignError for campaigns that wait for what will not come. While the database is away the files count."""
    try:
        active = await active_versions(resources.database)
    except Transient as error:
        _log.warning("the database is away; campaigns are checked against the files of lifecycles", error=str(error))
        active = []
    check_triggers(resources.settings, active)


async def _check_schema(settings: Settings) -> None:
    """Raises Permanent for a database of another revision. One that is away is waited for by the services themselves."""
    try:
        await check_revision(settings.database_url)
    except Transient as error:
        _log.warning("the database is away; starting all the same", error=str(error))
