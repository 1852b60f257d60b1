"""What one decision makes of a customer in one lifecycle: the hops from stage to stage, and where they end."""

from __future__ import annotations

import msgspec

from services.stage_engine.domain.lifecycle import Lifecycle, Transition
from services.stage_engine.domain.own_facts import Tallies
from services.stage_engine.domain.state import LifecycleState
from services.stage_engine.domain.walk import Situation, Walk, next_wake_ms


class Move(msgspec.Struct, frozen=True):
    """A walk with what it started from; `before` is None when the customer is new to the lifecycle. `jumped_to` is a
    stage that the customer was put into without a transition, and from where the walk went on. `by_time` says that nothing
    but time brought it about."""

    walk: Walk
    before: LifecycleState | None
    tallies: Tallies
    late: bool = False
    jumped_to: str | None = None
    by_time: bool = False

    def has_moved(self) -> bool:
        """Whether the customer's stage was decided anew."""
        return self.before is None or self.jumped_to is not None or bool(self.walk.taken)


class Hop(msgspec.Struct, frozen=True):
    """One stage change of a move; `transition` is None when the customer enters the start stage or was put there."""

    from_: str | None
    to: str
    transition: Transition | None
    entry: int
    previous_entered_ms: int | None
    settled: bool


def walk_on(lifecycle: Lifecycle, current: LifecycleState | None, situation: Situation) -> Walk:
    """Walk on from where the customer is; one who is new to the lifecycle enters its start stage."""
    if current is None:
        walk = Walk(lifecycle, situation, lifecycle.start, situation.at_ms, entered=True)
    else:
        walk = Walk(lifecycle, situation, current.stage, current.entered_ms, entered=False)
    walk.go()
    return walk


def walk_from(lifecycle: Lifecycle, stage: str, current: LifecycleState, situation: Situation) -> Walk:
    """Put the customer into a stage and walk on from there; where they came from counts as visited."""
    walk = Walk(lifecycle, situation, stage, situation.at_ms, entered=True, origin=current.stage)
    walk.go()
    return walk


def hops(move: Move) -> list[Hop]:
    """The stage changes of a move that has moved, in order."""
    walk, before = move.walk, move.before
    at, last = walk.situation.at_ms, len(walk.taken) - 1
    stage, entered_ms, entries = (before.stage, before.entered_ms, before.entries) if before else (None, None, {})
    found = []
    put = move.jumped_to if before else walk.lifecycle.start
    if put is not None:
        found.append(Hop(stage, put, None, entries.get(put, 0) + 1, entered_ms, settled=not walk.taken))
        stage, entered_ms = put, at
    for index, edge in enumerate(walk.taken):
        # No stage is visited twice in one decision, so the count before the decision plus one is right.
        entry = entries.get(edge.target, 0) + 1
        found.append(Hop(stage, edge.target, edge, entry, entered_ms, settled=index == last))
        stage, entered_ms = edge.target, at
    return found


def arrive(move: Move) -> LifecycleState:
    """Where a move leaves the customer: its clock at the occurrence's effective time, the next wake-up armed."""
    walk, before = move.walk, move.before
    at = walk.situation.at_ms
    entries = before.entries if before else {walk.lifecycle.start: 1}
    if walk.taken or move.jumped_to is not None:
        entries = dict(entries)
        entered = [edge.target for edge in walk.taken]
        for stage in entered if move.jumped_to is None else [move.jumped_to, *entered]:
            entries[stage] = entries.get(stage, 0) + 1
    wake = next_wake_ms(walk, move.tallies, at)
    times = before.by_time + 1 if before and move.by_time else 0
    return LifecycleState(walk.stage, walk.entered_ms, at, entries, wake, move.tallies, times)
