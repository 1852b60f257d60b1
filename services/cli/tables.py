"""Every table of every service, declared: what migrations are compared with."""

from __future__ import annotations

from sqlalchemy import MetaData

import shared.auth.tables
import shared.log.sql_tables  # noqa: F401
from shared.db.metadata import metadata


def declared() -> MetaData:
    """The metadata with all tables in it."""
    return metadata
