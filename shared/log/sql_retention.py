"""How records leave the SQL log: by age behind all readers, and superseded ones of compacted topics. Always a step at a
time, so that no transaction holds up appends for long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import and_, delete, func, select

from shared.db.port import Database, Row, Transaction
from shared.log.port import TopicPartition
from shared.log.sql_tables import latest, records, rows_of, trims


async def trim_step(database: Database, before_ms: int, keep_from: Mapping[TopicPartition, int], limit: int) -> int:
    """Delete up to `limit` records of each partition named, which arrived before `before_ms` and lie below its offset.

    Gives how many were deleted; 0 means that there is nothing more to delete.
    """
    deleted = 0
    for where, keep in sorted(keep_from.items()):
        async with database.transaction() as transaction:
            deleted += await _trim(transaction, where, before_ms, keep, limit)
    return deleted


async def _trim(transaction: Transaction, where: TopicPartition, before_ms: int, keep: int, limit: int) -> int:
    here = and_(records.c.topic == where.topic, records.c.partition == where.partition)
    oldest = (
        select(records.c.offset, records.c.arrival_ms)
        .where(here, records.c.offset < keep)
        .order_by(records.c.offset)
        .limit(limit)
        .subquery()
    )
    last = (
        await transaction.execute(select(func.max(oldest.c.offset)).where(oldest.c.arrival_ms < before_ms))
    ).scalar()
    if last is None:
        return 0
    return (await transaction.execute(delete(records).where(here, records.c.offset <= last))).rowcount


async def compact_step(database: Database, places: Iterable[TopicPartition], limit: int) -> int:
    """Go on by up to `limit` records in each partition named and delete what a later record of its key supersedes.

    The last record of a key stays, a tombstone too. Gives how many records were looked at; 0 means up to date.
    """
    looked_at = 0
    for where in places:
        async with database.transaction() as transaction:
            looked_at += await _compact(transaction, where, limit)
    return looked_at


async def _compact(transaction: Transaction, where: TopicPartition, limit: int) -> int:
    start = await _locked_cursor(transaction, where)
    window = await _window(transaction, where, start, limit)
    if not window:
        return 0
    last = {key: offset for offset, key in window}
    kept_keys = [(*where, key) for key in last]
    before = await transaction.select_many(latest, ("topic", "partition", "key"), kept_keys, ("offset",))
    superseded = [(*where, offset) for offset, key in window if offset != last[key]]
    superseded += [(*where, offset) for (offset,) in before]
    await transaction.delete_many(records, ("topic", "partition", "offset"), superseded)
    rows = [(*where, key, offset) for key, offset in last.items()]
    await transaction.upsert(latest, ("topic", "partition", "key", "offset"), rows)
    await transaction.upsert(trims, ("topic", "partition", "compacted_to"), [(*where, window[-1][0] + 1)])
    return len(window)


async def _locked_cursor(transaction: Transaction, where: TopicPartition) -> int:
    here = and_(trims.c.topic == where.topic, trims.c.partition == where.partition)
    return int((await transaction.execute(select(trims.c.compacted_to).where(here).with_for_update())).scalar_one())


async def _window(transaction: Transaction, where: TopicPartition, start: int, limit: int) -> list[Row]:
    query = (
        select(records.c.offset, records.c.key)
        .where(records.c.topic == where.topic, records.c.partition == where.partition, records.c.offset >= start)
        .order_by(records.c.offset)
        .limit(limit)
    )
    return await rows_of(transaction, query)
