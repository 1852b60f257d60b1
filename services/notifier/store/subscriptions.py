"""Subscriptions, and the switches that turn a channel off."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import delete, select, update

from services.notifier.domain.subscription import Filters, Subscription, SubscriptionStatus, endpoint_of
from services.notifier.store import queue, tables
from shared.contracts.times import DAY_MS
from shared.db.port import Transaction

COLUMNS = tuple(column.name for column in tables.subscriptions.columns)
OLD_SECRET_MS = DAY_MS
"""How long both secrets sign after a rotation, so that a receiver can change over."""

_TABLE = tables.subscriptions


class StoredFilters(msgspec.Struct, frozen=True, omit_defaults=True):
    """Filters as their column keeps them."""

    lifecycles: list[str] = []
    from_stages: list[str] = []
    to_stages: list[str] = []
    transitions: list[str] = []


@dataclass(frozen=True, slots=True)
class Listed:
    """A subscription with what people ask about it."""

    subscription: Subscription
    status_detail: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Health:
    """What an attempt says about its endpoint, to be written if it differs from what is known."""

    subscription_id: str
    status: SubscriptionStatus
    detail: str
    failing_since_ms: int | None


def new_secret() -> str:
    """256 random bits as Standard Webhooks writes a secret."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


async def add(tx: Transaction, subscription: Subscription, now_ms: int) -> None:
    """Insert a new subscription."""
    one = subscription
    row = (one.id, one.tenant, one.url, _filters_text(one.filters), one.include_customer, one.include_backfill)
    state = (one.transit, one.status, "", one.secrets[0], None, None, None, now_ms)
    await tx.insert(_TABLE, COLUMNS, [(*row, *state)])


async def of_tenants(tx: Transaction, tenants: Collection[str], now_ms: int) -> list[Subscription]:
    """All subscriptions of some tenants."""
    rows = await tx.select_many(_TABLE, ("tenant",), [(tenant,) for tenant in tenants], COLUMNS)
    return [subscription_of(row, now_ms) for row in rows]


async def lock(tx: Transaction, ids: Iterable[str], now_ms: int, *, shared: bool) -> dict[str, Subscription]:
    """Subscriptions by id, locked: shared to read a status that must not change meanwhile, else to write it."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    statement = select(*_TABLE.columns).where(_TABLE.c.id.in_(wanted)).order_by(_TABLE.c.id)
    rows = await tx.execute(statement.with_for_update(read=shared))
    return {row[0]: subscription_of(row, now_ms) for row in rows}


async def find(tx: Transaction, tenant: str, subscription_id: str, now_ms: int) -> Listed | None:
    """One of this tenant's; None for an unknown one and for another tenant's alike."""
    where = (_TABLE.c.id == subscription_id) & (_TABLE.c.tenant == tenant)
    row = (await tx.execute(select(*_TABLE.columns).where(where))).first()
    return _listed(row, now_ms) if row else None


async def page(tx: Transaction, tenant: str, after: str, most: int, now_ms: int) -> list[Listed]:
    """A tenant's subscriptions by id, those after `after`."""
    where = (_TABLE.c.tenant == tenant) & (_TABLE.c.id > after)
    rows = await tx.execute(select(*_TABLE.columns).where(where).order_by(_TABLE.c.id).limit(most))
    return [_listed(row, now_ms) for row in rows]


async def remove(tx: Transaction, subscription_id: str) -> None:
    """Delete a subscription; nothing is planned for it any more."""
    await tx.execute(delete(_TABLE).where(_TABLE.c.id == subscription_id))


async def rotate(tx: Transaction, subscription_id: str, secret: str, now_ms: int) -> None:
    """Sign with a new secret from now on, and for a day with the old one too."""
    values = {"old_secret": _TABLE.c.secret, "secret": secret, "old_secret_until_ms": now_ms + OLD_SECRET_MS}
    await tx.execute(update(_TABLE).where(_TABLE.c.id == subscription_id).values(values))


async def enable(tx: Transaction, subscription_id: str, now_ms: int) -> None:
    """Send again, the backlog first."""
    values = {"status": SubscriptionStatus.ACTIVE, "status_detail": "", "failing_since_ms": None}
    await tx.execute(update(_TABLE).where(_TABLE.c.id == subscription_id).values(values))
    await queue.unpark(tx, endpoint_of(subscription_id), now_ms)


async def record_health(tx: Transaction, health: Iterable[Health]) -> None:
    """Write what attempts said about their endpoints; rows are locked in this transaction."""
    for one in health:
        values = {"status": one.status, "status_detail": one.detail, "failing_since_ms": one.failing_since_ms}
        await tx.execute(update(_TABLE).where(_TABLE.c.id == one.subscription_id).values(values))
        if one.status is not SubscriptionStatus.ACTIVE:
            await queue.park(tx, endpoint_of(one.subscription_id))


def _filters_text(filters: Filters) -> str:
    stored = StoredFilters(
        sorted(filters.lifecycles),
        sorted(filters.from_stages),
        sorted(filters.to_stages),
        sorted(filters.transitions),
    )
    return msgspec.json.encode(stored).decode()


def _filters(text: str) -> Filters:
    stored = msgspec.json.decode(text, type=StoredFilters)
    return Filters(
        frozenset(stored.lifecycles),
        frozenset(stored.from_stages),
        frozenset(stored.to_stages),
        frozenset(stored.transitions),
    )


def _listed(row: Sequence[Any], now_ms: int) -> Listed:
    kept = dict(zip(COLUMNS, row, strict=True))
    return Listed(subscription_of(row, now_ms), kept["status_detail"], kept["created_ms"])


def subscription_of(row: Sequence[Any], now_ms: int) -> Subscription:
    """A subscription from its row, columns in the order of `COLUMNS`."""
    kept = dict(zip(COLUMNS, row, strict=True))
    old = kept["old_secret"] if (kept["old_secret_until_ms"] or 0) > now_ms else None
    return Subscription(
        id=kept["id"],
        tenant=kept["tenant"],
        url=kept["url"],
        filters=_filters(kept["filters"]),
        status=SubscriptionStatus(kept["status"]),
        secrets=(kept["secret"], old) if old else (kept["secret"],),
        include_customer=bool(kept["include_customer"]),
        include_backfill=bool(kept["include_backfill"]),
        transit=bool(kept["transit"]),
        failing_since_ms=kept["failing_since_ms"],
    )
