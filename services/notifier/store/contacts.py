"""Contacts and campaign runs, loaded and stored by the set."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import select

from services.notifier.domain.change import Contact, Place
from services.notifier.store import tables
from shared.db.port import Transaction

_COLUMNS = ("customer_key", "revision", "sequence", "snapshot", "unsubscribed")
_RUNS = ("customer_key", "campaign", "last_run_ms")


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a contact's row keeps beside its guards."""

    name: str | None = None
    email: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    consent: dict[str, bool] = {}
    open_complaints: int = 0
    places: dict[str, tuple[str, int]] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Stored).decode


def customer_key(tenant: str, customer_id: str) -> str:
    """tenant:customer, as in the records' keys; tenants contain no colon."""
    return f"{tenant}:{customer_id}"


async def lock(tx: Transaction, keys: Collection[str]) -> dict[str, Contact]:
    """The contacts of these customers, made if unknown, and locked until the transaction ends.

    Stage changes, customer updates and the unsubscribe link all write here from transactions of their own.
    """
    ordered = sorted(keys)
    blank = _encode(Stored())
    await tx.insert_new(tables.contacts, _COLUMNS, [(key, 0, 0, blank, False) for key in ordered], ("customer_key",))
    table = tables.contacts.c
    statement = select(*(table[name] for name in _COLUMNS)).where(table.customer_key.in_(ordered))
    rows = await tx.execute(statement.order_by(table.customer_key).with_for_update())
    return {row[0]: _contact(*row[1:]) for row in map(tuple, rows)}


async def load(tx: Transaction, keys: Collection[str]) -> dict[str, Contact]:
    """The contacts of these customers as they are now; a customer nobody spoke of is blank."""
    wanted = [(key,) for key in keys]
    rows = await tx.select_many(tables.contacts, ("customer_key",), wanted, _COLUMNS)
    known = {row[0]: _contact(*row[1:]) for row in rows}
    return {key: known.get(key, Contact()) for key in keys}


async def store(tx: Transaction, contacts: Mapping[str, Contact]) -> None:
    """Write contacts that `lock` gave and that have changed since."""
    await tx.upsert(tables.contacts, _COLUMNS, [_row(key, contact) for key, contact in contacts.items()])


async def last_runs(tx: Transaction, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """When each campaign last ran for each customer, by (customer key, campaign)."""
    rows = await tx.select_many(tables.campaign_runs, _RUNS[:2], list(pairs), _RUNS)
    return {(key, campaign): last for key, campaign, last in rows}


async def store_runs(tx: Transaction, runs: Mapping[tuple[str, str], int]) -> None:
    """Remember that campaigns ran, by (customer key, campaign)."""
    await tx.upsert(tables.campaign_runs, _RUNS, [(*pair, last) for pair, last in runs.items()])


def _row(key: str, contact: Contact) -> tuple[str, int, int, bytes, bool]:
    stored = Stored(
        contact.name,
        contact.email,
        contact.locale,
        contact.time_zone,
        dict(contact.consent),
        contact.open_complaints,
        {lifecycle: (place.stage, place.entry) for lifecycle, place in contact.places.items()},
    )
    return key, contact.revision, contact.sequence, _encode(stored), contact.unsubscribed


def _contact(revision: int, sequence: int, snapshot: bytes, unsubscribed: bool) -> Contact:
    stored = _decode(snapshot)
    return Contact(
        revision=revision,
        sequence=sequence,
        name=stored.name,
        email=stored.email,
        locale=stored.locale,
        time_zone=stored.time_zone,
        consent=stored.consent,
        open_complaints=stored.open_complaints,
        places={lifecycle: Place(*place) for lifecycle, place in stored.places.items()},
        unsubscribed=bool(unsubscribed),
    )
