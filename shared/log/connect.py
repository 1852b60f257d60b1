"""Which log the settings mean."""

from __future__ import annotations

from shared.db.port import Database
from shared.log.kafka import KafkaLog
from shared.log.port import Log
from shared.log.sql import SqlLog
from shared.settings import Settings


def open_log(settings: Settings, database: Database) -> Log:
    """The log that `settings.log` names; connects when first used. `database` is borrowed, and used by the SQL log only."""
    if settings.log == "kafka":
        return KafkaLog(settings.kafka_bootstrap, settings.append_timeout_seconds, settings.replication_factor)
    return SqlLog(database, settings.append_timeout_seconds)
