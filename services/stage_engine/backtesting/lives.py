"""One customer's life in one lifecycle, under one set of rules, by the function that decides in production. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied, StageChange
from services.stage_engine.domain.event import Event, Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.state import CustomerState


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a life begins with: nothing, or what stands for history that was trimmed, as it was at `at_ms`."""

    state: CustomerState = NEW_CUSTOMER
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """From `at_ms` on, until the next step, the customer is in `stage`. `change` is what put them there; None where the
    life begins with it."""

    at_ms: int
    stage: str
    change: StageChange | None


@dataclass(frozen=True, slots=True)
class Life:
    """All steps in order, the last being where the customer is at the end. `passed_over` events could not be applied."""

    steps: tuple[Step, ...]
    passed_over: int = 0

    @property
    def stage(self) -> str | None:
        """Where it ends; None for one that has not begun."""
        return self.steps[-1].stage if self.steps else None


def live(rules: Rules, name: str, beginning: Beginning, events: Iterable[Event], to_ms: int) -> Life:
    """A life in the lifecycle of this name until just before `to_ms`. The events are those that arrive before it, in the
    order of (arrival, position); the other lifecycles of the rules run along."""
    state, passed_over = beginning.state, 0
    began = state.lifecycles.get(name)
    steps = [Step(beginning.at_ms, began.stage, None)] if began else []
    # Half-open, as local days are: what is ripe at the end itself belongs to the time after it.
    occurrences: list[Event | Tick] = [*events, Tick(to_ms - 1)]
    for occurrence in occurrences:
        decision = advance(rules, state, occurrence)
        if isinstance(decision, Applied):
            state = decision.state
            steps += [_step(each) for each in decision.changes if each.lifecycle.name == name]
        else:
            passed_over += 1
    return Life(tuple(steps), passed_over)


def _step(change: StageChange) -> Step:
    # The state after it would be one more copy of the customer for every move of a long life.
    return Step(change.effective_ms, change.to, replace(change, after=NEW_CUSTOMER))
