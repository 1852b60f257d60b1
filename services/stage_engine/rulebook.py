"""The active lifecycles as rules for each tenant: compiled once per currency and set of versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.stored import parsed
from services.stage_engine.domain.lifecycle import Rules, RulesOf, in_order
from services.stage_engine.store import lifecycles
from services.stage_engine.store.progress import Versions
from shared.auth.tenants import Tenants, UnknownTenant
from shared.db.port import Transaction
from shared.errors import Permanent


class RuleBook:
    """Definitions by name and version."""

    def __init__(
        self, definitions: Mapping[tuple[str, int], Definition], tenants: Tenants, default_currency: str
    ) -> None:
        """`definitions` are those that are to run, by name and active version."""
        self._definitions = dict(definitions)
        self.newest: Versions = dict(definitions.keys())
        """The active version of each lifecycle that runs, as it was when the process started."""
        self._tenants = tenants
        self._default_currency = default_currency
        self._compiled: dict[tuple[tuple[tuple[str, int], ...], str], Rules] = {}
        self._currencies: dict[str, str] = {}

    def active(self, at_partition: Versions, published: Versions) -> Versions:
        """The versions that a partition is to run: its own, and what is published of lifecycles that are new to it."""
        return {name: at_partition.get(name) or published.get(name, first) for name, first in self.newest.items()}

    def take(self, definition: Definition, version: int) -> None:
        """Learn a definition that is not stored, as this version of its lifecycle."""
        self._definitions[definition.name, version] = definition

    async def learn(self, transaction: Transaction, wanted: Versions) -> None:
        """Read definitions that are not known yet. Raises Permanent for one that is not stored."""
        missing = {name: version for name, version in wanted.items() if (name, version) not in self._definitions}
        if not missing:
            return
        for each in await lifecycles.versions(transaction, missing):
            self._definitions[each.name, each.version] = parsed(each)
        lost = [
            f"{name} version {version}" for name, version in missing.items() if (name, version) not in self._definitions
        ]
        if lost:
            raise Permanent(f"the definition of {', '.join(lost)} is not in the database; restore engine_lifecycles")

    def definition(self, name: str, version: int) -> Definition:
        """One that was learnt."""
        return self._definitions[name, version]

    async def meet(self, tenants: Iterable[str]) -> None:
        """Learn the currencies of tenants, outside any transaction. Raises DatabaseUnavailable."""
        for tenant in set(tenants) - self._currencies.keys():
            try:
                self._currencies[tenant] = await self._tenants.currency(tenant)
            except UnknownTenant:
                # A foreign producer may write for a tenant that has no key here; its money still needs a currency.
                self._currencies[tenant] = self._default_currency

    def currency(self, tenant: str) -> str:
        """The currency of a tenant met before."""
        return self._currencies.get(tenant, self._default_currency)

    def rules_of(self, versions: Versions) -> RulesOf:
        """The rules under these versions, for any tenant met before."""
        chosen = tuple(sorted(versions.items()))
        return lambda tenant: self._rules(chosen, self.currency(tenant))

    def _rules(self, chosen: tuple[tuple[str, int], ...], currency: str) -> Rules:
        found = self._compiled.get((chosen, currency))
        if found is None:
            lifecycles = [self._definitions[name, version].compile(version, currency) for name, version in chosen]
            found = self._compiled[chosen, currency] = Rules(in_order(lifecycles), currency)
        return found
