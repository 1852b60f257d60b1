"""The engine's way of a batch, without a database: read, tell duplicates apart, decide, write. What `batch` does between
transactions stands here in a few lines; everything that it calls is the real thing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, cast

from sqlalchemy import Table

from services.stage_engine.batches.deciding import Decided, States, decide_events, decide_ticks
from services.stage_engine.batches.reading import Unreadable, read, traceparent_of
from services.stage_engine.batches.writing import Outcome, conflicts_among, letters_for, ripe_ms, write
from services.stage_engine.domain.decision import EvaluationError
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.publishing import snapshot
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.dead_letters import DeadLetter
from services.stage_engine.store.history import Entry
from services.stage_engine.store.progress import Claim, Progress
from shared.db.port import Row, Transaction, Write
from shared.log.port import Record
from tests.properties.hostile_records import PARTITIONS

SETTLE_MS = 60_000
EventKey = tuple[str, str, str]


@dataclass
class Kept:
    """A transaction that keeps in memory what is written, and knows the bytes of the events applied."""

    history: dict[EventKey, bytes] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    async def select_many(
        self, table: Table, key: Sequence[str], keys: Sequence[Row], columns: Sequence[str]
    ) -> list[Row]:
        """The stored bytes under these ids."""
        return [(*each, self.history[each]) for each in keys if each in self.history]

    async def write_all(self, writes: Sequence[Write]) -> None:
        """Keep rows by table."""
        for each in writes:
            self.rows.setdefault(each.table.name, []).extend(each.rows)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Nothing waits for it."""


@dataclass
class Lone:
    """One partition and all that became of its records. `fates` says of each offset what it was: applied, duplicate, or
    the reason of its dead letter."""

    rules: Rules
    kept: Kept = field(default_factory=Kept)
    states: dict[CustomerKey, CustomerState] = field(default_factory=dict)
    fates: dict[int, list[str]] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    errors: list[tuple[CustomerKey, EvaluationError]] = field(default_factory=list)
    at: Progress = field(default_factory=lambda: Progress(0, 0, 0, 0, {}, "log"))

    def handle(self, records: Sequence[Record], arrivals: Sequence[int]) -> None:
        """One batch."""
        found = [read(record, arrival, PARTITIONS) for record, arrival in zip(records, arrivals, strict=True)]
        unreadable = [each for each in found if isinstance(each, Unreadable)]
        fresh, duplicates = self._sorted(each for each in found if isinstance(each, Entry))
        conflicts = ended(conflicts_among(self._transaction, duplicates))
        traces = {record.offset: traceparent_of(record) for record in records}
        decided = decide_events(fresh, traces, States(self.states), self._rules_of)
        letters = letters_for(records, unreadable, decided.refusals, conflicts)
        for refusal in decided.refusals:
            del self.kept.history[_key(refusal.entry)]
        self._note({entry.offset for entry in fresh} - {letter.offset for letter in letters}, "applied")
        self._note({entry.offset for entry in duplicates} - {entry.offset for entry in conflicts}, "duplicate")
        for letter in letters:
            self._note([letter.offset], letter.reason)
        self._write(decided, letters, records[-1].offset + 1)

    def tick(self, until_ms: int) -> None:
        """Time goes by; those go off whose timers are ripe."""
        ripe = {key: ripe_ms(self.rules, state, SETTLE_MS) for key, state in self.states.items()}
        due = [key for key, moment in ripe.items() if moment is not None and moment <= until_ms]
        self._write(decide_ticks(due, until_ms, States(self.states), self._rules_of), [], self.at.next_offset, due)

    def _sorted(self, entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Those that are new, and duplicates."""
        fresh: list[Entry] = []
        duplicates: list[Entry] = []
        for entry in entries:
            is_new = _key(entry) not in self.kept.history
            (fresh if is_new else duplicates).append(entry)
            self.kept.history.setdefault(_key(entry), entry.body)
        return fresh, duplicates

    def _note(self, offsets: Iterable[int], fate: str) -> None:
        for offset in offsets:
            self.fates.setdefault(offset, []).append(fate)

    def _write(
        self, decided: Decided, letters: list[DeadLetter], next_offset: int, due: Sequence[CustomerKey] = ()
    ) -> None:
        after = Progress(next_offset, 0, 0, self.at.outbox_position, {}, "log")
        for customer, state in decided.states.items():
            before = self.states.get(customer)
            seen = before is not None and snapshot(before) == snapshot(state)
            assert seen or customer in decided.updated, f"{customer} was never published as they are"
        outcome = Outcome(after, decided, dict(self.states), self._rules_of, SETTLE_MS, letters, due)
        written = ended(write(self._transaction, {Claim(0, 1): outcome}))
        self.states |= decided.states
        self.letters += letters
        self.errors += decided.errors
        outgoing = written[Claim(0, 1)].outgoing
        self.at = Progress(next_offset, 0, 0, after.outbox_position + len(outgoing), {}, "log")

    @property
    def _transaction(self) -> Transaction:
        return cast(Transaction, self.kept)

    def _rules_of(self, tenant: str) -> Rules:
        return self.rules


def arrivals_of(records: Sequence[Record]) -> list[int]:
    """The greatest arrival so far, for each record, as the engine takes it."""
    return list(accumulate((record.arrival_ms for record in records), max))


def ended(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits for something")


def _key(entry: Entry) -> EventKey:
    return entry.event.tenant, entry.event.customer_id, entry.event.id
