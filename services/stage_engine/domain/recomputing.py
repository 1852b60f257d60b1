"""Imports that reach behind what was decided: such an event is set aside, and the customer is decided anew later.

Once the import has settled, the customer's whole history is lived again in the order of (arrival, log position). What was
published before stays as it is, for history is never rewritten: where the new life ends in another stage, one change leads
there from the old one. Both steps follow from the log alone, so it makes no difference who takes them or when.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from services.stage_engine.domain.advance import advance, imported_until_ms
from services.stage_engine.domain.decision import (
    Applied,
    BehindClock,
    ByRecompute,
    EvaluationError,
    StageChange,
    Unapplicable,
)
from services.stage_engine.domain.event import Event, Lived, Tick
from services.stage_engine.domain.lifecycle import Lifecycle, Rules
from services.stage_engine.domain.state import CustomerState, Recomputed
from shared.errors import Permanent


class NotLivable(Permanent):
    """An event was applied once and can't be again."""


def set_aside(state: CustomerState, event: Event) -> CustomerState:
    """The state of a customer of whom history now holds more than was decided."""
    return replace(state, behind=True, imported_until_ms=imported_until_ms(state, event))


def up_to_import(rules: Rules, state: CustomerState, event: Event, settle_ms: int) -> Applied | None:
    """What time alone had brought before an imported event came; None when that is nothing.

    Whether a partition's watermark had noticed it by then must make no difference. While an import of this customer is
    coming in, timers wait for its end; a stranger has none.
    """
    if not (event.backfill and state.revision and event.logged_ms >= state.imported_until_ms + settle_ms):
        return None
    ticked = advance(rules, state, Tick(event.logged_ms))
    return None if ticked.state is state else ticked


def is_due(state: CustomerState, logged_ms: int, settle_ms: int) -> bool:
    """Whether the customer has to be decided anew before anything that the log took at `logged_ms`."""
    return state.behind and logged_ms >= state.imported_until_ms + settle_ms


def decide_anew(
    rules: Rules, state: CustomerState, base: CustomerState, past: Sequence[Lived], before_offset: int
) -> Applied:
    """A customer decided anew from all that the log had before an offset; `base` is where kept history begins.

    A history that can't be lived again leaves the state as it was, and says so among the errors.
    """
    lived = [each for each in past if each.offset < before_offset]
    below = max((each.offset for each in lived), default=-1) + 1
    try:
        again = live_again(rules, replace(base, activation=state.activation), [each.event for each in lived])
        return _recompute(rules, state, again, below)
    except NotLivable as error:
        told = EvaluationError("", "", "history lived again", str(error), {}, state.imported_until_ms)
        return Applied(replace(state, behind=False), errors=(told,))


def live_again(rules: Rules, base: CustomerState, events: Iterable[Event]) -> CustomerState:
    """A life under the rules of today, from events in the order of (arrival, log position). Raises NotLivable."""
    state = base
    for event in events:
        decision = once_more(rules, state, event)
        if isinstance(decision, BehindClock):
            raise _not_livable(event, decision)
        state = decision.state
    return state


def once_more(rules: Rules, state: CustomerState, event: Event) -> Applied | BehindClock:
    """What an event that was applied once makes of a customer now. Raises NotLivable."""
    try:
        decision = advance(rules, state, event)
    except Exception as error:  # the edge of a life: whatever is wrong with this one, the others must go on
        raise _not_livable(event, f"{type(error).__name__}: {error}") from error
    if isinstance(decision, Unapplicable):
        raise _not_livable(event, decision.detail)
    return decision


def _not_livable(event: Event, why: object) -> NotLivable:
    return NotLivable(f"event {event.id!r} of {event.customer_id!r} was applied once and can't be again: {why}")


def marked(rules: Rules, again: CustomerState, recomputed: Recomputed) -> CustomerState:
    """The state that a life lived again came to, counted as it was when it was decided anew. Raises NotLivable."""
    state = _on(rules, again, recomputed.until_ms)
    return replace(
        state,
        sequence=state.sequence + recomputed.sequence_ahead,
        revision=state.revision + recomputed.revision_ahead,
        activation=recomputed.activation,
        recomputed=recomputed,
    )


def _recompute(rules: Rules, before: CustomerState, again: CustomerState, below: int) -> Applied:
    """From the state before and the life lived again, to the new state and the changes that lead there.

    Time goes on until what was decided before: no silence that was noticed already is noticed twice. `below` is the offset
    up to which history was lived.
    """
    state = _on(rules, again, before.decided_until_ms)
    moved = [each for each in rules.lifecycles if _stage(before, each) != _stage(state, each)]
    recomputed = Recomputed(
        below=below,
        until_ms=before.decided_until_ms,
        activation=before.activation,
        sequence_ahead=before.sequence + len(moved) - state.sequence,
        revision_ahead=before.revision + 1 - state.revision,
    )
    state = marked(rules, again, recomputed)
    numbered = enumerate(moved, start=before.sequence + 1)
    return Applied(state, tuple(_correction(each, before, state, number) for number, each in numbered))


def _on(rules: Rules, state: CustomerState, until_ms: int) -> CustomerState:
    """The state when time has gone by. Raises NotLivable."""
    try:
        return advance(rules, state, Tick(until_ms)).state
    except Exception as error:  # the edge of a life, as above
        raise NotLivable(f"time can't go by again: {type(error).__name__}: {error}") from error


def _stage(state: CustomerState, lifecycle: Lifecycle) -> str | None:
    current = state.lifecycles.get(lifecycle.name)
    return current.stage if current else None


def _correction(lifecycle: Lifecycle, before: CustomerState, state: CustomerState, sequence: int) -> StageChange:
    old, new = before.lifecycles.get(lifecycle.name), state.lifecycles[lifecycle.name]
    return StageChange(
        lifecycle=lifecycle,
        from_=old.stage if old else None,
        to=new.stage,
        transition=None,
        entry=new.entries[new.stage],
        sequence=sequence,
        effective_ms=new.entered_ms,
        previous_entered_ms=old.entered_ms if old else None,
        settled=True,
        late=False,
        backfill=True,
        cause=ByRecompute(state.imported_until_ms),
        facts={},
        after=state,
    )
