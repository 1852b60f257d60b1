"""Every table of every service, declared: what migrations are compared with."""

from __future__ import annotations

from types import ModuleType

from sqlalchemy import MetaData

from services.notifier.store import tables as notifier
from services.stage_engine.store import tables as engine
from shared.auth import tables as auth
from shared.db.metadata import metadata
from shared.log import sql_tables as log

DECLARED_IN: tuple[ModuleType, ...] = (auth, engine, log, notifier)
"""The modules whose import declares the tables."""


def declared() -> MetaData:
    """The metadata with all tables in it."""
    return metadata
