"""Registered definitions: immutable rows, one for each version."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select

from services.stage_engine.store.tables import lifecycles
from shared.db.port import Transaction


class Stored(NamedTuple):
    """One version of a definition; `digest` is that of its text."""

    name: str
    version: int
    digest: str
    body: str


async def newest(transaction: Transaction) -> list[Stored]:
    """The highest version of each lifecycle."""
    columns = (lifecycles.c.name, lifecycles.c.version, lifecycles.c.digest, lifecycles.c.body)
    found = await transaction.execute(select(*columns).order_by(lifecycles.c.name, lifecycles.c.version))
    return list({row[0]: Stored(*tuple(row)) for row in found}.values())


async def add(transaction: Transaction, stored: Stored, created_ms: int) -> None:
    """Store a version; one that another process has just stored stays as it is."""
    columns = ("name", "version", "digest", "body", "created_ms")
    await transaction.insert_new(lifecycles, columns, [(*stored, created_ms)], ("name",))
