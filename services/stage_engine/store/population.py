"""How many customers there are: what tells a long look at all of them how far it has come."""

from __future__ import annotations

from sqlalchemy import func, select

from services.stage_engine.store.tables import customers
from shared.db.port import Transaction


async def size(transaction: Transaction, tenant: str | None) -> int:
    """The customers of one tenant, or of all (None)."""
    statement = select(func.count()).select_from(customers)
    if tenant is not None:
        statement = statement.where(customers.c.tenant == tenant)
    found = await transaction.execute(statement)
    return int(found.scalar_one())
