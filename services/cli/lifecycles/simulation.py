"""What `simulate` shows: each customer's path, decision by decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from services.stage_engine.definitions.durations import parse_duration
from services.stage_engine.domain.decision import Applied, BehindClock, ByEvent, StageChange
from services.stage_engine.domain.event import Event
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.publishing import shown_facts
from services.stage_engine.simulating import Step, simulate
from shared.contracts.times import parse_text, to_text
from shared.errors import Permanent


@dataclass(frozen=True, slots=True)
class Path:
    """One customer's story with what came of it."""

    customer: str
    rules: Rules
    steps: Sequence[Step]

    def as_json(self) -> dict[str, Any]:
        """The form of `--format json`."""
        last = self.steps[-1].state
        return {
            "customer_id": self.customer,
            "steps": [self._step(step) for step in self.steps],
            "stages": {name: current.stage for name, current in last.lifecycles.items()},
            "facts": shown_facts(last.facts, {}, self.rules.currency),
        }

    def _step(self, step: Step) -> dict[str, Any]:
        decision = step.decision
        return {
            **_occurrence(step),
            "refused": None if isinstance(decision, Applied) else refusal(step),
            "stage_changes": [self.change(each) for each in _changes(step)],
            "errors": [
                {"transition": each.transition, "expression": each.expression, "detail": each.detail}
                for each in (decision.errors if isinstance(decision, Applied) else ())
            ],
        }

    def change(self, change: StageChange) -> dict[str, Any]:
        """A stage change as people read it."""
        return {
            "effective_at": to_text(change.effective_ms),
            "lifecycle": change.lifecycle.name,
            "from": change.from_,
            "to": change.to,
            "transition": change.transition.id if change.transition else None,
            "settled": change.settled,
            "late": change.late,
            "cause": "event" if isinstance(change.cause, ByEvent) else "timer",
            "facts": shown_facts(change.facts, change.lifecycle.own.types, self.rules.currency),
        }


def paths(rules: Rules, story: Sequence[Event], until_ms: int | None) -> list[Path]:
    """Each customer of the story by themselves, in the order in which they come up."""
    customers = list(dict.fromkeys(event.customer_id for event in story))
    return [
        Path(who, rules, list(simulate(rules, [event for event in story if event.customer_id == who], until_ms)))
        for who in customers
    ]


def end_of(story: Sequence[Event], until: str | None) -> int | None:
    """When a simulation ends, in milliseconds; None right after the last event. Raises Permanent."""
    if until is None:
        return None
    last = max(event.arrival_ms for event in story)
    try:
        return last + parse_duration(until) if until[-1:] in "smhdw" and until[:1].isdigit() else parse_text(until)
    except ValueError as error:
        raise Permanent(f"--until: {error}; or write how long after the last event, such as 90d") from None


def show(out: Console, found: Sequence[Path]) -> None:
    """A table for each customer: what happened, and what it moved."""
    for path in found:
        out.rule(f"{path.customer}", align="left")
        table = Table("when", "what", "lifecycle", "move", "transition", "because of", box=None, padding=(0, 1))
        for step in path.steps:
            _add_step(table, path, step)
        out.print(table)
        stages = path.steps[-1].state.lifecycles.items()
        out.print("[dim]ends as[/] " + ", ".join(f"{name}: [bold]{current.stage}[/]" for name, current in stages))


def _add_step(table: Table, path: Path, step: Step) -> None:
    when, what = _when(step)
    if not isinstance(step.decision, Applied):
        table.add_row(when, what, "", f"[red]refused: {refusal(step)}[/]", "", "")
        return
    changes = [path.change(each) for each in step.decision.changes]
    if not changes:
        table.add_row(f"[dim]{when}[/]", f"[dim]{what}[/]", "", "[dim]stays[/]", "", "")
    for index, change in enumerate(changes):
        move = f"{change['from'] or '·'} → {change['to']}"
        because = ", ".join(f"{name} = {value}" for name, value in change["facts"].items())
        cause = f"timer, {change['effective_at'][:16]}" if change["cause"] == "timer" else what
        first = (when, cause) if index == 0 else ("", cause if change["cause"] == "timer" else "")
        table.add_row(*first, change["lifecycle"], move, change["transition"] or "start", because)
    for error in step.decision.errors:
        table.add_row("", "", error.lifecycle, f"[red]{error.detail}[/]", error.transition, error.expression)


def _occurrence(step: Step) -> dict[str, Any]:
    if isinstance(step.occurrence, Event):
        event = step.occurrence
        return {"event": {"id": event.id, "type": event.type, "time": to_text(event.time_ms)}}
    return {"time_goes_by_until": to_text(step.occurrence.until_ms)}


def _when(step: Step) -> tuple[str, str]:
    if isinstance(step.occurrence, Event):
        return to_text(step.occurrence.time_ms)[:16], step.occurrence.type
    return to_text(step.occurrence.until_ms)[:16], "time goes by"


def _changes(step: Step) -> Sequence[StageChange]:
    return step.decision.changes if isinstance(step.decision, Applied) else ()


def refusal(step: Step) -> str:
    """Why an event was not applied."""
    if isinstance(step.decision, BehindClock):
        return f"behind what was decided until {to_text(step.decision.decided_until_ms)}"
    return step.decision.detail if not isinstance(step.decision, Applied) else ""
