"""What an engine has left behind, in its tables and on the topics."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import pytest
from sqlalchemy import Table, func, select

from services.stage_engine.rebuilding import Difference, Rebuild
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import tables
from shared.auth.tenants import Tenants
from shared.contracts.cloudevent import decode
from shared.contracts.stage_changed import StageChanged, read_stage_changed
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.log.port import Log, Membership, Record, TopicPartition
from shared.service import Resources

_POLL_SECONDS = 0.03


async def until(condition: Callable[[], Awaitable[bool]], what: str, timeout_seconds: float = 20.0) -> None:
    """Wait for something to come true; fails the test when the time is over."""
    deadline = monotonic() + timeout_seconds
    while not await condition():
        if monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {timeout_seconds:g} s")
        await asyncio.sleep(_POLL_SECONDS)


async def rows(database: Database, table: Table, **equal: Any) -> list[dict[str, Any]]:
    """All rows of a table, or those whose columns equal."""
    statement = select(table).where(*(table.c[name] == value for name, value in equal.items()))
    async with database.reading() as transaction:
        found = await transaction.execute(statement.order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]


async def count(database: Database, table: Table) -> int:
    async with database.reading() as transaction:
        return int((await transaction.execute(select(func.count()).select_from(table))).scalar_one())


async def handled(database: Database) -> int:
    """How many events were taken in one way or another: applied, or set aside."""
    return await count(database, tables.history) + await count(database, tables.dead_letters)


async def next_offsets(database: Database) -> dict[int, int]:
    return {row["partition"]: row["next_offset"] for row in await rows(database, tables.progress)}


async def until_handled(database: Database, log: Log, timeout_seconds: float = 30.0) -> None:
    """Until every record of the events topic lies behind the engine, and nothing is left to relay."""
    ends = {where.partition: end for where, end in (await _ends(log, Topic.EVENTS)).items() if end}

    async def drained() -> bool:
        reached = await next_offsets(database)
        behind = [number for number, end in ends.items() if reached.get(number, 0) < end]
        return not behind and await count(database, tables.outbox) == 0

    await until(drained, "the engine caught up and relayed", timeout_seconds)


class Changed(NamedTuple):
    """A stage change as it was kept."""

    change_id: str
    effective_ms: int
    data: StageChanged


async def changes(database: Database, customer: str, tenant: str = "acme") -> list[Changed]:
    """A customer's stage changes in order."""
    kept = await rows(database, tables.stage_changes, tenant=tenant, customer_id=customer)
    return [
        Changed(row["change_id"], row["effective_ms"], msgspec.json.decode(row["data"], type=StageChanged))
        for row in kept
    ]


async def path(database: Database, customer: str, lifecycle: str = "ecommerce") -> list[str]:
    """The stages that a customer went through."""
    return [each.data.to for each in await changes(database, customer) if each.data.lifecycle == lifecycle]


async def differences(resources: Resources) -> list[Difference]:
    """What living all history again gives otherwise."""
    settings, database = resources.settings, resources.database
    rulebook = RuleBook({}, Tenants(database), settings.default_currency)
    work = Rebuild(database, rulebook, int(settings.backfill_settle_seconds * 1000))
    return [each async for page in work.pages() for each in page.differences]


async def published(log: Log, topic: Topic) -> list[Record]:
    """All records of a topic, by partition and offset."""
    async with asyncio.timeout(30):
        found, _ = await _read(log, topic)
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def published_changes(log: Log) -> list[tuple[str, StageChanged]]:
    """Ids and contents of what is on the stage-changed topic."""
    events = [decode(record.value or b"") for record in await published(log, Topic.STAGE_CHANGED)]
    return [(event.id, read_stage_changed(event)) for event in events]


async def _ends(log: Log, topic: Topic) -> dict[TopicPartition, int]:
    _, ends = await _read(log, topic, only_ends=True)
    return ends


async def _read(log: Log, topic: Topic, *, only_ends: bool = False) -> tuple[list[Record], dict[TopicPartition, int]]:
    gained: asyncio.Queue[frozenset[TopicPartition]] = asyncio.Queue()
    consumer = log.consumer(Membership(f"test-{uuid.uuid4().hex}", (topic,), gained.put, _ignore))
    places = [TopicPartition(topic, number) for number in range(await log.partitions(topic))]
    found: list[Record] = []
    await consumer.start()
    try:
        ends = {where: await consumer.end_offset(where) for where in places}
        left = set() if only_ends else set(places)
        while left:
            while not gained.empty():
                for where in gained.get_nowait():
                    await consumer.seek(where, 0)
            for batch in (await consumer.fetch(5_000, 50)).values():
                found += batch
            here = left & consumer.assigned()
            left -= {where for where in here if gained.empty() and await consumer.position(where) >= ends[where]}
    finally:
        await consumer.close()
    return found, ends


async def _ignore(_lost: frozenset[TopicPartition]) -> None:
    return None


def of_customer(records: Sequence[Record], customer: str) -> list[Record]:
    """Records of one customer of the usual tenant."""
    return [record for record in records if record.key == f"acme:{customer}".encode()]
