"""One batch of a partition is one transaction: lock, tell duplicates apart, load, decide, write, commit.

Whatever a batch decides is written together with how far the partition has come, so that it happens once, however
often records are delivered, processes die or ownership moves.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

import structlog

from services.stage_engine.deciding import Decided, decide_events, decide_ticks
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.phases import Phases
from services.stage_engine.reading import Unreadable, read, traceparent_of
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import customers, history, progress
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Entry
from services.stage_engine.store.progress import Claim, Progress
from services.stage_engine.writing import UNHEARD, Outcome, Written, conflicts_among, letters_for, write
from shared.contracts.cloudevent import TENANT_PATTERN
from shared.contracts.dead_letters import DeadLetterReason
from shared.db.port import Database, DatabaseRefused, Transaction
from shared.log.port import Record
from shared.telemetry.metrics import Phase

_OPEN_TRANSACTIONS = 4
_log = structlog.get_logger(__name__)
_TENANT = re.compile(TENANT_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class Sorted:
    """A batch's records by what they are; `fresh` are events that were never applied."""

    fresh: Sequence[Entry]
    conflicts: Sequence[Entry]
    unreadable: Sequence[Unreadable]


@dataclass(frozen=True, slots=True)
class Batches:
    """Handles batches of any partition; keeps nothing between them."""

    database: Database
    rulebook: RuleBook
    partitions: int
    settle_ms: int
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_OPEN_TRANSACTIONS))
    """Deciding takes turns on one core anyhow; more open transactions would only hold their locks for longer."""

    async def apply(self, claim: Claim, records: Sequence[Record]) -> Written:
        """Apply records in log order.

        Raises OwnershipLost; DatabaseUnavailable and DatabaseConflict, after which the same call is made again: if the
        commit had gone through after all, the progress row says so and nothing happens twice.
        """
        try:
            return await self._apply(claim, records, refusal=None)
        except DatabaseRefused as error:
            if len(records) == 1:
                _log.error(
                    "record can't be stored", partition=claim.partition, offset=records[0].offset, why=str(error)
                )
                return await self._apply(claim, records, refusal=str(error))
        # Some record can't be stored, ever: halve until it is alone, so that all others are applied.
        middle = len(records) // 2
        first = await self.apply(claim, records[:middle])
        return first.then(await self.apply(claim, records[middle:]))

    async def fire(self, claim: Claim, until_ms: int, limit: int) -> Written:
        """Let wake-ups go off that are ripe at the watermark `until_ms`, at most `limit` customers."""
        async with self.database.reading() as transaction:
            due = await customers.ripe_customers(transaction, claim.partition, until_ms, limit)
        if not due:
            return UNHEARD
        await self.rulebook.meet(key.tenant for key in due)
        phases = Phases(len(due))
        async with self.turns, self.database.transaction() as transaction:
            at = await progress.lock(transaction, claim)
            phases.end(Phase.HISTORY)
            loaded = await customers.load(transaction, due)
            phases.end(Phase.LOAD)
            versions = self.rulebook.active(at.versions)
            decided = decide_ticks(due, until_ms, loaded, self.rulebook.rules_of(versions))
            phases.end(Phase.DECIDE)
            after = replace(at, versions=versions, watermark_ms=max(at.watermark_ms, until_ms))
            written = await write(transaction, claim, replace(self._outcome(after, decided, loaded), due=due))
            phases.end(Phase.WRITE)
        phases.end(Phase.COMMIT)
        return written

    async def _apply(self, claim: Claim, records: Sequence[Record], refusal: str | None) -> Written:
        await self.rulebook.meet(_tenants(records))
        phases = Phases(len(records))
        async with self.turns, self.database.transaction() as transaction:
            at = await progress.lock(transaction, claim)
            ahead = [record for record in records if record.offset >= at.next_offset]
            if not ahead:
                return UNHEARD
            batch = await self._sort(transaction, at, ahead, refusal)
            phases.end(Phase.HISTORY)
            loaded = await customers.load(transaction, _customers(batch.fresh))
            phases.end(Phase.LOAD)
            after = _further(replace(at, versions=self.rulebook.active(at.versions)), ahead)
            traces = {record.offset: traceparent_of(record) for record in ahead}
            decided = decide_events(batch.fresh, traces, loaded, self.rulebook.rules_of(after.versions))
            phases.end(Phase.DECIDE)
            await history.remove(transaction, [each.entry for each in decided.refusals])
            letters = letters_for(ahead, batch.unreadable, decided.refusals, batch.conflicts)
            outcome = replace(self._outcome(after, decided, loaded), letters=letters)
            written = await write(transaction, claim, outcome)
            phases.end(Phase.WRITE)
        phases.end(Phase.COMMIT)
        return written if len(ahead) == len(records) else written.then(UNHEARD)

    async def _sort(
        self, transaction: Transaction, at: Progress, records: Sequence[Record], refusal: str | None
    ) -> Sorted:
        if refusal is not None:
            return Sorted((), (), [Unreadable(each, DeadLetterReason.UNAPPLICABLE, refusal) for each in records])
        arrivals = accumulate((record.arrival_ms for record in records), max, initial=at.arrival_ms)
        next(arrivals)
        read_ones = [read(record, arrival, self.partitions) for record, arrival in zip(records, arrivals, strict=True)]
        entries = [each for each in read_ones if isinstance(each, Entry)]
        new = await history.add(transaction, entries)
        return Sorted(
            fresh=[entry for entry in entries if entry.offset in new],
            conflicts=await conflicts_among(transaction, [entry for entry in entries if entry.offset not in new]),
            unreadable=[each for each in read_ones if isinstance(each, Unreadable)],
        )

    def _outcome(self, after: Progress, decided: Decided, loaded: dict[CustomerKey, CustomerState]) -> Outcome:
        rules_of = self.rulebook.rules_of(after.versions)
        return Outcome(after, decided, loaded, rules_of, self.settle_ms)


def _tenants(records: Iterable[Record]) -> set[str]:
    """The tenants that the keys name; a key that names none is told later, when the record is read."""
    heads = {record.key.partition(b":")[0].decode(errors="replace") for record in records if record.key}
    return {head for head in heads if _TENANT.fullmatch(head)}


def _customers(entries: Iterable[Entry]) -> set[CustomerKey]:
    return {CustomerKey(entry.event.tenant, entry.event.customer_id) for entry in entries}


def _further(at: Progress, records: Sequence[Record]) -> Progress:
    """The progress after these records: the watermark reaches the arrival of the last of them."""
    arrival = max(at.arrival_ms, max(record.arrival_ms for record in records))
    return replace(
        at,
        next_offset=records[-1].offset + 1,
        arrival_ms=arrival,
        watermark_ms=max(at.watermark_ms, arrival),
    )
