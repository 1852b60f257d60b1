"""Contacts and campaign runs, loaded and stored by the set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, select

from services.notifier.domain.change import Contact, Place
from services.notifier.store import tables
from services.notifier.store.padding import padded
from shared.db.port import Action, Transaction, Write

COLUMNS = ("customer_key", "revision", "sequence", "snapshot", "unsubscribed")
_RUNS = ("customer_key", "campaign", "last_run_ms")

Runs = dict[tuple[str, str], int]
"""When each campaign last ran for each customer, by (customer key, campaign); milliseconds."""


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


_LOCKED = (
    select(
        *(tables.contacts.c[name] for name in COLUMNS),
        tables.campaign_runs.c.campaign,
        tables.campaign_runs.c.last_run_ms,
    )
    .select_from(
        tables.contacts.outerjoin(
            tables.campaign_runs, tables.campaign_runs.c.customer_key == tables.contacts.c.customer_key
        )
    )
    .where(tables.contacts.c.customer_key.in_(bindparam("keys", expanding=True)))
    # In one order everywhere, so that two transactions seldom wait for each other.
    .order_by(tables.contacts.c.customer_key)
    .with_for_update(of=tables.contacts)
)


async def lock(tx: Transaction, keys: Collection[str]) -> dict[str, Contact]:
    """The contacts of these customers, made if unknown, and locked until the transaction ends.

    Stage changes, customer updates and the unsubscribe link all write here from transactions of their own.
    """
    return (await lock_with_runs(tx, keys))[0]


async def lock_with_runs(tx: Transaction, keys: Collection[str]) -> tuple[dict[str, Contact], Runs]:
    """`lock`, with the campaign runs of these customers.

    Runs are written by planning only, whose transaction has locked the progress row of the customer's stage changes
    before: having waited for a contact, it still reads the newest ones.
    """
    ordered = sorted(keys)
    found, runs = await _locked(tx, ordered)
    missing = [key for key in ordered if key not in found]
    blank = _encode(Stored())
    made = await tx.insert_new(tables.contacts, COLUMNS, [(key, 0, 0, blank, False) for key in missing], COLUMNS)
    found |= {row[0]: contact_of(row) for row in made}
    if raced := [key for key in missing if key not in found]:
        others, theirs = await _locked(tx, raced)
        return found | others, runs | theirs
    return found, runs


async def _locked(tx: Transaction, keys: Sequence[str]) -> tuple[dict[str, Contact], Runs]:
    found: dict[str, Contact] = {}
    runs: Runs = {}
    for row in await tx.execute(_LOCKED, {"keys": padded(keys)}):
        *known, campaign, last_run_ms = tuple(row)
        if known[0] not in found:
            found[known[0]] = contact_of(known)
        if campaign is not None:
            runs[known[0], campaign] = last_run_ms
    return found, runs


async def load(tx: Transaction, keys: Collection[str]) -> dict[str, Contact]:
    """The contacts of these customers as they are now; a customer nobody spoke of is blank."""
    rows = await tx.select_many(tables.contacts, ("customer_key",), [(key,) for key in keys], COLUMNS)
    known = {row[0]: contact_of(row) for row in rows}
    return {key: known.get(key, Contact()) for key in keys}


async def load_runs(tx: Transaction, keys: Collection[str]) -> Runs:
    """The campaign runs of these customers as they are now."""
    rows = await tx.select_many(tables.campaign_runs, ("customer_key",), [(key,) for key in keys], _RUNS)
    return {(key, campaign): last_run_ms for key, campaign, last_run_ms in rows}


def store(contacts: Mapping[str, Contact]) -> Write:
    """Write contacts that `lock` gave and that have changed since."""
    rows = [_row(key, contact) for key, contact in contacts.items()]
    return Write(Action.UPDATE, tables.contacts, COLUMNS, rows)


def store_runs(runs: Runs) -> Write:
    """Remember that campaigns ran."""
    return Write(Action.UPSERT, tables.campaign_runs, _RUNS, [(*pair, last) for pair, last in runs.items()])


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


def contact_of(row: Sequence[Any]) -> Contact:
    """A contact from its row, columns in the order of `COLUMNS`."""
    _, revision, sequence, snapshot, unsubscribed = row
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
