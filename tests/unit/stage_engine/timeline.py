"""Hand-worked timelines as text: what happens to one customer, and the table of stage changes that must come of it.

Times are whole minutes; `D` is a day. A table has one stage change a line:

    at  lifecycle  from  to  transition  entry  sequence  revision  flags  cause

with `-` for null, the flags s (settled), l (late) and b (backfill) or `.` for none of them, and as cause the event's
id (e1, e2, … in the order in which the steps were written), `due:<minute>` for a timer, `pub:<number>` for an activation,
`hand:<id>` for a move by hand, or `anew:<minute>` for a life decided anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import (
    Applied,
    ByActivation,
    ByEvent,
    ByHand,
    ByTimer,
    CausedBy,
    Decision,
    EvaluationError,
    StageChange,
)
from services.stage_engine.domain.event import Event, Origin, Tick
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.state import CustomerState
from shared.contracts.times import MINUTE_MS

D = 24 * 60
"""Minutes of a day."""


@dataclass(frozen=True)
class Step:
    """An event with its log time and event time in minutes, or (without a type) a tick until `logged`."""

    logged: int
    type: str | None = None
    time: int | None = None
    backfill: bool = False
    data: Mapping[str, Any] | None = None


def live(arrival: int, type_: str, time: int | None = None, **data: Any) -> Step:
    """A live event that arrives at `arrival`; it happened at `time`, or just then."""
    return Step(arrival, type_, arrival if time is None else time, data=data)


def imported(logged: int, time: int, type_: str, **data: Any) -> Step:
    """An event of a backfill, logged now, that happened at `time`."""
    return Step(logged, type_, time, backfill=True, data=data)


def tick(until: int) -> Step:
    """Time went by until this minute."""
    return Step(until)


def purchase(arrival: int, time: int | None = None, amount: str = "10.00", currency: str = "BRL") -> Step:
    """A live purchase."""
    return live(arrival, "purchase", time, order_id=f"o{arrival}", amount=amount, currency=currency)


def nps(arrival: int, score: int, time: int | None = None) -> Step:
    """A live answer to an NPS survey."""
    return live(arrival, "survey_response", time, kind="nps", score=score)


def rules(*lifecycles: str, currency: str = "BRL") -> Rules:
    """Lifecycles in the order in which they run."""
    return Rules(tuple(parse_definition("test.yaml", text).compile(1, currency) for text in lifecycles), currency)


def lifecycle(stages: str, *edges: str, name: str = "l", lateness: str = "5m") -> str:
    """The text of a lifecycle: stages named by rising order, the first one the start; edges in YAML flow style."""
    keys = stages.split()
    lines = [f"lifecycle: {name}", f"start: {keys[0]}", f"lateness: {lateness}", "stages:"]
    lines += [f"  {key}: {{order: {10 * place}}}" for place, key in enumerate(keys)]
    return "\n".join([*lines, "transitions:" if edges else "", *(f"  - {{{edge}}}" for edge in edges), ""])


@dataclass
class Played:
    """What came of a timeline: the last state, and everything that was decided on the way."""

    state: CustomerState
    changes: list[StageChange]
    errors: list[EvaluationError]
    decisions: list[Decision]

    @property
    def table(self) -> list[str]:
        """The stage changes as lines of a table."""
        return [row(change) for change in self.changes]

    def clock(self, name: str = "l") -> int:
        """The customer's clock in a lifecycle, in minutes."""
        return self.state.lifecycles[name].clock_ms // MINUTE_MS


def play(by: Rules, *steps: Step, state: CustomerState = NEW_CUSTOMER) -> Played:
    """Let one customer live through the steps."""
    played = Played(state, [], [], [])
    for number, step in enumerate(steps, start=1):
        decision = advance(by, played.state, occurrence(step, f"e{number}"))
        played.decisions.append(decision)
        if isinstance(decision, Applied):
            played.state = decision.state
            played.changes += decision.changes
            played.errors += decision.errors
    return played


def occurrence(step: Step, id_: str) -> Event | Tick:
    """The step as the engine takes it."""
    if step.type is None or step.time is None:
        return Tick(step.logged * MINUTE_MS)
    return Event.taken(
        Origin("t", "c", id_, step.type),
        step.time * MINUTE_MS,
        step.logged * MINUTE_MS,
        backfill=step.backfill,
        data=step.data or {},
    )


def row(change: StageChange) -> str:
    """One line of a table."""
    flags = "s" * change.settled + "l" * change.late + "b" * change.backfill
    cause = _cause(change.cause)
    cells = (
        change.effective_ms // MINUTE_MS,
        change.lifecycle.name,
        change.from_ or "-",
        change.to,
        change.transition.id if change.transition else "-",
        change.entry,
        change.sequence,
        change.after.revision,
        flags or ".",
        cause,
    )
    return " ".join(map(str, cells))


def _cause(cause: CausedBy) -> str:
    if isinstance(cause, ByEvent):
        return cause.event.id
    if isinstance(cause, ByTimer):
        return f"due:{cause.due_ms // MINUTE_MS}"
    if isinstance(cause, ByActivation):
        return f"pub:{cause.activation.number}"
    if isinstance(cause, ByHand):
        return f"hand:{cause.move_id}"
    return f"anew:{cause.imported_until_ms // MINUTE_MS}"


def table(text: str) -> list[str]:
    """Lines of an expected table, whatever the spaces between cells."""
    return [" ".join(line.split()) for line in text.strip().splitlines()]
