"""What of the past a transaction needs: whole lives of customers who are decided anew, and whether that can be done.

Most batches need nothing of it. Only an import that reaches behind what was decided for its customer does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.stage_engine.domain.advance import NEW_CUSTOMER
from services.stage_engine.domain.by_hand import MANUAL_MOVE
from services.stage_engine.domain.event import Event, Lived, Origin
from services.stage_engine.domain.recomputing import is_due
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store import bases, history, moves
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Entry, Past
from shared.contracts.cloudevent import BACKFILL, decode
from shared.db.port import Transaction
from shared.errors import Permanent

LONGEST_LIFE = 20_000
"""Events of a customer who can still be decided anew: a second of work, while the partition waits."""
_MOST_AT_ONCE = LONGEST_LIFE
"""Events of all customers together whom one transaction lets live again."""
_ALWAYS = 1 << 62


class TooMuchPast(Permanent):
    """Several lives are more than one transaction can live again before its server loses patience; fewer may not be."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing can be added to a customer's history before `before_ms`, and why."""

    before_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class Life:
    """What of a customer's life is kept: its events in the order of (arrival, log position), and `base`, with which it
    begins; that is not a new customer's where history was trimmed."""

    customer: CustomerKey
    lived: Sequence[Lived] = ()
    base: CustomerState = NEW_CUSTOMER


@dataclass(frozen=True, slots=True)
class PastLives:
    """Lives of customers who may be decided anew, in the order of (arrival, log position); where trimmed ones begin; and
    whose past is closed. In a batch they include the batch's own events."""

    lived: Mapping[CustomerKey, Sequence[Lived]] = field(default_factory=dict)
    bases: Mapping[CustomerKey, CustomerState] = field(default_factory=dict)
    closed: Mapping[CustomerKey, Closed] = field(default_factory=dict)

    def life(self, customer: CustomerKey) -> Life:
        """One customer's; an empty one for whom nothing was looked up."""
        return Life(customer, self.lived.get(customer, ()), self.bases.get(customer, NEW_CUSTOMER))


@dataclass(slots=True)
class Suspects:
    """Customers of a batch who may have to be decided anew within it, and those whose events may be set aside."""

    due: set[CustomerKey] = field(default_factory=set)
    aside: set[CustomerKey] = field(default_factory=set)


def suspects(states: Mapping[CustomerKey, CustomerState], entries: Sequence[Entry], settle_ms: int) -> Suspects:
    """Found from times alone, before anything is decided; rather too many than too few."""
    found = Suspects()
    if not any(entry.event.backfill for entry in entries) and not any(state.behind for state in states.values()):
        return found
    reached: dict[CustomerKey, int] = {}
    imported: dict[CustomerKey, int] = {}
    waiting = {key: state.imported_until_ms for key, state in states.items() if state.behind}
    for event in (entry.event for entry in entries):
        key = CustomerKey(event.tenant, event.customer_id)
        if key in waiting and event.logged_ms >= waiting[key] + settle_ms:
            found.due.add(key)
        before = reached[key] if key in reached else states[key].decided_until_ms if key in states else 0
        if event.backfill:
            until = imported.get(key, states[key].imported_until_ms if key in states else 0)
            # What came before in this batch may have armed timers, and these wait no longer for an import that is over.
            armed = key in reached and event.logged_ms >= until + settle_ms
            ripe = event.logged_ms if armed else _ripe_by(states.get(key), event.logged_ms)
            if event.arrival_ms < max(before, ripe):
                found.aside.add(key)
                waiting[key] = event.logged_ms
            imported[key] = max(until, event.logged_ms)
        reached[key] = max(before, event.arrival_ms)
    return found


def _ripe_by(state: CustomerState | None, logged_ms: int) -> int:
    """Until when timers may have decided something before an imported event came."""
    waking = state is not None and any(
        each.wake_ms is not None and each.wake_ms <= logged_ms for each in state.lifecycles.values()
    )
    return logged_ms if waking else 0


def waiting(states: Mapping[CustomerKey, CustomerState], until_ms: int, settle_ms: int) -> set[CustomerKey]:
    """Customers who are to be decided anew by a time of the log."""
    return {key for key, state in states.items() if is_due(state, until_ms, settle_ms)}


async def check_amount(transaction: Transaction, customers: Collection[CustomerKey], shares: int = 1) -> None:
    """Raises TooMuchPast when what is kept of these customers is more than a transaction should live again, of which a
    partition has one of so many `shares`. What one customer alone takes has a bound of its own."""
    if not customers or (len(customers) == 1 and shares == 1):
        return
    events = sum((await history.counts(transaction, customers)).values())
    if events > _MOST_AT_ONCE // shares:
        raise TooMuchPast(f"{len(customers):,} customers with {events:,} events are too many to be lived again at once")


async def look_back(
    transaction: Transaction, due: Collection[CustomerKey], aside: Collection[CustomerKey] = (), activation: int = 0
) -> PastLives:
    """The lives of those who are due, and which of the others' pasts are closed under an activation."""
    if not due and not aside:
        return PastLives()
    begun = await bases.load(transaction, {*due, *aside})
    lived = await histories(transaction, due) if due else {}
    return PastLives(lived, begun, await _closed(transaction, aside, begun, activation))


async def _closed(
    transaction: Transaction,
    aside: Collection[CustomerKey],
    begun: Mapping[CustomerKey, CustomerState],
    activation: int,
) -> dict[CustomerKey, Closed]:
    closed = {key: _trimmed(begun[key], activation) for key in aside if key in begun}
    for key, count in (await history.counts(transaction, aside)).items() if aside else ():
        if count > LONGEST_LIFE:
            why = f"a history of {count:,} events is too long to be decided anew; {LONGEST_LIFE:,} can be"
            closed[key] = Closed(_ALWAYS, why)
    return closed


def _trimmed(base: CustomerState, activation: int) -> Closed:
    if base.activation == activation:
        return Closed(base.decided_until_ms, "the history of that time was trimmed")
    return Closed(_ALWAYS, "older history was trimmed, and other rules have been published since")


async def histories(transaction: Transaction, keys: Collection[CustomerKey]) -> dict[CustomerKey, list[Lived]]:
    """The kept lives of some customers, each customer's events in the order of (arrival, log position)."""
    return await lives(transaction, await history.of_customers(transaction, list(keys)))


async def lives(transaction: Transaction, kept: Iterable[Past]) -> dict[CustomerKey, list[Lived]]:
    """What stored events say of their customers' lives. A move by hand that was refused is no part of one: it left no
    trace, not even in the clock, and whoever asked for it was told so."""
    found: dict[CustomerKey, list[Lived]] = {}
    for past in kept:
        found.setdefault(past.customer, []).append(Lived(past.offset, _event_of(past)))
    asked = {(*key, each.event.id) for key, life in found.items() for each in life if each.event.type == MANUAL_MOVE}
    refused = await moves.refused(transaction, asked) if asked else ()
    for key in {CustomerKey(tenant, customer) for tenant, customer, _ in refused}:
        found[key] = [each for each in found[key] if (*key, each.event.id) not in refused]
    return found


def _event_of(past: Past) -> Event:
    """A stored event as it was applied."""
    envelope = decode(past.body)
    origin = Origin(past.customer.tenant, past.customer.customer_id, envelope.id, envelope.type)
    backfill = envelope.mode == BACKFILL
    return Event.taken(origin, envelope.time_ms, past.logged_ms, backfill=backfill, data=envelope.data)
