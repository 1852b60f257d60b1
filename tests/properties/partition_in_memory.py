"""One partition over a database in memory: the engine's own batches, ticks, sweeps, activations and trimming, without a
log, a process or a file. Nothing in it ever waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, CursorResult, Executable, StaticPool, Table, create_engine, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.stage_engine.batches.batch import Batches
from services.stage_engine.batches.writing import ripe_ms
from services.stage_engine.domain.event import Lived
from services.stage_engine.domain.state import CustomerState, decode_state
from services.stage_engine.looking_back import histories
from services.stage_engine.publications.control import is_control
from services.stage_engine.rebuilding import Difference, Rebuild
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations, progress, tables
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.progress import Claim
from services.stage_engine.trimming import trim_step
from shared.contracts.cloudevent import decode, record_key
from shared.contracts.customer_updated import read_customer_updated
from shared.contracts.stage_changed import CustomerSnapshot
from shared.contracts.topics import Topic
from shared.db.metadata import metadata
from shared.db.port import Database, Transaction
from shared.db.sqlite import SqliteTransaction
from shared.log.port import Record

SETTLE_MS = 7 * 60_000
_T = TypeVar("_T")


@cache
def _connection() -> Connection:
    connection = create_engine("sqlite://", poolclass=StaticPool).connect()
    metadata.create_all(connection, [each for each in metadata.sorted_tables if each.name.startswith("engine_")])
    connection.commit()
    return connection


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@dataclass(frozen=True)
class _Answering:
    """A connection that answers at once to whoever would wait for it."""

    connection: Connection

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        return self.connection.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[Any]:
        return self.connection.exec_driver_sql(statement, parameters)


@dataclass(frozen=True)
class _InMemory:
    """The database of one partition's life. What is written is forgotten with it."""

    connection: Connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self.connection.exec_driver_sql("SAVEPOINT began")
        try:
            yield SqliteTransaction(cast(AsyncConnection, _Answering(self.connection)))
        except BaseException:
            self.connection.exec_driver_sql("ROLLBACK TO began")
            raise
        finally:
            self.connection.exec_driver_sql("RELEASE began")

    reading = transaction


@contextmanager
def in_memory() -> Iterator[Database]:
    """A database that is empty, and is so again afterwards: one at a time."""
    connection = _connection()
    connection.exec_driver_sql("BEGIN")
    try:
        yield cast(Database, _InMemory(connection))
    finally:
        connection.rollback()


@dataclass
class Partition:
    """One partition that the engine's batches work on."""

    database: Database
    rulebook: RuleBook
    claim: Claim = field(init=False)
    batches: Batches = field(init=False)
    _snapshots: dict[bytes, CustomerSnapshot] = field(default_factory=dict)
    _heard: int = 0

    def __post_init__(self) -> None:
        self.claim, _ = _now(progress.claim(self.database, 0, "a test", "log"))
        self.batches = Batches(self.database, self.rulebook, 1, SETTLE_MS)

    def take(self, records: Sequence[Record]) -> None:
        """Records as a partition's worker hands them over: some events, or a control record by itself."""
        if is_control(records[0]):
            assert len(records) == 1
            _now(self.batches.activate(self.claim, records[0]))
        else:
            _now(self.batches.apply(self.claim, records))

    def sweep(self, limit: int) -> None:
        """Some of those who have not met what was published do so."""
        _now(self.batches.sweep(self.claim, limit))

    def pass_time(self, until_ms: int) -> None:
        """The watermark has come to `until_ms`."""
        _now(self.batches.fire(self.claim, until_ms, 100))

    def trim(self, horizon_ms: int) -> None:
        """Fold and delete what arrived before the horizon."""
        while _now(trim_step(self.batches, self.claim, horizon_ms)):
            pass

    def states(self) -> dict[CustomerKey, CustomerState]:
        """Everybody's, as stored."""
        table = tables.customers.c
        return {
            CustomerKey(*key): decode_state(stored)
            for *key, stored in self._rows(select(table.tenant, table.customer_id, table.state))
        }

    def bases(self) -> dict[CustomerKey, CustomerState]:
        """Where kept history begins for those of whom some was trimmed."""
        table = tables.bases.c
        return {
            CustomerKey(*key): decode_state(stored)
            for *key, stored in self._rows(select(table.tenant, table.customer_id, table.state))
        }

    def history(self, customer: CustomerKey) -> Sequence[Lived]:
        """What is kept of a customer's life."""
        return self._reading(lambda transaction: histories(transaction, [customer])).get(customer, [])

    def changes(self, customer: CustomerKey) -> list[tuple[str, bytes]]:
        """A customer's stage changes in order, each as its id and as it is kept."""
        table = tables.stage_changes.c
        kept = select(table.change_id, table.data).where(table.customer_id == customer.customer_id)
        return [(str(change_id), bytes(data)) for change_id, data in self._rows(kept.order_by(table.sequence))]

    def activations(self) -> Sequence[Stored]:
        """From which offset on which versions have held."""
        return self._reading(lambda transaction: activations.of_partition(transaction, 0, 0))

    def snapshots(self) -> dict[CustomerKey, CustomerSnapshot | None]:
        """What everybody was last told of each customer."""
        table = tables.outbox.c
        news = select(table.position, table.topic, table.key, table.value).where(table.position > self._heard)
        for position, topic, key, value in self._rows(news.order_by(table.position)):
            self._heard = position
            if topic == Topic.CUSTOMER_UPDATED:
                self._snapshots[key] = read_customer_updated(decode(value)).customer
        return {customer: self._snapshots.get(record_key(*customer)) for customer in self.states()}

    def timers(self) -> dict[CustomerKey, int]:
        """When the first wake-up of each customer is ripe."""
        return {CustomerKey(*key): ripe for *key, _, ripe in self.all_of(tables.timers)}

    def due(self) -> dict[CustomerKey, int | None]:
        """The same, None without one, as it follows from the states of those who have met everything."""
        rules = {each.number: self.rulebook.rules_of(each.versions)("") for each in self.activations()}
        newest = max(rules)
        met = {customer: state for customer, state in self.states().items() if state.activation == newest}
        return {customer: ripe_ms(rules[newest], state, SETTLE_MS) for customer, state in met.items()}

    def all_of(self, table: Table) -> list[tuple[Any, ...]]:
        """A table's rows by its key."""
        return self._rows(select(table).order_by(*table.primary_key.columns))

    def differences(self) -> list[Difference]:
        """What `jornada rebuild` finds."""
        return _now(self._differences())

    async def _differences(self) -> list[Difference]:
        pages = Rebuild(self.database, self.rulebook, SETTLE_MS).pages()
        return [each async for page in pages for each in page.differences]

    def _rows(self, statement: Any) -> list[tuple[Any, ...]]:
        async def read(transaction: Transaction) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await transaction.execute(statement)]

        return self._reading(read)

    def _reading(self, read: Callable[[Transaction], Coroutine[Any, Any, _T]]) -> _T:
        async def reading() -> _T:
            async with self.database.reading() as transaction:
                return await read(transaction)

        return _now(reading())


def _now(coroutine: Coroutine[Any, Any, _T]) -> _T:
    return _loop().run_until_complete(coroutine)
