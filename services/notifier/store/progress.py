"""How far each partition has been read, and whose it is. Every planning transaction starts by locking these rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select, tuple_

from services.notifier.store import tables
from shared.db.port import Transaction
from shared.errors import Permanent
from shared.log.port import TopicPartition


@dataclass(frozen=True, slots=True)
class Claim:
    """A partition that is ours until somebody claims it with a higher epoch."""

    epoch: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims, and in which log offsets are counted."""

    owner: str
    log_id: str


_COLUMNS = ("topic", "partition", "epoch", "owner", "next_offset", "log_id")


async def claim(tx: Transaction, where: TopicPartition, claimant: Claimant) -> Claim:
    """Take the partition over: whoever had it writes nothing more. Raises Permanent if the log is another one."""
    blank = (where.topic, where.partition, 0, "", 0, claimant.log_id)
    await tx.insert_new(tables.progress, _COLUMNS, [blank], ("topic",))
    epoch, next_offset, log_id = (await _locked(tx, [where]))[where]
    if log_id != claimant.log_id:
        raise Permanent(
            f"{where.topic} partition {where.partition} was read to offset {next_offset} in log {log_id}, but this is "
            f"log {claimant.log_id}: offsets mean nothing across logs. Connect the former log, or start this one with "
            "an empty notifier database"
        )
    row = (where.topic, where.partition, epoch + 1, claimant.owner, next_offset, log_id)
    await tx.upsert(tables.progress, _COLUMNS, [row])
    return Claim(epoch + 1, next_offset)


async def lock_owned(tx: Transaction, claims: Mapping[TopicPartition, Claim]) -> dict[TopicPartition, int]:
    """Lock the rows and give next_offset of those that are still ours; what is missing was taken over."""
    rows = await _locked(tx, list(claims))
    return {where: offset for where, (epoch, offset, _) in rows.items() if claims[where].epoch == epoch}


async def advance(
    tx: Transaction,
    claims: Mapping[TopicPartition, Claim],
    claimant: Claimant,
    next_offsets: Mapping[TopicPartition, int],
) -> None:
    """Move on to `next_offsets`; the rows are locked by `lock_owned` in this transaction."""
    rows = [
        (where.topic, where.partition, claims[where].epoch, claimant.owner, offset, claimant.log_id)
        for where, offset in next_offsets.items()
    ]
    await tx.upsert(tables.progress, _COLUMNS, rows)


async def _locked(tx: Transaction, wheres: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int, str]]:
    table = tables.progress.c
    # In one order everywhere, so that two processes never wait for each other.
    statement = (
        select(table.topic, table.partition, table.epoch, table.next_offset, table.log_id)
        .where(tuple_(table.topic, table.partition).in_([(str(where.topic), where.partition) for where in wheres]))
        .order_by(table.topic, table.partition)
        .with_for_update()
    )
    rows = await tx.execute(statement)
    return {TopicPartition(row[0], row[1]): (row[2], row[3], row[4]) for row in map(tuple, rows)}
