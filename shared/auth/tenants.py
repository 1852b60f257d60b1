"""What is known of a tenant and never changes."""

from __future__ import annotations

from shared.auth.tables import tenants
from shared.db.port import Database
from shared.errors import Permanent


class UnknownTenant(Permanent):
    """Nobody ever made a key for this tenant."""


class Tenants:
    """Currencies of tenants. A tenant's currency is immutable, so it is read once and kept."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._currencies: dict[str, str] = {}

    async def currency(self, tenant: str) -> str:
        """ISO 4217 code that the tenant counts in. Raises UnknownTenant, DatabaseUnavailable."""
        known = self._currencies.get(tenant)
        if known is None:
            known = self._currencies[tenant] = await self._read(tenant)
        return known

    async def _read(self, tenant: str) -> str:
        async with self._database.reading() as transaction:
            found = await transaction.select_many(tenants, ["tenant"], [(tenant,)], ["currency"])
        if not found:
            raise UnknownTenant(f"there is no tenant {tenant!r}; `jornada keys create` makes one")
        return str(found[0][0])
