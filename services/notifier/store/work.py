"""Queue rows locked together with all that is decided over them: one statement instead of several one after another.

What is joined here is either never changed (plans and their stories), or read once more under its own lock before
anything is written that depends on its staying so (subscriptions).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Integer, Select, Text, bindparam, func, select, union_all

from services.notifier.domain.change import Contact
from services.notifier.domain.delivery import Channel, Planned, Story
from services.notifier.domain.subscription import Subscription, endpoint_of
from services.notifier.store import contacts, deliveries, queue, subscriptions, tables
from services.notifier.store.padding import padded
from services.notifier.store.queue import Waiting
from shared.db.port import Transaction

_MOST_ENDPOINTS = 100

_due, _plan, _change = tables.due, tables.deliveries, tables.changes
_contact, _subscription, _switch = tables.contacts, tables.subscriptions, tables.switches
_QUEUED = [_due.c[name] for name in queue.COLUMNS]
_PLANNED = [_plan.c[name] for name in deliveries.COLUMNS]
_TOLD = [_change.c[name] for name in deliveries.STORY_COLUMNS]
_KNOWN = [_contact.c[name] for name in contacts.COLUMNS]
_SUBSCRIBED = [_subscription.c[name] for name in subscriptions.COLUMNS]


class Ripe(NamedTuple):
    """A due delivery as the claim finds it. `subscription` is None for an e-mail, and once it has been deleted."""

    waiting: Waiting
    planned: Planned
    story: Story
    contact: Contact
    subscription: Subscription | None
    switched_off: bool


async def lock_due(tx: Transaction, room: Mapping[str, int], now_ms: int) -> list[Ripe]:
    """Due deliveries of each endpoint, at most what it has room for, the oldest first, with what is known about them
    now. What another process is claiming is passed over."""
    asked = list(room.items())[:_MOST_ENDPOINTS]
    if not asked:
        return []
    given: dict[str, Any] = {"now": now_ms}
    for number, (endpoint, most) in enumerate(asked):
        given |= {f"endpoint_{number}": endpoint, f"most_{number}": most}
    return [_ripe(tuple(row), now_ms) for row in await tx.execute(_due_statement(len(asked)), given)]


def _ripe(row: Sequence[Any], now_ms: int) -> Ripe:
    queued, planned, told, known, subscribed, off = _cut(
        row, len(_QUEUED), len(_PLANNED), len(_TOLD), len(_KNOWN), len(_SUBSCRIBED)
    )
    return Ripe(
        Waiting._make(queued),
        deliveries.planned_of(planned),
        deliveries.story_of(told),
        contacts.contact_of(known) if known[0] is not None else Contact(),
        subscriptions.subscription_of(subscribed, now_ms) if subscribed[0] is not None else None,
        off[0] is not None,
    )


@cache
def _due_statement(endpoints: int) -> Select[Any]:
    """One text for each number of endpoints."""
    ids = union_all(*(_due_ids(number) for number in range(endpoints)))
    customer = _plan.c.tenant + ":" + _plan.c.customer_id
    joined = (
        _due.join(_plan, _plan.c.id == _due.c.id)
        .join(_change, (_change.c.tenant == _plan.c.tenant) & (_change.c.change_id == _plan.c.change_id))
        .outerjoin(_contact, (_contact.c.customer_key == customer) & (_plan.c.channel == Channel.EMAIL.value))
        .outerjoin(_subscription, _subscription.c.id == _plan.c.subscription_id)
        .outerjoin(_switch, (_switch.c.tenant == _plan.c.tenant) & (_switch.c.channel == _plan.c.channel))
    )
    return (
        select(*_QUEUED, *_PLANNED, *_TOLD, *_KNOWN, *_SUBSCRIBED, _switch.c.tenant)
        .select_from(joined)
        .where(_due.c.id.in_(ids), _due.c.due_ms <= bindparam("now", type_=BigInteger))
        .order_by(_due.c.due_ms)
        .with_for_update(of=_due, skip_locked=True)
    )


def _due_ids(number: int) -> Select[tuple[str]]:
    endpoint, most = bindparam(f"endpoint_{number}", type_=Text), bindparam(f"most_{number}", type_=Integer)
    first = select(_due.c.id).where(_due.c.endpoint == endpoint, _due.c.due_ms <= bindparam("now", type_=BigInteger))
    limited = first.order_by(_due.c.due_ms).limit(most).subquery()
    return select(limited.c.id)


_LEASED = (
    select(*_QUEUED, *_SUBSCRIBED)
    .select_from(
        # The subscription's side is bare, so that its index is used.
        _due.outerjoin(_subscription, _subscription.c.id == func.substr(_due.c.endpoint, len(endpoint_of("")) + 1))
    )
    .where(_due.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_due.c.id)
    .with_for_update(of=_due)
)


async def lock_leased(
    tx: Transaction, ids: Collection[str], now_ms: int
) -> tuple[dict[str, Waiting], dict[str, Subscription]]:
    """Rows by id, locked, a final one being absent; and the subscriptions that they are for, by id, as they are now."""
    rows: dict[str, Waiting] = {}
    known: dict[str, Subscription] = {}
    for row in await tx.execute(_LEASED, {"ids": padded(ids)}):
        queued, subscribed = _cut(tuple(row), len(_QUEUED))
        rows[queued[0]] = Waiting._make(queued)
        if subscribed[0] is not None and subscribed[0] not in known:
            known[subscribed[0]] = subscriptions.subscription_of(subscribed, now_ms)
    return rows, known


_WATCHED = (
    select(*_QUEUED, *_PLANNED)
    .select_from(_due.join(_plan, _plan.c.id == _due.c.id))
    .where(_due.c.watched.in_(bindparam("keys", expanding=True)), _due.c.lease_token == "")
    .order_by(_due.c.id)
    .with_for_update(of=_due)
)


async def lock_watched(tx: Transaction, keys: Collection[str]) -> list[tuple[Waiting, Planned]]:
    """Steps that wait for these customers and lifecycles, and are not being sent just now."""
    if not keys:
        return []
    rows = await tx.execute(_WATCHED, {"keys": padded(keys)})
    cut = [_cut(tuple(row), len(_QUEUED)) for row in rows]
    return [(Waiting._make(queued), deliveries.planned_of(planned)) for queued, planned in cut]


def _cut(row: Sequence[Any], *lengths: int) -> list[Sequence[Any]]:
    """The row in parts of these lengths, and the rest."""
    parts, start = [], 0
    for length in lengths:
        parts.append(row[start : start + length])
        start += length
    return [*parts, row[start:]]
