"""Registered definitions: immutable rows, one for each version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import func, select

from services.stage_engine.store import publications
from services.stage_engine.store.tables import lifecycles
from shared.db.port import Transaction


class Stored(NamedTuple):
    """One version of a definition; `digest` is that of its text."""

    name: str
    version: int
    digest: str
    body: str


async def newest(transaction: Transaction) -> list[Stored]:
    """The active version of each lifecycle: the one published last."""
    return await versions(transaction, await publications.active(transaction))


async def highest(transaction: Transaction, name: str) -> int:
    """The highest version of a lifecycle; 0 when there is none."""
    found = await transaction.execute(select(func.max(lifecycles.c.version)).where(lifecycles.c.name == name))
    return found.scalar_one() or 0


async def of_name(transaction: Transaction, name: str) -> list[Stored]:
    """All versions of a lifecycle, in order."""
    columns = (lifecycles.c.name, lifecycles.c.version, lifecycles.c.digest, lifecycles.c.body)
    found = await transaction.execute(select(*columns).where(lifecycles.c.name == name).order_by(lifecycles.c.version))
    return [Stored(*tuple(row)) for row in found]


async def add(transaction: Transaction, stored: Stored, created_ms: int) -> None:
    """Store a version; one that another process has just stored stays as it is."""
    columns = ("name", "version", "digest", "body", "created_ms")
    await transaction.insert_new(lifecycles, columns, [(*stored, created_ms)], ("name",))


async def versions(transaction: Transaction, wanted: Mapping[str, int]) -> list[Stored]:
    """These versions of lifecycles."""
    columns = ("name", "version", "digest", "body")
    rows = await transaction.select_many(lifecycles, ("name", "version"), list(wanted.items()), columns)
    return sorted(Stored(*row) for row in rows)
