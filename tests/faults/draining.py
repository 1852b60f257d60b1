"""Waits until all that was posted has gone all the way: nothing unread, nothing unsent, no timer due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from sqlalchemy import Table, func, select

from services.notifier.store import tables as notifier
from services.stage_engine.store import tables as engine
from shared.contracts.times import MINUTE_MS, now_ms
from shared.contracts.topics import Topic
from shared.db.port import Database, Transaction
from shared.errors import Transient
from tests.faults.topics import Topics

_POLL_SECONDS = 0.3


async def drained(database: Database, topics: Topics, patience_seconds: float) -> dict[str, int]:
    """What is still under way, by kind; empty once nothing is, or when patience is over."""
    deadline = time.monotonic() + patience_seconds
    while True:
        left = await _left_patiently(database, topics)
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(_POLL_SECONDS)


async def _left_patiently(database: Database, topics: Topics) -> dict[str, int]:
    try:
        return await _left(database, topics)
    except Transient as error:
        return {str(error): 1}


async def _left(database: Database, topics: Topics) -> dict[str, int]:
    # The log is asked first: what is behind these ends now will be behind them when the tables are read.
    events, changes = await topics.ends(Topic.EVENTS), await topics.ends(Topic.STAGE_CHANGED)
    soon = now_ms() + MINUTE_MS
    async with database.reading() as transaction:
        found = {
            "events not applied": _behind(await _engine_offsets(transaction), events),
            "stage changes not read": _behind(await _notifier_offsets(transaction, Topic.STAGE_CHANGED), changes),
            "records in the engine's outbox": await _count(transaction, engine.outbox),
            "timers due": await _count(transaction, engine.timers, engine.timers.c.ripe_ms < soon),
            "deliveries due": await _count(transaction, notifier.due, notifier.due.c.due_ms < soon),
            "outcomes not published": await _count(transaction, notifier.outbox),
        }
        if not any(found.values()):
            # Last, since it reads the whole topic.
            updates = await topics.last_offsets(Topic.CUSTOMER_UPDATED)
            found["updates not read"] = _behind(await _notifier_offsets(transaction, Topic.CUSTOMER_UPDATED), updates)
    return {what: count for what, count in found.items() if count}


def _behind(reached: Mapping[int, int], ends: Mapping[int, int]) -> int:
    return sum(max(0, end - reached.get(partition, 0)) for partition, end in ends.items())


async def _engine_offsets(transaction: Transaction) -> dict[int, int]:
    table = engine.progress.c
    return dict(tuple(row) for row in await transaction.execute(select(table.partition, table.next_offset)))


async def _notifier_offsets(transaction: Transaction, topic: Topic) -> dict[int, int]:
    table = notifier.progress.c
    statement = select(table.partition, table.next_offset).where(table.topic == topic.value)
    return dict(tuple(row) for row in await transaction.execute(statement))


async def _count(transaction: Transaction, table: Table, *conditions: object) -> int:
    statement = select(func.count()).select_from(table)
    for condition in conditions:
        statement = statement.where(condition)  # type: ignore[arg-type]
    return int((await transaction.execute(statement)).scalar_one())
