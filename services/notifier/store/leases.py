"""Leases by name: who does what only one process needs to do."""

from __future__ import annotations

from sqlalchemy import delete, select

from services.notifier.store import tables
from shared.db.port import Transaction

_COLUMNS = ("name", "holder", "until_ms")


async def take(tx: Transaction, name: str, holder: str, now_ms: int, length_ms: int) -> bool:
    """Take or extend a lease that is free, ended or ours."""
    table = tables.leases.c
    await tx.insert_new(tables.leases, _COLUMNS, [(name, holder, now_ms)], ("name",))
    row = (await tx.execute(select(table.holder, table.until_ms).where(table.name == name).with_for_update())).one()
    current, until_ms = tuple(row)
    if current != holder and until_ms > now_ms:
        return False
    await tx.upsert(tables.leases, _COLUMNS, [(name, holder, now_ms + length_ms)])
    return True


async def release(tx: Transaction, name: str, holder: str) -> None:
    """Give a lease back, so that nobody has to wait for its end."""
    table = tables.leases.c
    await tx.execute(delete(tables.leases).where(table.name == name, table.holder == holder))
