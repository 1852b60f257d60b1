"""What answers: database and its revision, log and its topics, mail server, lifecycles and campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

import aiosmtplib

from migrations.running import head
from services.cli.database import revision
from services.cli.doctor.configured import shown
from services.cli.doctor.finding import Finding
from services.cli.processes import open_resources
from services.cli.triggers import active_versions, check_triggers
from services.notifier.channels.email import client_of
from services.notifier.definitions.load import load as load_campaigns
from services.notifier.main import read_letters
from services.stage_engine.definitions.definition import load_definition, shipped_or_path
from services.stage_engine.store.lifecycles import Stored
from shared.contracts.topics import Topic
from shared.errors import Permanent, Transient
from shared.log.port import Log, LogRefused
from shared.service import Resources
from shared.settings import Settings

_SMTP_SECONDS = 5.0
_MIGRATE = "run `jornada migrate` (`jornada up` does it by itself)"


async def answers(settings: Settings) -> list[Finding]:
    """Everything that services need, asked now. Where the tables are missing nothing behind them is asked."""
    migrated = await _migrations(settings)
    found = [migrated]
    active: Sequence[Stored] = ()
    async with AsyncExitStack() as stack:
        if migrated.ok:
            resources = await open_resources(settings, stack)
            database, active = await _database(resources)
            found += [database, *await _log(resources)]
    found += [lifecycles(settings), campaigns(settings, active)]
    if settings.delivery != "files":
        found.append(await _mail(settings))
    return found


async def _migrations(settings: Settings) -> Finding:
    try:
        at = await revision(settings.database_url)
    except Transient as error:
        return Finding("migrations", False, str(error), "start the database, or mend JORNADA_DATABASE_URL")
    except Permanent as error:
        return Finding("migrations", False, str(error), "mend JORNADA_DATABASE_URL, or what its user may do")
    if at is None:
        return Finding("migrations", False, "the database has no tables yet", _MIGRATE)
    return Finding("migrations", at == head(), f"at {at}, this version works with {head()}", _MIGRATE)


async def _database(resources: Resources) -> tuple[Finding, Sequence[Stored]]:
    """Whether it answers, and the active versions of lifecycles that it holds."""
    where = shown(resources.settings.database_url)
    try:
        await resources.database.ping()
        active = await active_versions(resources.database)
    except (Transient, Permanent) as error:
        return Finding("database", False, str(error), f"check that {where} runs and lets us in"), ()
    return Finding("database", True, f"{resources.database.dialect} answers at {where}"), active


async def _log(resources: Resources) -> list[Finding]:
    settings, log = resources.settings, resources.log
    where = settings.kafka_bootstrap if settings.log == "kafka" else "the database"
    try:
        await log.ping()
    except (Transient, Permanent) as error:
        return [Finding("log", False, str(error), "check JORNADA_LOG and JORNADA_KAFKA_BOOTSTRAP")]
    return [Finding("log", True, f"{settings.log} answers at {where}"), await _topics(log, settings.partitions)]


async def _topics(log: Log, partitions: int) -> Finding:
    counts: dict[str, int] = {}
    try:
        for topic in Topic:
            counts[topic] = await log.partitions(topic)
    except LogRefused as error:
        return Finding("topics", False, str(error), "run `jornada topics create`")
    except Transient as error:
        return Finding("topics", False, str(error), "the log answers no more; try again")
    detail = ", ".join(f"{topic} {count}" for topic, count in counts.items())
    advice = f"the settings say {partitions} partitions: set JORNADA_PARTITIONS to what is there"
    return Finding("topics", set(counts.values()) == {partitions}, detail, advice)


def lifecycles(settings: Settings) -> Finding:
    """Whether the lifecycles that run can be read."""
    try:
        read = [load_definition(shipped_or_path(name)) for name in settings.lifecycles]
    except Permanent as error:
        return Finding("lifecycles", False, str(error), "mend the file, or JORNADA_LIFECYCLES")
    return Finding("lifecycles", True, ", ".join(f"{one.name} ({len(one.shape.stages)} stages)" for one in read))


def campaigns(settings: Settings, active: Sequence[Stored]) -> Finding:
    """Whether the campaigns and their templates can be read, and wait for stages that there are, as at the start."""
    try:
        read = load_campaigns(settings.campaigns_dir, read_letters(settings))
        check_triggers(settings, active)
    except Permanent as error:
        return Finding("campaigns", False, str(error), "mend the file, or JORNADA_CAMPAIGNS_DIR")
    return Finding("campaigns", bool(read), _names(sorted(read)), "JORNADA_CAMPAIGNS_DIR holds no *.yaml")


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


async def _mail(settings: Settings) -> Finding:
    try:
        client = client_of(settings.smtp_url, _SMTP_SECONDS)
        await client.connect()
        await client.quit()
    except Permanent as error:
        return Finding("mail server", False, str(error), "mend JORNADA_SMTP_URL")
    except (aiosmtplib.SMTPException, OSError) as error:
        return Finding(
            "mail server", False, f"{shown(settings.smtp_url)}: {error}", "start it, or mend JORNADA_SMTP_URL"
        )
    return Finding("mail server", True, f"answers at {shown(settings.smtp_url)}")
