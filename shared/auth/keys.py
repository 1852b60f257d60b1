"""Make, list and revoke API keys: what `jornada keys` and the tests use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select, update

from shared.auth.scopes import Scope, parse_scopes
from shared.auth.tables import api_keys, tenants
from shared.auth.tokens import new_token
from shared.contracts.cloudevent import TENANT_PATTERN
from shared.contracts.money import MINOR_UNIT_EXPONENT
from shared.contracts.times import now_ms
from shared.db.port import Database, Transaction
from shared.errors import Permanent

_TENANT = re.compile(TENANT_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `token` is the only copy of its secret: show it once."""

    id: str
    tenant: str
    token: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class KeyListed:
    """A key as it may be shown. `revoked_ms` is None while it works."""

    id: str
    tenant: str
    scopes: frozenset[Scope]
    label: str
    created_ms: int
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What a new key is to be. A tenant that is new gets `currency`, or the default one."""

    tenant: str
    scopes: Iterable[str]
    label: str = ""
    currency: str | None = None


class Keys:
    """The API keys of all tenants."""

    def __init__(self, database: Database, default_currency: str) -> None:
        self._database = database
        self._default_currency = default_currency

    async def create(self, request: KeyRequest) -> NewKey:
        """Make a key, and its tenant when that is missing.

        Raises Permanent for a bad tenant name, an unknown scope or currency, and for a tenant that has another currency
        (what was added up in one can't be counted in another).
        """
        scopes = _checked(request)
        token = new_token()
        values = (token.key_id, request.tenant, token.digest(), " ".join(sorted(scopes)), request.label, now_ms(), None)
        async with self._database.transaction() as transaction:
            await self._ensure_tenant(transaction, request)
            await transaction.insert(api_keys, [column.name for column in api_keys.columns], [values])
        return NewKey(token.key_id, request.tenant, token.text(), scopes)

    async def list(self, tenant: str | None = None) -> list[KeyListed]:
        """The keys of one tenant or of all, oldest first, revoked ones too."""
        statement = select(api_keys).order_by(api_keys.c.created_ms, api_keys.c.id)
        if tenant is not None:
            statement = statement.where(api_keys.c.tenant == tenant)
        async with self._database.reading() as transaction:
            found = (await transaction.execute(statement)).mappings().all()
        return [
            KeyListed(
                id=row["id"],
                tenant=row["tenant"],
                scopes=parse_scopes(row["scopes"].split()),
                label=row["label"],
                created_ms=row["created_ms"],
                revoked_ms=row["revoked_ms"],
            )
            for row in found
        ]

    async def revoke(self, key_id: str) -> None:
        """End a key; it stops working everywhere within 2 s. Again is fine. Raises Permanent for an unknown id."""
        known = select(api_keys.c.id).where(api_keys.c.id == key_id)
        end = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_ms.is_(None))
        async with self._database.transaction() as transaction:
            if (await transaction.execute(known)).first() is None:
                raise Permanent(f"there is no key {key_id!r}; `jornada keys list` shows them")
            await transaction.execute(end.values(revoked_ms=now_ms()))

    async def _ensure_tenant(self, transaction: Transaction, request: KeyRequest) -> None:
        currency = request.currency or self._default_currency
        row = (request.tenant, currency, request.tenant, now_ms())
        await transaction.insert_new(tenants, ["tenant", "currency", "name", "created_ms"], [row], ["tenant"])
        kept = await transaction.select_many(tenants, ["tenant"], [(request.tenant,)], ["currency"])
        if request.currency and kept[0][0] != request.currency:
            raise Permanent(f"tenant {request.tenant!r} counts in {kept[0][0]}, which can't become {request.currency}")


def _checked(request: KeyRequest) -> frozenset[Scope]:
    if not _TENANT.fullmatch(request.tenant):
        raise Permanent(
            f"{request.tenant!r} is no tenant name: use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit"
        )
    if request.currency is not None and request.currency not in MINOR_UNIT_EXPONENT:
        raise Permanent(f"{request.currency!r} is no ISO 4217 currency; write a code such as BRL, USD or EUR")
    scopes = parse_scopes(request.scopes)
    if not scopes:
        raise Permanent(f"a key needs at least one scope; the scopes are {', '.join(Scope)}")
    return scopes
