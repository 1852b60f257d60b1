"""What tenants have chosen as their default lifecycle: a column beside their currency."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select, update

from shared.auth.tables import tenants
from shared.db.port import Transaction


class TenantListed(NamedTuple):
    """A tenant as it may be shown. `default_lifecycle` is None where it has chosen none."""

    tenant: str
    currency: str
    created_ms: int
    default_lifecycle: str | None


async def chosen(transaction: Transaction, tenant: str) -> str | None:
    """The lifecycle that a tenant has chosen; None when it has not, and for one that nobody ever made a key for."""
    found = await transaction.execute(select(tenants.c.default_lifecycle).where(tenants.c.tenant == tenant))
    return found.scalar_one_or_none()


async def choose(transaction: Transaction, tenant: str, lifecycle: str | None) -> bool:
    """Keep a tenant's choice; None takes it back. False when there is no such tenant."""
    statement = update(tenants).where(tenants.c.tenant == tenant).values(default_lifecycle=lifecycle)
    return (await transaction.execute(statement)).rowcount > 0


async def is_known(transaction: Transaction, tenant: str) -> bool:
    """Whether somebody ever made a key for this tenant."""
    found = await transaction.execute(select(tenants.c.tenant).where(tenants.c.tenant == tenant))
    return found.first() is not None


async def all_tenants(transaction: Transaction) -> list[TenantListed]:
    """All tenants, by name."""
    columns = (tenants.c.tenant, tenants.c.currency, tenants.c.created_ms, tenants.c.default_lifecycle)
    statement = select(*columns).order_by(tenants.c.tenant)
    return [TenantListed(*tuple(row)) for row in await transaction.execute(statement)]
