"""What was published when, by whom; the last publication of a lifecycle names its active version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import func, select

from services.stage_engine.store.tables import publications
from shared.db.port import Transaction

_COLUMNS = ("publish_id", "lifecycle", "number", "version", "message", "author", "created_ms", "notify", "migrate")


class Publication(NamedTuple):
    """One publication. `number` counts those of its lifecycle; `migrate` puts customers of stages that are no more into
    others; with `notify` what it changes is live."""

    publish_id: str
    lifecycle: str
    number: int
    version: int
    message: str
    author: str
    created_ms: int
    notify: bool = False
    migrate: Mapping[str, str] = {}


async def add(transaction: Transaction, publication: Publication) -> bool:
    """Store a publication; False when its id, or its lifecycle's number, is taken."""
    row = (*publication[:-1], msgspec.json.encode(dict(publication.migrate)).decode())
    return bool(await transaction.insert_new(publications, _COLUMNS, [row], ("publish_id",)))


async def next_number(transaction: Transaction, lifecycle: str) -> int:
    """The number that the next publication of a lifecycle gets."""
    last = select(func.max(publications.c.number)).where(publications.c.lifecycle == lifecycle)
    return ((await transaction.execute(last)).scalar_one() or 0) + 1


async def take_turns(transaction: Transaction) -> None:
    """Wait until nobody else who took their turn is in the midst of publishing, whatever the lifecycle."""
    first = select(publications.c.publish_id).where(publications.c.number == 1).order_by(publications.c.lifecycle)
    await transaction.execute(first.with_for_update())


async def of_lifecycle(transaction: Transaction, lifecycle: str) -> list[Publication]:
    """All of a lifecycle, the first one first."""
    columns = [publications.c[name] for name in _COLUMNS]
    statement = select(*columns).where(publications.c.lifecycle == lifecycle).order_by(publications.c.number)
    return [_publication(tuple(row)) for row in await transaction.execute(statement)]


async def active(transaction: Transaction) -> dict[str, int]:
    """The active version of each lifecycle that was ever published."""
    last = select(publications.c.lifecycle, func.max(publications.c.number).label("number")).group_by(
        publications.c.lifecycle
    )
    newest = last.subquery()
    statement = select(publications.c.lifecycle, publications.c.version).join(
        newest, (newest.c.lifecycle == publications.c.lifecycle) & (newest.c.number == publications.c.number)
    )
    found = [tuple(row) for row in await transaction.execute(statement)]
    return {str(name): int(version) for name, version in found}


def _publication(row: tuple[Any, ...]) -> Publication:
    *plain, notify, migrate = row
    return Publication._make((*plain, bool(notify), msgspec.json.decode(migrate, type=dict[str, str])))
