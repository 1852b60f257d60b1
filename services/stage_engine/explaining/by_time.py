"""What happens to a customer of whom nothing more is heard: `advance` goes on with nothing but time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.stage_engine.domain.advance import advance, first_ripe_ms
from services.stage_engine.domain.decision import StageChange
from services.stage_engine.domain.event import Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.state import CustomerState

_MOST_WAKE_UPS = 2_000
"""Stages that follow each other by time for ever are followed no further than this."""


@dataclass(frozen=True, slots=True)
class Coming:
    """The next move in a lifecycle: its first hop, where the decision comes to rest, and when the engine notices."""

    change: StageChange
    settles_in: str
    noticed_ms: int


def next_by_time(rules: Rules, state: CustomerState, name: str) -> Coming | None:
    """The first move in the lifecycle of this name that needs nothing but time; None when there is none to come."""
    for moves, noticed_ms in _decisions(_that_matter(rules, name), state):
        own = [change for change in moves if change.lifecycle.name == name]
        if own:
            settled = next((change for change in own if change.settled), own[-1])
            return Coming(own[0], settled.to, noticed_ms)
    return None


def _that_matter(rules: Rules, name: str) -> Rules:
    """The lifecycle and those whose stages decide it, so that others' timers are not waited through."""
    by_name = {each.name: each for each in rules.lifecycles}
    wanted, waiting = set[str](), [name]
    while waiting:
        wanted.add(each := waiting.pop())
        waiting += (by_name[each].reads_stages & by_name.keys()) - wanted
    return Rules(tuple(each for each in rules.lifecycles if each.name in wanted), rules.currency)


def _decisions(rules: Rules, state: CustomerState) -> Iterator[tuple[tuple[StageChange, ...], int]]:
    """What each wake-up brings, in order, with the time at which it is ripe."""
    for _ in range(_MOST_WAKE_UPS):
        if (ripe := first_ripe_ms(rules, state)) is None:
            return
        decision = advance(rules, state, Tick(ripe))
        yield decision.changes, ripe
        state = decision.state
