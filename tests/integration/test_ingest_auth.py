"""API keys on both databases, and what the authenticator does while the database is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from sqlalchemy import select

from shared.auth.authenticator import AuthenticationUnavailable, Authenticator, Unauthenticated
from shared.auth.keys import KeyRequest, Keys
from shared.auth.scopes import Scope
from shared.auth.tables import api_keys
from shared.auth.tenants import Tenants, UnknownTenant
from shared.db.port import Database, DatabaseUnavailable, Transaction
from shared.errors import Permanent
from tests.integration.ingest_process import open_database, sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = sqlite_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    async with open_database(url) as opened:
        yield opened


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database, "BRL")


class SwitchedDatabase:
    """A database that can be switched off, and counts its readings."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False
        self.readings = 0

    @property
    def dialect(self) -> str:
        return self._database.dialect

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._database.transaction()

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        self.readings += 1
        if self.away:
            raise DatabaseUnavailable("switched off")
        return self._database.reading()

    async def ping(self) -> None:
        await self._database.ping()

    async def close(self) -> None:
        await self._database.close()


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_key_proves_tenant_and_scopes(database: Database, keys: Keys) -> None:
    made = await keys.create(KeyRequest("acme", ["events:write", "customers:read"], "shop"))
    caller = await Authenticator(database).authenticate(f"Bearer {made.token}")
    assert (caller.tenant, caller.key_id) == ("acme", made.id)
    assert caller.scopes == {Scope.EVENTS_WRITE, Scope.CUSTOMERS_READ}


async def test_secret_is_nowhere_in_the_database(database: Database, keys: Keys) -> None:
    made = await keys.create(KeyRequest("acme", ["admin"]))
    async with database.reading() as transaction:
        row = (await transaction.execute(select(api_keys))).one()
    assert made.token.split(".")[1] not in str(row)


async def test_list_shows_keys_of_the_tenant_and_which_are_revoked(keys: Keys) -> None:
    first = await keys.create(KeyRequest("acme", ["events:write"], "old"))
    second = await keys.create(KeyRequest("acme", ["admin"], "new"))
    await keys.create(KeyRequest("rival", ["admin"]))
    await keys.revoke(first.id)
    await keys.revoke(first.id)
    listed = {key.id: key for key in await keys.list("acme")}
    assert set(listed) == {first.id, second.id}
    assert listed[first.id].revoked_ms is not None
    assert (listed[second.id].revoked_ms, listed[second.id].label) == (None, "new")
    assert len(await keys.list()) == 3


async def test_tenant_gets_its_currency_once(database: Database, keys: Keys) -> None:
    tenants = Tenants(database)
    with pytest.raises(UnknownTenant):
        await tenants.currency("acme")
    await keys.create(KeyRequest("acme", ["admin"], currency="EUR"))
    await keys.create(KeyRequest("acme", ["admin"]))
    await keys.create(KeyRequest("plain", ["admin"]))
    assert [await tenants.currency(name) for name in ("acme", "acme", "plain")] == ["EUR", "EUR", "BRL"]
    with pytest.raises(Permanent, match="EUR"):
        await keys.create(KeyRequest("acme", ["admin"], currency="USD"))
    assert len(await keys.list("acme")) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        KeyRequest("Acme", ["admin"]),
        KeyRequest("a:b", ["admin"]),
        KeyRequest("acme\n", ["admin"]),
        KeyRequest("", ["admin"]),
        KeyRequest("acme", ["everything"]),
        KeyRequest("acme", []),
        KeyRequest("acme", ["admin"], currency="XXX"),
    ],
)
async def test_wrong_requests_make_no_key(keys: Keys, wrong: KeyRequest) -> None:
    with pytest.raises(Permanent):
        await keys.create(wrong)
    assert await keys.list() == []


async def test_unknown_key_can_not_be_revoked(keys: Keys) -> None:
    with pytest.raises(Permanent, match="keys list"):
        await keys.revoke("0011223344556677")


async def test_revocation_acts_when_the_cache_is_a_second_old(database: Database, keys: Keys) -> None:
    clock = Clock()
    authenticator = Authenticator(database, clock)
    made = await keys.create(KeyRequest("acme", ["admin"]))
    await authenticator.authenticate(f"Bearer {made.token}")
    await keys.revoke(made.id)
    clock.seconds = 1.0
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(f"Bearer {made.token}")


async def test_fresh_keys_are_not_read_again(database: Database, keys: Keys) -> None:
    switched = SwitchedDatabase(database)
    authenticator = Authenticator(switched, Clock())
    made = await keys.create(KeyRequest("acme", ["admin"]))
    for _ in range(10):
        await authenticator.authenticate(f"Bearer {made.token}")
    assert switched.readings == 1


async def test_known_keys_work_for_a_minute_without_the_database(database: Database, keys: Keys) -> None:
    switched, clock = SwitchedDatabase(database), Clock()
    authenticator = Authenticator(switched, clock)
    known = await keys.create(KeyRequest("acme", ["admin"]))
    other = await keys.create(KeyRequest("acme", ["admin"]))
    await authenticator.authenticate(f"Bearer {known.token}")
    switched.away = True
    clock.seconds = 59.0
    assert (await authenticator.authenticate(f"Bearer {known.token}")).tenant == "acme"
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(f"Bearer {known.token[:-1]}-")
    with pytest.raises(AuthenticationUnavailable):
        await authenticator.authenticate(f"Bearer {other.token}")
    clock.seconds = 60.0
    with pytest.raises(AuthenticationUnavailable):
        await authenticator.authenticate(f"Bearer {known.token}")
    switched.away = False
    assert (await authenticator.authenticate(f"Bearer {known.token}")).tenant == "acme"


async def test_outage_is_not_asked_about_at_every_request(database: Database, keys: Keys) -> None:
    switched, clock = SwitchedDatabase(database), Clock()
    authenticator = Authenticator(switched, clock)
    made = await keys.create(KeyRequest("acme", ["admin"]))
    await authenticator.authenticate(f"Bearer {made.token}")
    switched.away = True
    clock.seconds = 10.0
    for _ in range(5):
        await authenticator.authenticate(f"Bearer {made.token}")
    assert switched.readings == 2
