"""One partition in one process, put together by hand: every step of it can be held up, repeated or cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import create_async_engine

from services.cli.tables import declared
from services.stage_engine.batches.batch import Batches
from services.stage_engine.definitions.registering import register
from services.stage_engine.domain.publishing import change_id
from services.stage_engine.ownership import OwnedPartition, Workshop
from services.stage_engine.partition import Limits, PartitionWorker
from services.stage_engine.relay import Carrier, Relay
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import progress, tables
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.progress import Claim
from shared.auth.tenants import Tenants
from shared.contracts.cloudevent import Posted, encode_posted, record_key
from shared.contracts.topics import Topic
from shared.db.connect import connect
from shared.db.port import Database, DatabaseUnavailable, Transaction
from shared.log.port import Consumer, Log, LogUnavailable, Message, Producer, Record, TopicPartition
from tests.faults.replay import PULSE

TENANT, CUSTOMER = "shop", "c-1"
KEY = CustomerKey(TENANT, CUSTOMER)
T0 = 1_764_000_000_000
"""Some instant, in milliseconds."""
PARTITION = 0
WHERE = TopicPartition(Topic.EVENTS, PARTITION)


def purchase(offset: int, *, order: str, at_ms: int = 0) -> Record:
    """A purchase that happened and arrived `at_ms` after T0; the order's name is the event's id."""
    data = f'{{"order_id":"{order}","amount":"10.00","currency":"BRL"}}'.encode()
    return _record(offset, Posted(TENANT, CUSTOMER, order, "purchase", T0 + at_ms, data), at_ms)


def visit(offset: int, *, at_ms: int) -> Record:
    """An engagement."""
    posted = Posted(TENANT, CUSTOMER, f"visit-{offset}", "engagement", T0 + at_ms, b'{"channel":"visit"}')
    return _record(offset, posted, at_ms)


def rubbish(offset: int) -> Record:
    """A record that is no event at all."""
    return Record(Topic.EVENTS, PARTITION, offset, T0, b"shop:c-1", b"rubbish", ())


def _record(offset: int, posted: Posted, at_ms: int) -> Record:
    key = record_key(posted.tenant, posted.customer_id)
    return Record(Topic.EVENTS, PARTITION, offset, T0 + at_ms, key, encode_posted(posted), ())


class Crash(DatabaseUnavailable):
    """The process died here."""


@dataclass
class CrashingDatabase:
    """A database whose user dies at one of its commits: `commits_left` go through, the next one does not."""

    inner: Database
    commits_left: int

    @property
    def dialect(self) -> str:
        return self.inner.dialect

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.inner.transaction() as transaction:
            yield transaction
            if self.commits_left == 0:
                raise Crash("dead")
            self.commits_left -= 1

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        async with self.inner.reading() as transaction:
            yield transaction

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None


@dataclass
class Reader:
    """A member that has handed out everything below `position`; the log ends at `end`, or does not answer (None)."""

    position_at: int
    end_at: int | None

    async def position(self, where: TopicPartition) -> int:
        return self.position_at

    async def end_offset(self, where: TopicPartition) -> int:
        if self.end_at is None:
            raise LogUnavailable("cut off")
        return self.end_at


@dataclass
class HeldCarrier:
    """A carrier whose process stands still between having read the outbox and appending."""

    inner: Carrier
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry(self, messages: Sequence[Message]) -> None:
        self.reached.set()
        await self.go_on.wait()
        await self.inner.carry(messages)

    async def close(self) -> None:
        await self.inner.close()


@dataclass(frozen=True)
class Guarded:
    """The partition's database with what works on it."""

    database: Database
    rulebook: RuleBook

    def batches(self, database: Database | None = None) -> Batches:
        """The transactions, over this database or another way to it."""
        return Batches(database or self.database, self.rulebook, partitions=1, settle_ms=5_000)

    async def claim(self, owner: str = "engine") -> Claim:
        """Take the partition over."""
        claimed, _ = await progress.claim(self.database, PARTITION, owner, "log")
        return claimed

    def worker(self, claim: Claim, reader: Reader, now_ms: int) -> PartitionWorker:
        """The partition's loop, with a consumer that says what `reader` says."""
        limits = Limits(records=100, timers=100)
        consumer = cast("Consumer", reader)
        relays = {topic: Relay(self.database, claim, topic, cast("Carrier", None)) for topic in Topic}
        return PartitionWorker(WHERE, claim, self.batches(), consumer, relays, limits, lambda: now_ms, T0)

    def carrier(self, log: Log, topic: Topic, producer: Producer) -> Carrier:
        """What an owner carries a topic's records with, over the log and producer of its own process."""
        nothing = cast("Consumer", None)
        shop = Workshop("engine", log, nothing, producer, self.batches(), Limits(100, 100), lambda: T0)
        return OwnedPartition(WHERE, shop, lambda worker, offset: None).relay_for(Claim(PARTITION, 0), topic).carrier

    async def change_ids(self) -> list[str]:
        """Ids of the kept stage changes, in order of sequence."""
        table = tables.stage_changes.c
        return [row[0] for row in await self._rows(select(table.change_id).order_by(table.sequence))]

    async def stages(self) -> list[str]:
        """Where the customer is."""
        return [row[0] for row in await self._rows(select(tables.stages.c.stage))]

    async def events(self) -> list[str]:
        """Ids in history."""
        return sorted([row[0] for row in await self._rows(select(tables.history.c.event_id))])

    async def outbox(self, topic: Topic) -> list[bytes]:
        """Values that wait for a topic."""
        table = tables.outbox.c
        statement = select(table.value).where(table.topic == topic.value).order_by(table.position)
        return [row[0] for row in await self._rows(statement)]

    async def _rows(self, statement: Select[Any]) -> list[tuple[Any, ...]]:
        async with self.database.reading() as transaction:
            return [tuple(row) for row in await transaction.execute(statement)]


def ids_of(sequences: range) -> list[str]:
    """The ids that stage changes of the customer have."""
    return [change_id(TENANT, CUSTOMER, sequence) for sequence in sequences]


@asynccontextmanager
async def guarded_partition(folder: Path) -> AsyncIterator[Guarded]:
    """An empty partition with the fast lifecycle."""
    url = f"sqlite+aiosqlite:///{folder / 'jornada.db'}"
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(declared().create_all)
    await engine.dispose()
    database = connect(url)
    try:
        definitions = await register(database, (PULSE,), T0)
        yield Guarded(database, RuleBook(definitions, Tenants(database), "BRL"))
    finally:
        await database.close()
