"""Writes what a batch came to: states, stages, timers, stage changes, outbox, dead letters and progress, set-based."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from services.stage_engine.batches.deciding import Decided, Refusal
from services.stage_engine.batches.reading import Unreadable
from services.stage_engine.domain.advance import first_ripe_ms
from services.stage_engine.domain.lifecycle import Rules, RulesOf
from services.stage_engine.domain.publishing import publish_change, publish_customer
from services.stage_engine.domain.state import CustomerState, LifecycleState
from services.stage_engine.store import customers, dead_letters, history, moves, outbox, progress
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.dead_letters import DeadLetter
from services.stage_engine.store.history import Entry
from services.stage_engine.store.outbox import Outgoing, Waiting
from services.stage_engine.store.progress import Claim, Progress
from shared.contracts.cloudevent import Produced, decode, encode_produced, record_key
from shared.contracts.dead_letters import DEAD_LETTER_TYPE, EXCERPT_BYTES, DeadLettered, DeadLetterReason
from shared.contracts.stage_changed import STAGE_ENGINE_SOURCE
from shared.contracts.topics import Topic
from shared.db.port import Action, Row, Transaction, Write
from shared.log.port import Record
from shared.telemetry import metrics

_LONGEST_SHOWN = 1_000
"""Characters of a detail, an id or a key in a dead letter; its bytes are kept whole."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be written: the progress reached, the decisions, and what was loaded before them."""

    after: Progress
    decided: Decided
    loaded: Mapping[CustomerKey, CustomerState]
    rules_of: RulesOf
    settle_ms: int
    letters: Sequence[DeadLetter] = ()
    due: Sequence[CustomerKey] = ()
    """Customers whose timer has brought them here: it is written anew in any case."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the partition's other loops need to know: the records put into the outbox, in order of position, and the
    earliest timer armed. `unheard`: something was committed, but the answer got lost on the way."""

    outgoing: Sequence[tuple[Topic, Waiting]] = ()
    ripe_ms: int | None = None
    unheard: bool = False

    def then(self, other: Written) -> Written:
        """Both together."""
        ripe = [each for each in (self.ripe_ms, other.ripe_ms) if each is not None]
        outgoing = (*self.outgoing, *other.outgoing)
        return Written(outgoing, min(ripe, default=None), self.unheard or other.unheard)


UNHEARD = Written(ripe_ms=0, unheard=True)
"""Look at every topic and at the timers."""


async def write(transaction: Transaction, outcomes: Mapping[Claim, Outcome]) -> dict[Claim, Written]:
    """Write all of it, with the progress reached. Part of the transaction that locked these partitions."""
    together: dict[tuple[Action, str], Write] = {}
    written = {}
    for claim, outcome in outcomes.items():
        writes, written[claim] = _writes(claim, outcome)
        for each in writes:
            before = together.get((each.action, each.table.name))
            rows = [*before.rows, *each.rows] if before else each.rows
            together[each.action, each.table.name] = each._replace(rows=rows)
    await transaction.write_all(list(together.values()))
    transaction.after_commit(lambda: _count(outcomes.values()))
    return written


def _writes(claim: Claim, outcome: Outcome) -> tuple[Sequence[Write], Written]:
    decided, partition = outcome.decided, claim.partition
    outgoing, kept = _outgoing(outcome)
    ripe = _changed_timers(outcome)
    before = outcome.after.outbox_position
    after = replace(outcome.after, outbox_position=before + len(outgoing))
    writes = (
        customers.states_write(partition, decided.states),
        customers.stages_write(_stage_rows(outcome)),
        *customers.timers_writes(partition, ripe),
        customers.stage_changes_write(kept),
        customers.errors_write(decided.errors),
        moves.add(decided.moved),
        dead_letters.add(outcome.letters),
        outbox.add(partition, before, outgoing),
        progress.save(claim, after),
    )
    armed = [ripe_ms for ripe_ms in ripe.values() if ripe_ms is not None]
    waiting = [
        (each.topic, Waiting(position, each.key, each.value, each.traceparent))
        for position, each in enumerate(outgoing, start=before + 1)
    ]
    return writes, Written(waiting, min(armed, default=None))


async def conflicts_among(transaction: Transaction, duplicates: Sequence[Entry]) -> list[Entry]:
    """Those duplicates whose payload differs from what was applied under their id."""
    stored = await history.bodies(transaction, duplicates)
    return [entry for entry in duplicates if _differs(entry, stored)]


def _differs(entry: Entry, stored: Mapping[tuple[str, str, str], bytes]) -> bool:
    event = entry.event
    body = stored.get((event.tenant, event.customer_id, event.id))
    if body is None or body == entry.body:
        return False
    before, now = decode(body), decode(entry.body)
    # A time that ingest made up differs with every retry; it says nothing about what the sender meant.
    times_differ = before.time != now.time and not (before.servertime or now.servertime)
    return (before.type, before.data) != (now.type, now.data) or times_differ


def letters_for(
    records: Sequence[Record],
    unreadable: Iterable[Unreadable],
    refusals: Iterable[Refusal],
    conflicts: Iterable[Entry],
) -> list[DeadLetter]:
    """Dead letters for all that could not be applied."""
    by_offset = {record.offset: record for record in records}
    letters = [_letter(each.record, each.reason, each.detail, (each.tenant, each.customer_id)) for each in unreadable]
    for refusal in refusals:
        letters.append(_letter_of(refusal.entry, by_offset, refusal.reason, refusal.detail))
    for entry in conflicts:
        detail = f"the id {entry.event.id!r} was already applied with another payload; send the change under a new id"
        letters.append(_letter_of(entry, by_offset, DeadLetterReason.ID_CONFLICT, detail))
    return letters


def _letter_of(entry: Entry, by_offset: Mapping[int, Record], reason: DeadLetterReason, detail: str) -> DeadLetter:
    return _letter(by_offset[entry.offset], reason, detail, (entry.event.tenant, entry.event.customer_id))


def _letter(record: Record, reason: DeadLetterReason, detail: str, whose: tuple[str | None, str | None]) -> DeadLetter:
    return DeadLetter(
        dead_letter_id=f"{record.partition}-{record.offset}",
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        detail=_shown(detail),
        tenant=_shown(whose[0]) if whose[0] else None,
        customer_id=_shown(whose[1]) if whose[1] else None,
        key=record.key,
        value=record.value,
        arrival_ms=record.arrival_ms,
    )


def _shown(text: str) -> str:
    """A producer's text as a terminal and a database can take it: cut short, what can't be printed written as `\\n`."""
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return cut if cut.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)


def _outgoing(outcome: Outcome) -> tuple[list[Outgoing], list[Row]]:
    """Records for the topics, and the stage changes as they are kept."""
    outgoing, kept = [], []
    for each in outcome.decided.changes:
        customer, change = each.customer, each.change
        published = publish_change(change, *customer, outcome.rules_of(customer.tenant).currency)
        kept.append((*customer, change.sequence, published.change_id, change.effective_ms, published.kept))
        outgoing.append(Outgoing(Topic.STAGE_CHANGED, record_key(*customer), published.record, each.traceparent))
    outgoing += _updates(outcome)
    outgoing += [_told(letter) for letter in outcome.letters]
    return outgoing, kept


def _updates(outcome: Outcome) -> Iterator[Outgoing]:
    for customer, traceparent in outcome.decided.updated.items():
        state = outcome.decided.states[customer]
        at_ms = max(current.clock_ms for current in state.lifecycles.values())
        record = publish_customer(state, *customer, at_ms)
        yield Outgoing(Topic.CUSTOMER_UPDATED, record_key(*customer), record, traceparent)


def _told(letter: DeadLetter) -> Outgoing:
    data = DeadLettered(
        dead_letter_id=letter.dead_letter_id,
        reason=letter.reason,
        detail=letter.detail,
        topic=Topic.EVENTS,
        partition=letter.partition,
        offset=letter.offset,
        key=(letter.key or b"")[:_LONGEST_SHOWN].decode(errors="replace"),
        excerpt=base64.b64encode((letter.value or b"")[:EXCERPT_BYTES]).decode(),
    )
    produced = Produced(
        id=letter.dead_letter_id,
        source=STAGE_ENGINE_SOURCE,
        type=DEAD_LETTER_TYPE,
        tenant=letter.tenant or "",
        customer_id=letter.customer_id or "",
        time_ms=letter.arrival_ms,
        data=data,
    )
    return Outgoing(Topic.DEAD_LETTERS, (letter.key or b"")[:_LONGEST_SHOWN], encode_produced(produced), None)


def _stage_rows(outcome: Outcome) -> list[Row]:
    """Stages that differ from those before, which is what is stored: also of somebody who was decided anew and is, by no
    stage change, in the same one since another time."""
    rows = []
    for customer, state in outcome.decided.states.items():
        before = outcome.loaded.get(customer)
        for lifecycle, current in state.lifecycles.items():
            place = _place(current)
            known = before.lifecycles.get(lifecycle) if before else None
            if known is None or _place(known) != place:
                rows.append((*customer, lifecycle, *place))
    return rows


def _place(current: LifecycleState) -> tuple[str, int, int]:
    return current.stage, current.entered_ms, current.entries[current.stage]


def _changed_timers(outcome: Outcome) -> dict[CustomerKey, int | None]:
    """Timers that differ from those of the states before, which is what is stored."""
    changed: dict[CustomerKey, int | None] = dict.fromkeys(outcome.due)
    for customer, state in outcome.decided.states.items():
        rules, before = outcome.rules_of(customer.tenant), outcome.loaded.get(customer)
        ripe = ripe_ms(rules, state, outcome.settle_ms)
        if customer in changed or ripe != (ripe_ms(rules, before, outcome.settle_ms) if before else None):
            changed[customer] = ripe
    return changed


def ripe_ms(rules: Rules, state: CustomerState, settle_ms: int) -> int | None:
    """When a customer's first wake-up may go off without an event: due time plus lateness, and not while an import of
    this customer is still coming in (until `settle_ms` after its last record, in log time). Then it is also that a
    customer is decided anew whose import reached behind what had been decided."""
    if state.behind:
        return state.imported_until_ms + settle_ms
    first = first_ripe_ms(rules, state)
    if first is None or not state.imported_until_ms:
        return first
    return max(first, state.imported_until_ms + settle_ms)


def _count(outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        for each in outcome.decided.changes:
            metrics.STAGE_CHANGES.labels(each.change.lifecycle.name, each.change.to).inc()
        for letter in outcome.letters:
            metrics.DEAD_LETTERS.labels(letter.reason.value).inc()
        for _, error in outcome.decided.errors:
            metrics.EVALUATION_ERRORS.labels(error.lifecycle).inc()
