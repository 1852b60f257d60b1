"""One batch's decisions: records folded over states, purely. `batch` loads before and writes after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import (
    Applied,
    BehindClock,
    Decision,
    EvaluationError,
    StageChange,
    Unapplicable,
)
from services.stage_engine.domain.event import Event, Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.publishing import SNAPSHOT_EVENTS
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Entry
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.times import to_text

RulesOf = Callable[[str], Rules]
"""The rules that hold for a tenant."""

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
    """What a batch came to. `updated` are customers whose snapshot may differ, `ticked` those that only time touched."""

    states: dict[CustomerKey, CustomerState] = field(default_factory=dict)
    updated: dict[CustomerKey, str | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    errors: list[tuple[CustomerKey, EvaluationError]] = field(default_factory=list)

    def keep(self, customer: CustomerKey, applied: Applied, traceparent: str | None) -> None:
        """Take over the outcome of one `advance`."""
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

    @property
    def newcomer(self) -> CustomerState:
        """The state of a customer who was never heard of."""
        return replace(NEW_CUSTOMER, activation=self.activation) if self.activation else NEW_CUSTOMER

    def caught_up(self) -> Decided:
        """Decisions that publications have brought about."""
        decided = Decided()
        for customer, steps in self.catching_up.items():
            for applied in steps:
                decided.keep(customer, applied, None)
        return decided


def decide_events(
    entries: Sequence[Entry],
    traces: Mapping[int, str | None],
    states: States,
    rules_of: RulesOf,
) -> Decided:
    """Apply events in log order; `traces` maps offsets to trace parents."""
    decided = states.caught_up()
    for entry in entries:
        event = entry.event
        customer = CustomerKey(event.tenant, event.customer_id)
        state = decided.states.get(customer) or states.loaded.get(customer) or states.newcomer
        decision = _advance(rules_of(event.tenant), state, event)
        if isinstance(decision, Applied):
            trace = traces.get(entry.offset)
            decided.keep(customer, decision, trace)
            if event.type in SNAPSHOT_EVENTS:
                decided.updated[customer] = trace
        else:
            decided.refusals.append(_refusal(entry, decision))
    return decided


def decide_ticks(customers: Iterable[CustomerKey], until_ms: int, states: States, rules_of: RulesOf) -> Decided:
    """Let ripe wake-ups of these customers go off."""
    decided = states.caught_up()
    for customer in customers:
        if customer in states.loaded:
            state = decided.states.get(customer) or states.loaded[customer]
            decision = advance(rules_of(customer.tenant), state, Tick(*customer, until_ms))
            assert isinstance(decision, Applied)
            decided.keep(customer, decision, None)
    return decided


def _advance(rules: Rules, state: CustomerState, event: Event) -> Decision:
    try:
        return advance(rules, state, event)
    except Exception as error:  # the loop's edge: whatever one record does to us, the others must go on
        _log.exception("an event could not be applied", tenant=event.tenant, event_id=event.id)
        return Unapplicable(f"{type(error).__name__} while applying it: {error}")


def _refusal(entry: Entry, decision: BehindClock | Unapplicable) -> Refusal:
    if isinstance(decision, Unapplicable):
        return Refusal(entry, DeadLetterReason.UNAPPLICABLE, decision.detail)
    until = to_text(decision.decided_until_ms)
    detail = f"backfill of {to_text(entry.event.time_ms)} is behind the customer's clock: decided until {until}"
    return Refusal(entry, DeadLetterReason.BEHIND_CLOCK, detail)
