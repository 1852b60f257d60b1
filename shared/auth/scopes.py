"""What a key may do, and who is calling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import Permanent


class Scope(StrEnum):
    """The rights that a key can have."""

    EVENTS_WRITE = "events:write"
    EVENTS_BACKFILL = "events:backfill"
    CUSTOMERS_READ = "customers:read"
    CAMPAIGNS_WRITE = "campaigns:write"
    ADMIN = "admin"
    """All of the others, for the key's own tenant."""
    LIFECYCLES_PUBLISH = "lifecycles:publish"
    """Change the rules, which are the same for every tenant. The only one that admin does not include."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the tenant whose data it may touch, and what it may do."""

    tenant: str
    key_id: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether the key has the scope, itself or through admin."""
        return scope in self.scopes or (Scope.ADMIN in self.scopes and scope is not Scope.LIFECYCLES_PUBLISH)


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Scopes from their names. Raises Permanent that lists the known ones."""
    try:
        return frozenset(Scope(name) for name in names)
    except ValueError as error:
        raise Permanent(f"{error}; the scopes are {', '.join(Scope)}") from None
