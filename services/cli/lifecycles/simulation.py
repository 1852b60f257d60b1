"""What `simulate` shows: each customer's path, decision by decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.lifecycles.formats import in_words, readable
from services.stage_engine.definitions.durations import parse_duration
from services.stage_engine.domain.decision import Applied, BehindClock, ByTimer, StageChange
from services.stage_engine.domain.event import Event
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.publishing import publish_change, shown_facts
from services.stage_engine.explaining import Explaining
from services.stage_engine.simulating import Step, simulate
from shared.contracts.times import parse_text, to_text
from shared.errors import Permanent

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Path:
    """One customer's story with what came of it."""

    customer: str
    rules: Rules
    steps: Sequence[Step]

    def as_json(self) -> Json:
        """The form of `--format json`: stage changes as `GET /v1/customers/{id}/stage-changes` gives them, and how it
        ended as `GET /v1/customers/{id}` does."""
        last = self.steps[-1]
        return {
            "customer_id": self.customer,
            "steps": [self._step(step) for step in self.steps],
            "lifecycles": self.ends(),
            "facts": shown_facts(last.state.facts, {}, self.rules.currency),
        }

    def ends(self) -> Json:
        """By lifecycle: the stage, since when, and the lifecycle's own facts at the end."""
        last = self.steps[-1]
        explaining = Explaining(self.rules, {}, last.state, _moment(last))
        return {
            lifecycle.name: {
                "stage": current.stage,
                "since": to_text(current.entered_ms),
                "entry": current.entries[current.stage],
                "facts": explaining.own_facts(lifecycle),
            }
            for lifecycle in self.rules.lifecycles
            if (current := last.state.lifecycles.get(lifecycle.name)) is not None
        }

    def change(self, change: StageChange) -> Json:
        """A stage change as it would be kept."""
        kept: Json = msgspec.json.decode(publish_change(change, "story", self.customer, self.rules.currency).kept)
        kept.pop("customer", None)
        return {"effective_at": to_text(change.effective_ms), **kept}

    def _step(self, step: Step) -> Json:
        errors = step.decision.errors if isinstance(step.decision, Applied) else ()
        return {
            **_occurrence(step),
            "refused": refusal(step),
            "stage_changes": [self.change(each) for each in _changes(step)],
            "errors": [
                {
                    "lifecycle": each.lifecycle,
                    "transition": each.transition,
                    "expression": each.expression,
                    "detail": each.detail,
                }
                for each in errors
            ],
        }


def paths(rules: Rules, story: Sequence[Event], until_ms: int) -> list[Path]:
    """Each customer of the story by themselves, in the order in which they come up."""
    by_customer: dict[str, list[Event]] = {}
    for event in story:
        by_customer.setdefault(event.customer_id, []).append(event)
    return [Path(who, rules, list(simulate(rules, events, until_ms))) for who, events in by_customer.items()]


def end_of(story: Sequence[Event], until: str | None) -> int:
    """When a simulation ends, in milliseconds: with the story's last event unless told otherwise. Raises Permanent."""
    last = max(event.arrival_ms for event in story)
    if until is None:
        return last
    try:
        end = last + parse_duration(until) if until[-1:] in "smhdw" and until[:1].isdigit() else parse_text(until)
    except ValueError as error:
        raise Permanent(f"--until: {error}; or write how long after the last event, such as 90d") from None
    if end < last:
        raise Permanent(f"--until: {to_text(end)} is before the story's last event, which is of {to_text(last)}")
    return end


def show(out: Console, found: Iterable[Path]) -> None:
    """A table for each customer: what happened, and what it moved."""
    for path in found:
        out.rule(escape(path.customer), align="left")
        table = Table("when", "what", "lifecycle", "move", "transition", "because", box=None, padding=(0, 1))
        for step in path.steps:
            for row in _rows(path, step):
                table.add_row(*row)
        out.print(table)
        for name, end in path.ends().items():
            facts = f" [dim]{escape(in_words(end['facts']))}[/]" if end["facts"] else ""
            out.print(f"[dim]ends in[/] {name}: [bold]{end['stage']}[/] since {readable(end['since'])}{facts}")


def refusal(step: Step) -> str | None:
    """Why an event was not applied; None when it was."""
    if isinstance(step.decision, Applied):
        return None
    if isinstance(step.decision, BehindClock):
        decided = to_text(step.decision.decided_until_ms)
        return f"an imported event from before what was decided until {decided}; put an import's lines in order of time"
    return step.decision.detail


def _rows(path: Path, step: Step) -> list[tuple[str, ...]]:
    """What time brought before the event, then the event with what it brought."""
    by_time = [each for each in _changes(step) if isinstance(each.cause, ByTimer)]
    rows = [_row(path, each, to_text(each.effective_ms), "time goes by") for each in by_time]
    rows += _event_rows(path, step) if isinstance(step.occurrence, Event) else []
    if not rows:
        rows.append((_dim(readable(to_text(_moment(step)))), _dim("time goes by"), "", _dim("stays"), "", ""))
    if isinstance(step.decision, Applied):
        rows += [
            ("", "", each.lifecycle, f"[red]{escape(each.detail)}[/]", each.transition, escape(each.expression))
            for each in step.decision.errors
        ]
    return rows


def _event_rows(path: Path, step: Step) -> list[tuple[str, ...]]:
    assert isinstance(step.occurrence, Event)
    when, what = to_text(step.occurrence.time_ms), step.occurrence.type
    late = " (late)" if step.occurrence.arrival_ms > step.occurrence.time_ms else ""
    if (refused := refusal(step)) is not None:
        return [(readable(when), what, "", f"[red]refused: {escape(refused)}[/]", "", "")]
    own = [each for each in _changes(step) if not isinstance(each.cause, ByTimer)]
    if not own:
        return [(_dim(readable(when)), _dim(what + late), "", _dim("stays"), "", "")]
    first, *others = own
    return [_row(path, first, when, what + late), *(_row(path, each, "", "") for each in others)]


def _row(path: Path, change: StageChange, when: str, what: str) -> tuple[str, ...]:
    shown = path.change(change)
    move = f"{shown['from']} → {shown['to']}" if shown["from"] else f"enters {shown['to']}"
    because = escape(in_words(shown["facts"]))
    return readable(when), what, shown["lifecycle"], move, shown["transition"] or _dim("start"), because


def _dim(text: str) -> str:
    return f"[dim]{text}[/]"


def _occurrence(step: Step) -> Json:
    if isinstance(step.occurrence, Event):
        event = step.occurrence
        return {"event": {"id": event.id, "type": event.type, "time": to_text(event.time_ms)}}
    return {"time_goes_by_until": to_text(_moment(step))}


def _moment(step: Step) -> int:
    """Until when the story had come with a step."""
    return step.occurrence.arrival_ms if isinstance(step.occurrence, Event) else step.occurrence.until_ms


def _changes(step: Step) -> Sequence[StageChange]:
    return step.decision.changes if isinstance(step.decision, Applied) else ()
