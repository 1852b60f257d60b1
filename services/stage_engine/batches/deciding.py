"""One batch's decisions: records folded over states, purely. `batch` loads before and writes after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.by_hand import Moved
from services.stage_engine.domain.decision import (
    Applied,
    BehindClock,
    Decision,
    EvaluationError,
    StageChange,
    Unapplicable,
)
from services.stage_engine.domain.event import Event, Tick
from services.stage_engine.domain.lifecycle import Rules, RulesOf
from services.stage_engine.domain.publishing import SNAPSHOT_EVENTS
from services.stage_engine.domain.recomputing import decide_anew, is_due, set_aside, up_to_import
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.looking_back import PastLives
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Entry
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.times import to_text

_END = 1 << 62
"""An offset that no record reaches."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A readable event that can't be applied."""

    entry: Entry
    reason: DeadLetterReason
    detail: str


@dataclass(frozen=True, slots=True)
class Change:
    """A stage change, whose it is, and the trace of what caused it (None for timers)."""

    customer: CustomerKey
    change: StageChange
    traceparent: str | None


@dataclass(slots=True)
class Decided:
    """What a batch came to. `updated` are customers whose snapshot may differ, with the trace of what caused it."""

    states: dict[CustomerKey, CustomerState] = field(default_factory=dict)
    updated: dict[CustomerKey, str | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    errors: list[tuple[CustomerKey, EvaluationError]] = field(default_factory=list)
    moved: list[tuple[CustomerKey, Moved]] = field(default_factory=list)

    def keep(self, customer: CustomerKey, applied: Applied, traceparent: str | None) -> None:
        """Take over the outcome of one `advance`."""
        if applied.moved is not None:
            self.moved.append((customer, applied.moved))
        if not applied.state.revision:
            return  # a move of somebody who was never heard of: there is nobody to keep
        self.states[customer] = applied.state
        if applied.changes:
            self.updated[customer] = traceparent
            self.changes += [Change(customer, change, traceparent) for change in applied.changes]
        if applied.errors:
            self.errors += [(customer, error) for error in applied.errors]


@dataclass(frozen=True, slots=True)
class States:
    """What a batch starts from: states as loaded, what some go through first because of publications (in order), and the
    activation that new customers begin with."""

    loaded: Mapping[CustomerKey, CustomerState]
    catching_up: Mapping[CustomerKey, Sequence[Applied]] = field(default_factory=dict)
    activation: int = 0
    settle_ms: int = 0
    lives: PastLives = field(default_factory=PastLives)

    @property
    def newcomer(self) -> CustomerState:
        """The state of a customer who was never heard of."""
        return replace(NEW_CUSTOMER, activation=self.activation) if self.activation else NEW_CUSTOMER

    def current(self) -> Mapping[CustomerKey, CustomerState]:
        """The states with what publications have brought about."""
        if not self.catching_up:
            return self.loaded
        return {**self.loaded, **{key: steps[-1].state for key, steps in self.catching_up.items() if steps}}

    def caught_up(self) -> Decided:
        """Decisions that publications have brought about."""
        decided = Decided()
        for customer, steps in self.catching_up.items():
            for applied in steps:
                decided.keep(customer, applied, None)
            if steps and steps[-1].state.recomputed != self.loaded[customer].recomputed:
                decided.updated[customer] = None  # decided anew on the way: entries and complaints may be others
        return decided


def decide_events(
    entries: Sequence[Entry],
    traces: Mapping[int, str | None],
    states: States,
    rules_of: RulesOf,
) -> Decided:
    """Apply events in log order; `traces` maps offsets to trace parents."""
    deciding = _Deciding(states, rules_of, states.caught_up())
    for entry in entries:
        deciding.take(entry, traces.get(entry.offset))
    return deciding.decided


def decide_ticks(customers: Iterable[CustomerKey], until_ms: int, states: States, rules_of: RulesOf) -> Decided:
    """Let ripe wake-ups of these customers go off."""
    deciding = _Deciding(states, rules_of, states.caught_up())
    for customer in customers:
        if customer in states.loaded:
            deciding.tick(customer, until_ms)
    return deciding.decided


@dataclass(frozen=True, slots=True)
class _Deciding:
    """A batch on its way: what it started from, and what it has come to."""

    states: States
    rules_of: RulesOf
    decided: Decided
    not_lived: set[int] = field(default_factory=set)
    """Offsets of what was refused: no part of anybody's life."""

    def take(self, entry: Entry, traceparent: str | None) -> None:
        """One event: applied, set aside until its customer is decided anew, or refused."""
        event, decided = entry.event, self.decided
        customer = CustomerKey(event.tenant, event.customer_id)
        rules = self.rules_of(event.tenant)
        state = self._ready(customer, event.logged_ms, entry.offset)
        woken, decision = self._advanced(rules, state, event)
        if woken is not None:
            decided.keep(customer, woken, None)
            state = woken.state
        if isinstance(decision, Applied):
            decided.keep(customer, decision, traceparent)
            if decision.moved is not None and decision.moved.refusal is not None:
                self.not_lived.add(entry.offset)
            if event.type in SNAPSHOT_EVENTS:
                decided.updated[customer] = traceparent
        elif isinstance(decision, BehindClock) and self._is_open(customer, event):
            decided.states[customer] = set_aside(state, event)
        else:
            decided.refusals.append(self._refusal(entry, decision))
            self.not_lived.add(entry.offset)

    def _advanced(self, rules: Rules, state: CustomerState, event: Event) -> tuple[Applied | None, Decision]:
        """What time had brought before an imported event came, if anything, and what the event makes of the customer."""
        try:
            woken = up_to_import(rules, state, event, self.states.settle_ms)
            return woken, advance(rules, woken.state if woken else state, event)
        except Exception as error:  # the loop's edge: whatever one record does to us, the others must go on
            _log.exception("an event could not be applied", tenant=event.tenant, event_id=event.id)
            return None, Unapplicable(f"{type(error).__name__} while applying it: {error}")

    def tick(self, customer: CustomerKey, until_ms: int) -> None:
        """Time went by until `until_ms`."""
        state = self._ready(customer, until_ms, _END)
        try:
            decision = advance(self.rules_of(customer.tenant), state, Tick(until_ms))
        except Exception:  # the loop's edge: the customer's timers rest until the next event; the others go on
            _log.exception("a timer could not go off", tenant=customer.tenant, customer_id=customer.customer_id)
            return
        self.decided.keep(customer, decision, None)

    def _ready(self, customer: CustomerKey, logged_ms: int, offset: int) -> CustomerState:
        """The customer's state before what the log took at a time; decided anew if that has become due."""
        state = self.decided.states.get(customer) or self.states.loaded.get(customer) or self.states.newcomer
        if not is_due(state, logged_ms, self.states.settle_ms) or customer not in self.states.lives.lived:
            return state  # whose life was not read stays behind until it is: the timer for it stays armed
        life = self.states.lives.life(customer)
        applied = [each for each in life.lived if each.offset not in self.not_lived]
        anew = decide_anew(self.rules_of(customer.tenant), state, life.base, applied, offset)
        self.decided.keep(customer, anew, None)
        self.decided.updated[customer] = None
        return anew.state

    def _is_open(self, customer: CustomerKey, event: Event) -> bool:
        closed = self.states.lives.closed.get(customer)
        return closed is None or event.arrival_ms >= closed.before_ms

    def _refusal(self, entry: Entry, decision: BehindClock | Unapplicable) -> Refusal:
        if isinstance(decision, Unapplicable):
            return Refusal(entry, DeadLetterReason.UNAPPLICABLE, decision.detail)
        event = entry.event
        why = self.states.lives.closed[CustomerKey(event.tenant, event.customer_id)].why
        until = to_text(decision.decided_until_ms)
        detail = f"backfill of {to_text(event.time_ms)} is behind what was decided until {until}, and {why}"
        return Refusal(entry, DeadLetterReason.BEHIND_CLOCK, detail)
