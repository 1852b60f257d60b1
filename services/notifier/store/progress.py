"""How far each partition has been read, and whose it is. Every planning transaction starts by locking these rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, select, tuple_

from services.notifier.store import tables
from services.notifier.store.padding import padded
from shared.db.port import Action, Transaction, Write
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


def advance(next_offsets: Mapping[TopicPartition, int]) -> Write:
    """Move on to `next_offsets`; the rows are locked by `lock_owned` in this transaction."""
    rows = [(where.topic, where.partition, offset) for where, offset in next_offsets.items()]
    return Write(Action.UPDATE, tables.progress, ("topic", "partition", "next_offset"), rows)


_table = tables.progress.c
_LOCKED = (
    select(_table.topic, _table.partition, _table.epoch, _table.next_offset, _table.log_id)
    .where(tuple_(_table.topic, _table.partition).in_(bindparam("wheres", expanding=True)))
    # In one order everywhere, so that two processes never wait for each other.
    .order_by(_table.topic, _table.partition)
    .with_for_update()
)


async def _locked(tx: Transaction, wheres: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int, str]]:
    places = [(str(where.topic), where.partition) for where in wheres]
    rows = await tx.execute(_LOCKED, {"wheres": padded(places)})
    return {TopicPartition(row[0], row[1]): (row[2], row[3], row[4]) for row in map(tuple, rows)}
