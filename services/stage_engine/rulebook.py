"""The active lifecycles as rules for each tenant: compiled once per currency and set of versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.stage_engine.deciding import RulesOf
from services.stage_engine.definitions.definition import Definition
from services.stage_engine.domain.lifecycle import Rules, in_order
from services.stage_engine.store.progress import Versions
from shared.auth.tenants import Tenants, UnknownTenant


class RuleBook:
    """Definitions by name and version."""

    def __init__(
        self, definitions: Mapping[tuple[str, int], Definition], tenants: Tenants, default_currency: str
    ) -> None:
        self._definitions = dict(definitions)
        self._tenants = tenants
        self._default_currency = default_currency
        self._compiled: dict[tuple[tuple[tuple[str, int], ...], str], Rules] = {}
        self._currencies: dict[str, str] = {}

    @property
    def newest(self) -> Versions:
        """The highest version of each lifecycle."""
        versions: Versions = {}
        for name, version in self._definitions:
            versions[name] = max(version, versions.get(name, 0))
        return versions

    def active(self, at_partition: Versions) -> Versions:
        """The versions that a partition runs: its own, and the first of lifecycles that are new to it."""
        return {name: at_partition.get(name, version) for name, version in self.newest.items()}

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


def by_version(definitions: Sequence[tuple[int, Definition]]) -> dict[tuple[str, int], Definition]:
    """The form in which a RuleBook takes them."""
    return {(definition.name, version): definition for version, definition in definitions}
