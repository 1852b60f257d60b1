"""One batch is one transaction: lock, tell duplicates apart, load, decide, write, commit.

Whatever a batch decides is written together with how far the partition has come, so that it happens once, however
often records are delivered, processes die or ownership moves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from services.stage_engine.batches.deciding import Decided, States, decide_events, decide_ticks
from services.stage_engine.batches.phases import Phases
from services.stage_engine.batches.reading import Unreadable, read, traceparent_of
from services.stage_engine.batches.sharing import Inseparable, Sharing
from services.stage_engine.batches.turns import Turns
from services.stage_engine.batches.writing import UNHEARD, Outcome, Written, conflicts_among, letters_for, write
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.looking_back import TooMuchPast, check_amount, look_back, suspects, waiting
from services.stage_engine.publications.catching_up import catch_up
from services.stage_engine.publications.versions import activated, renewed
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations, customers, history, progress
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Entry
from services.stage_engine.store.progress import Claim, Progress
from shared.contracts.cloudevent import TENANT_PATTERN
from shared.contracts.dead_letters import DeadLetterReason
from shared.db.port import Database, Transaction
from shared.log.port import Record
from shared.telemetry.metrics import Phase

_OPEN_TRANSACTIONS = 2
_TENANT = re.compile(TENANT_PATTERN, re.ASCII)


@dataclass(slots=True)
class Part:
    """One partition's share of a transaction. `ahead` are records not applied yet; `fresh` events never applied."""

    claim: Claim
    at: Progress
    ahead: Sequence[Record]
    entries: Sequence[Entry] = ()
    unreadable: Sequence[Unreadable] = ()
    fresh: Sequence[Entry] = ()
    conflicts: Sequence[Entry] = ()
    states: States = field(default_factory=lambda: States({}))


@dataclass(slots=True)
class Batches:
    """Handles batches of any partition. Those of several partitions that come at the same time share a transaction:
    what a transaction costs is mostly its round trips, whatever it holds."""

    database: Database
    rulebook: RuleBook
    partitions: int
    settle_ms: int
    turns: Turns = field(default_factory=lambda: Turns(_OPEN_TRANSACTIONS))
    """One transaction is decided while the other is written; more would only hold their locks for longer."""
    _sharing: Sharing = field(init=False)

    def __post_init__(self) -> None:
        self._sharing = Sharing(self._apply, self.turns)

    async def apply(self, claim: Claim, records: Sequence[Record]) -> Written:
        """Apply records of one partition in log order, together with what others bring meanwhile.

        Raises OwnershipLost; DatabaseUnavailable and DatabaseConflict, after which the same call is made again: if the
        commit had gone through after all, the progress row says so and nothing happens twice.
        """
        return await self._sharing.apply(claim, records)

    async def fire(self, claim: Claim, until_ms: int, limit: int) -> Written:
        """Let wake-ups go off that are ripe at the watermark `until_ms`, of at most `limit` customers, or of fewer who have
        long lives. It can wait: whoever calls has a turn for it."""
        try:
            return await self._fire(claim, until_ms, limit)
        except TooMuchPast:
            return await self.fire(claim, until_ms, limit // 2)

    async def _fire(self, claim: Claim, until_ms: int, limit: int) -> Written:
        async with self.database.reading() as transaction:
            due = await customers.ripe_customers(transaction, claim.partition, until_ms, limit)
        if not due:
            return UNHEARD
        await self.rulebook.meet(key.tenant for key in due)
        phases = Phases(len(due))
        async with self.database.transaction() as transaction:
            at = await renewed(transaction, self.rulebook, claim, await progress.lock(transaction, claim))
            phases.end(Phase.HISTORY)
            loaded = await customers.load(transaction, due)
            states = await self._states(transaction, claim, at, loaded)
            anew = waiting(states.current(), until_ms, self.settle_ms)
            await check_amount(transaction, anew)
            states = replace(states, lives=await look_back(transaction, anew))
            phases.end(Phase.LOAD)
            after = replace(at, watermark_ms=max(at.watermark_ms, until_ms))
            decided = decide_ticks(due, until_ms, states, self.rulebook.rules_of(after.versions))
            phases.end(Phase.DECIDE)
            outcome = replace(self._outcome(after, decided, loaded), due=due)
            written = await write(transaction, {claim: outcome})
            phases.end(Phase.WRITE)
        phases.end(Phase.COMMIT)
        return written[claim]

    async def _apply(self, batches: Mapping[Claim, Sequence[Record]], refusal: str | None) -> dict[Claim, Written]:
        """One transaction; partitions that are no longer ours are left out of it and of the answer."""
        await self.rulebook.meet(_tenants(record for records in batches.values() for record in records))
        phases = Phases(sum(map(len, batches.values())))
        async with self.database.transaction() as transaction:
            held = await progress.lock_all(transaction, list(batches))
            parts = [
                Part(claim, at, [record for record in batches[claim] if record.offset >= at.next_offset])
                for claim, at in held.items()
            ]
            for part in parts:
                part.at = await renewed(transaction, self.rulebook, part.claim, part.at)
            await self._sort(transaction, [part for part in parts if part.ahead], refusal)
            phases.end(Phase.HISTORY)
            loaded = await customers.load(transaction, _customers(entry for part in parts for entry in part.fresh))
            for part in parts:
                # Nobody can be behind where nothing was ever published.
                mine = _of(part, loaded) if part.at.activation else loaded
                part.states = await self._states(transaction, part.claim, part.at, mine, len(parts))
                await self._look_back(transaction, part, len(parts))
            phases.end(Phase.LOAD)
            outcomes = {part.claim: self._decide(part, loaded) for part in parts if part.ahead}
            phases.end(Phase.DECIDE)
            refused = [each.entry for outcome in outcomes.values() for each in outcome.decided.refusals]
            _check_that_none_comes_again(refused, parts)
            await history.remove(transaction, refused)
            written = await write(transaction, outcomes)
            phases.end(Phase.WRITE)
        phases.end(Phase.COMMIT)
        return {part.claim: _heard(part, batches[part.claim], written.get(part.claim, UNHEARD)) for part in parts}

    async def activate(self, claim: Claim, record: Record) -> Written:
        """From a control record on, let the partition go by another version. Its customers meet it when they are touched
        next, or by `sweep`. Raises as `apply` does."""
        async with self.turns.taken(), self.database.transaction() as transaction:
            at = await progress.lock(transaction, claim)
            if record.offset < at.next_offset:
                return UNHEARD
            at = _further(await renewed(transaction, self.rulebook, claim, at), [record])
            after = await activated(transaction, self.rulebook, claim, at, record)
            await transaction.write_all([progress.save(claim, after)])
        return Written()

    async def sweep(self, claim: Claim, limit: int) -> Written | None:
        """Let at most `limit` customers meet what was published, or fewer who have long lives; None when all have. It can
        wait: whoever calls has a turn for it."""
        try:
            return await self._sweep(claim, limit)
        except TooMuchPast:
            return await self.sweep(claim, limit // 2)

    async def _sweep(self, claim: Claim, limit: int) -> Written | None:
        async with self.database.transaction() as transaction:
            at = await renewed(transaction, self.rulebook, claim, await progress.lock(transaction, claim))
            behind = [
                CustomerKey(*key)
                for key in await activations.behind(transaction, claim.partition, at.activation, limit)
            ]
            if not behind:
                return None
            loaded = await customers.load(transaction, behind)
            states = await self._states(transaction, claim, at, loaded)
            outcome = replace(self._outcome(at, states.caught_up(), loaded), due=behind)
            written = await write(transaction, {claim: outcome})
        return written[claim]

    async def _states(
        self,
        transaction: Transaction,
        claim: Claim,
        at: Progress,
        loaded: dict[CustomerKey, CustomerState],
        shares: int = 1,
    ) -> States:
        """What a partition's share is decided from; customers who have not met a publication do so first."""
        if not at.activation:
            return States(loaded, settle_ms=self.settle_ms)
        await self.rulebook.meet({key.tenant for key in loaded})
        caught = await catch_up(transaction, self.rulebook, (claim.partition, at), loaded, self.settle_ms, shares)
        return States(loaded, caught, at.activation, self.settle_ms)

    async def _look_back(self, transaction: Transaction, part: Part, shares: int) -> None:
        """Read what is needed of the lives of those who are decided anew."""
        found = suspects(part.states.current(), part.fresh, self.settle_ms)
        if found.due or found.aside:
            await check_amount(transaction, found.due, shares)
            lives = await look_back(transaction, found.due, found.aside, part.at.activation)
            part.states = replace(part.states, lives=lives)

    async def _sort(self, transaction: Transaction, parts: Sequence[Part], refusal: str | None) -> None:
        """Tell events from what can't be read, and new ones from duplicates."""
        for part in parts:
            self._read(part, refusal)
        entries = [entry for part in parts for entry in part.entries]
        new = await history.add(transaction, entries)
        duplicates = [entry for entry in entries if (entry.partition, entry.offset) not in new]
        conflicts = await conflicts_among(transaction, duplicates) if duplicates else []
        for part in parts:
            part.fresh = [entry for entry in part.entries if (entry.partition, entry.offset) in new]
            part.conflicts = [entry for entry in conflicts if entry.partition == part.claim.partition]

    def _read(self, part: Part, refusal: str | None) -> None:
        if refusal is not None:
            reason = DeadLetterReason.UNAPPLICABLE
            part.unreadable = [Unreadable(record, reason, refusal) for record in part.ahead]
            return
        arrivals = accumulate((record.arrival_ms for record in part.ahead), max, initial=part.at.arrival_ms)
        next(arrivals)
        found = [read(record, arrival, self.partitions) for record, arrival in zip(part.ahead, arrivals, strict=True)]
        part.entries = [each for each in found if isinstance(each, Entry)]
        part.unreadable = [each for each in found if isinstance(each, Unreadable)]

    def _decide(self, part: Part, loaded: dict[CustomerKey, CustomerState]) -> Outcome:
        after = _further(part.at, part.ahead)
        traces = {record.offset: traceparent_of(record) for record in part.ahead}
        decided = decide_events(part.fresh, traces, part.states, self.rulebook.rules_of(after.versions))
        letters = letters_for(part.ahead, part.unreadable, decided.refusals, part.conflicts)
        due = list(part.states.catching_up)
        return replace(self._outcome(after, decided, loaded), letters=letters, due=due)

    def _outcome(self, after: Progress, decided: Decided, loaded: dict[CustomerKey, CustomerState]) -> Outcome:
        rules_of = self.rulebook.rules_of(after.versions)
        return Outcome(after, decided, loaded, rules_of, self.settle_ms)


def _check_that_none_comes_again(refused: Sequence[Entry], parts: Iterable[Part]) -> None:
    """Raises Inseparable when the same records hold another event under the id of a refused one. The second is no
    duplicate then, but that shows only after the first is out of history."""
    if not refused:
        return
    times = Counter(_identity(entry) for part in parts for entry in part.entries)
    again = next((entry for entry in refused if times[_identity(entry)] > 1), None)
    if again is not None:
        raise Inseparable(f"{again.event.id!r} of {again.event.customer_id!r} was refused, and comes again")


def _identity(entry: Entry) -> tuple[str, str, str]:
    return entry.event.tenant, entry.event.customer_id, entry.event.id


def _heard(part: Part, records: Sequence[Record], written: Written) -> Written:
    """What was written; where some records turn out to have been applied before, nobody was told of that yet."""
    return written if len(part.ahead) == len(records) else written.then(UNHEARD)


def _tenants(records: Iterable[Record]) -> set[str]:
    """The tenants that the keys name; a key that names none is told later, when the record is read."""
    heads = {record.key.partition(b":")[0].decode(errors="replace") for record in records if record.key}
    return {head for head in heads if _TENANT.fullmatch(head)}


def _of(part: Part, loaded: dict[CustomerKey, CustomerState]) -> dict[CustomerKey, CustomerState]:
    """The loaded states of a part's customers."""
    return {key: loaded[key] for key in _customers(part.fresh) if key in loaded}


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
