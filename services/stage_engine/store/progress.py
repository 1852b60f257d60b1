"""The progress row of a partition: whoever holds its newest epoch may write, nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import insert, select, tuple_, update

from services.stage_engine.store.tables import progress
from shared.db.port import Action, Database, Transaction, Write
from shared.errors import Permanent

Versions = dict[str, int]
"""Active version of each lifecycle."""


class OwnershipLost(Permanent):
    """Another engine has claimed the partition since; whatever was decided here must be dropped."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for one partition, as long as nobody claims it after."""

    partition: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition has come. `next_offset` is the first record not yet applied."""

    next_offset: int
    arrival_ms: int
    watermark_ms: int
    outbox_position: int
    versions: Versions
    log_identity: str
    activation: int = 0
    """The number of the last activation: how often the versions have changed."""


_COLUMNS = (
    progress.c.next_offset,
    progress.c.arrival_ms,
    progress.c.watermark_ms,
    progress.c.outbox_position,
    progress.c.versions,
    progress.c.log_identity,
    progress.c.activation,
)


async def claim(database: Database, partition: int, owner: str, log_identity: str) -> tuple[Claim, Progress]:
    """Take a partition over: from the commit of this on, every transaction under an older epoch fails."""
    async with database.transaction() as transaction:
        taken = await transaction.execute(
            update(progress)
            .where(progress.c.partition == partition)
            .values(epoch=progress.c.epoch + 1, owner=owner)
            .returning(progress.c.epoch, *_COLUMNS)
        )
        if (row := taken.one_or_none()) is not None:
            return Claim(partition, row[0]), _progress(tuple(row)[1:])
        await transaction.execute(insert(progress).values(**_first_row(partition, owner, log_identity)))
        return Claim(partition, 1), Progress(0, 0, 0, 0, {}, log_identity)


def _first_row(partition: int, owner: str, log_identity: str) -> dict[str, object]:
    return {
        "partition": partition,
        "epoch": 1,
        "owner": owner,
        "log_identity": log_identity,
        "next_offset": 0,
        "arrival_ms": 0,
        "watermark_ms": 0,
        "outbox_position": 0,
        "versions": "{}",
    }


def _progress(row: tuple[Any, ...]) -> Progress:
    offset, arrival_ms, watermark_ms, position, versions, identity, activation = row
    active = msgspec.json.decode(versions, type=Versions)
    return Progress(offset, arrival_ms, watermark_ms, position, active, identity, activation)


async def versions(transaction: Transaction, partition: int) -> Versions:
    """The active versions that a partition runs; none before its first batch."""
    found = await transaction.execute(select(progress.c.versions).where(progress.c.partition == partition))
    stored = found.scalar_one_or_none()
    return {} if stored is None else msgspec.json.decode(stored, type=Versions)


async def running(transaction: Transaction) -> set[str]:
    """The lifecycles that any partition runs."""
    found = await transaction.execute(select(progress.c.versions).distinct())
    return {name for (each,) in found for name in msgspec.json.decode(each, type=Versions)}


async def watermark_ms(transaction: Transaction, partition: int) -> int:
    """How far a partition is known to be complete; 0 for one that nobody has claimed."""
    found = await transaction.execute(select(progress.c.watermark_ms).where(progress.c.partition == partition))
    return found.scalar_one_or_none() or 0


async def lock(transaction: Transaction, claimed: Claim) -> Progress:
    """The first statement of every engine transaction. Raises OwnershipLost when the claim is no longer the newest."""
    held = await lock_all(transaction, [claimed])
    if claimed not in held:
        raise lost(claimed)
    return held[claimed]


async def lock_all(transaction: Transaction, claims: Sequence[Claim]) -> dict[Claim, Progress]:
    """The same for several partitions, always in one order; those whose claim is no longer the newest are absent."""
    wanted = [(claimed.partition, claimed.epoch) for claimed in claims]
    found = await transaction.execute(
        select(progress.c.partition, progress.c.epoch, *_COLUMNS)
        .where(tuple_(progress.c.partition, progress.c.epoch).in_(wanted))
        .order_by(progress.c.partition)
        .with_for_update()
    )
    rows = [tuple(row) for row in found]
    return {Claim(partition, epoch): _progress(tuple(rest)) for partition, epoch, *rest in rows}


def lost(claimed: Claim) -> OwnershipLost:
    """What is raised when a claim turns out not to be the newest."""
    return OwnershipLost(f"partition {claimed.partition} was claimed by another engine after epoch {claimed.epoch}")


def save(claimed: Claim, now: Progress) -> Write:
    """The locked row's new values; part of the same transaction as what they speak of."""
    columns = ("partition", "next_offset", "arrival_ms", "watermark_ms", "outbox_position", "versions", "activation")
    versions = msgspec.json.encode(now.versions).decode()
    reached = (now.next_offset, now.arrival_ms, now.watermark_ms, now.outbox_position, versions, now.activation)
    return Write(Action.UPDATE, progress, columns, [(claimed.partition, *reached)])
