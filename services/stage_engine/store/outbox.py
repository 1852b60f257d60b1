"""Records on their way to the log: written with the decision that made them, relayed after, then deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import delete, select

from services.stage_engine.store.progress import Claim
from services.stage_engine.store.tables import outbox
from shared.contracts.topics import Topic
from shared.db.port import Action, Transaction, Write

_COLUMNS = ("topic", "partition", "position", "key", "value", "traceparent")


class Outgoing(NamedTuple):
    """A record for a topic; its partition is that of the customer's events."""

    topic: Topic
    key: bytes
    value: bytes
    traceparent: str | None


class Waiting(NamedTuple):
    """A record in the outbox."""

    position: int
    key: bytes
    value: bytes
    traceparent: str | None


class Place(NamedTuple):
    """Behind which position of a topic's partition to read."""

    topic: Topic
    partition: int
    after: int


def add(partition: int, after: int, records: Sequence[Outgoing]) -> Write:
    """New records at the positions that follow `after`."""
    rows = [
        (record.topic.value, partition, position, record.key, record.value, record.traceparent)
        for position, record in enumerate(records, start=after + 1)
    ]
    return Write(Action.INSERT, outbox, _COLUMNS, rows)


async def waiting(transaction: Transaction, place: Place, limit: int) -> list[Waiting]:
    """The oldest records of a topic's partition behind a position."""
    found = await transaction.execute(
        select(outbox.c.position, outbox.c.key, outbox.c.value, outbox.c.traceparent)
        .where(outbox.c.topic == place.topic.value, outbox.c.partition == place.partition)
        .where(outbox.c.position > place.after)
        .order_by(outbox.c.position)
        .limit(limit)
    )
    return [Waiting(*tuple(row)) for row in found]


async def relayed(transaction: Transaction, claim: Claim, topic: Topic, until: int) -> None:
    """Forget what has reached the log, up to and including a position."""
    await transaction.execute(
        delete(outbox).where(
            outbox.c.topic == topic.value, outbox.c.partition == claim.partition, outbox.c.position <= until
        )
    )
