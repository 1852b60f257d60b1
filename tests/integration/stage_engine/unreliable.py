"""A database that goes away at chosen moments: around the transactions that write a batch, or after their commit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from services.stage_engine.batches import batch
from services.stage_engine.batches.writing import Outcome, Written, write
from services.stage_engine.store.progress import Claim
from shared.db.port import Database, DatabaseUnavailable, Transaction
from shared.service import Resources


@dataclass
class UnreliableDatabase:
    """Works like the one it wraps, but for the failures that are asked for. They concern batch transactions only."""

    real: Database
    failures_before_commit: int = 0
    failures_after_commit: int = 0
    """The commit goes through, and then the answer is lost: the caller can't know."""
    batches: int = 0
    """Batch transactions that were begun and had written all they had to write."""
    _written: set[int] = field(default_factory=set)

    @property
    def dialect(self) -> str:
        return self.real.dialect

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.real.transaction() as transaction:
            yield transaction
            of_batch = id(transaction) in self._written
            if of_batch and self.failures_before_commit:
                self.failures_before_commit -= 1
                raise DatabaseUnavailable("the connection was lost before the commit")
        self._written.discard(id(transaction))
        if of_batch and self.failures_after_commit:
            self.failures_after_commit -= 1
            raise DatabaseUnavailable("the connection was lost while committing")

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        return self.real.reading()

    async def ping(self) -> None:
        await self.real.ping()

    async def close(self) -> None:
        """The real one is closed by whoever opened it."""

    def wrote(self, transaction: Transaction) -> None:
        """Note that a batch has written its outcome in this transaction."""
        self.batches += 1
        self._written.add(id(transaction))


def with_unreliable_database(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> tuple[Resources, UnreliableDatabase]:
    """The same resources over a database that can fail. The log is not touched."""
    database = UnreliableDatabase(resources.database)

    async def noted_write(transaction: Transaction, outcomes: Mapping[Claim, Outcome]) -> dict[Claim, Written]:
        written = await write(transaction, outcomes)
        database.wrote(transaction)
        return written

    monkeypatch.setattr(batch, "write", noted_write)
    return replace(resources, database=database), database
