"""A story told to the end: what `simulate` gives, as JSON, on the command line and over HTTP. Pure.

How events are read is not the engine's matter: whoever composes the services gives a `ReadStory`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import thread_time
from typing import Any

import msgspec

from services.stage_engine.definitions.durations import parse_duration
from services.stage_engine.domain.decision import Applied, BehindClock, StageChange
from services.stage_engine.domain.event import Event
from services.stage_engine.domain.facts import FactType
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.publishing import publish_change, shown_facts
from services.stage_engine.explaining.explanation import Explaining
from services.stage_engine.simulating.simulation import Step, simulate
from shared.contracts.events import PAYLOADS
from shared.contracts.field_errors import FieldError, did_you_mean
from shared.contracts.times import parse_text, to_text
from shared.errors import Permanent

Json = dict[str, Any]
ReadStory = Callable[[Sequence[bytes]], Sequence[Event]]
"""Reads events as they are posted, in the order of the log. Raises StoryRefused."""


_LAST_MS = 64_060_588_800_000
"""The year 4000: calendars end at 9999, and a local day there has no end."""


class StoryRefused(Permanent):
    """Events that no story can have; each error has a pointer into the list of events, such as /0/data/amount."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{each.pointer}: {each.detail}" for each in errors))
        self.errors = tuple(errors)


class TooLong(Permanent):
    """A story that takes more than may be told."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a story may take: stage changes, and seconds of a processor. What one step can take is bounded by itself:
    time alone moves a customer so often and no more."""

    changes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Path:
    """One customer's story with what came of it."""

    customer: str
    rules: Rules
    steps: Sequence[Step]

    def as_json(self) -> Json:
        """Stable JSON: stage changes as `GET /v1/customers/{id}/stage-changes` gives them, and how it ended as
        `GET /v1/customers/{id}` does."""
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
        explaining = Explaining(self.rules, {}, last.state, moment(last))
        return {
            lifecycle.name: {
                "stage": current.stage,
                "since": to_text(current.entered_ms),
                "entry": current.entries[current.stage],
                "facts": explaining.own_facts(lifecycle),
                **explaining.at_least(lifecycle),
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
            "stage_changes": [self.change(each) for each in changes(step)],
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


def path_within(rules: Rules, story: Sequence[Event], until_ms: int, limits: Limits) -> Path:
    """One customer's story, as long as it stays within limits. Raises TooLong."""
    began, moved, steps = thread_time(), 0, []
    for step in simulate(rules, story, until_ms):
        steps.append(step)
        moved += len(changes(step))
        if moved > limits.changes:
            raise TooLong(f"the customer moves more than {limits.changes:,} times until {to_text(moment(step))}")
        if thread_time() - began > limits.seconds:
            raise TooLong(
                f"{len(steps):,} of its steps took the {limits.seconds:g} s of a processor that a story may take"
            )
    return Path(story[0].customer_id, rules, steps)


def end_of(story: Sequence[Event], until: str | None) -> int:
    """When a simulation ends, in milliseconds: with the story's last event unless told otherwise. Raises ValueError."""
    last = max(event.arrival_ms for event in story)
    if until is None:
        return last
    try:
        end = last + parse_duration(until) if until[-1:] in "smhdw" and until[:1].isdigit() else parse_text(until)
    except ValueError as error:
        raise ValueError(f"{error}; or write how long after the last event, such as 90d") from None
    if end > _LAST_MS:
        raise ValueError(f"{until} is after the year 3999; write a time before that")
    if end < last:
        raise ValueError(f"{to_text(end)} is before the story's last event, which is of {to_text(last)}")
    return end


def unread_types(rules: Rules, story: Sequence[Event]) -> list[str]:
    """Types of events in a story that are neither built in nor named by the lifecycles: probably misspelt."""
    edges = {event_type for each in rules.lifecycles for edge in each.transitions for event_type in edge.on}
    facts = {event_type for each in rules.lifecycles for fact in each.own.by_name.values() for event_type in fact.of}
    known = {*PAYLOADS, *edges, *facts}
    unknown = dict.fromkeys(event.type for event in story if event.type not in known)
    return [f"nothing here reads events of the type `{each}`; {did_you_mean(each, known)}" for each in unknown]


def passed_over(rules: Rules, story: Sequence[Event]) -> list[str]:
    """Values that own facts could not take, by fact: another type than the fact's, or money in another currency."""
    notes = []
    for lifecycle in rules.lifecycles:
        for name, fact in lifecycle.own.by_name.items():
            values = [
                event.data[fact.field]
                for event in story
                if fact.field is not None and event.type in fact.of
                if event.data.get(fact.field) is not None and fact.read(event) is None
            ]
            if values:
                shown, times = reprlib.repr(values[0]), f"{len(values)} event{'s' * (len(values) > 1)}"
                meant = f"an amount in {rules.currency}" if fact.type is FactType.MONEY else "what the fact counts"
                notes.append(
                    f"{lifecycle.name}: `{name}` passed over `{fact.field}` of {times}: {shown}, the first, is not {meant}"
                )
    return notes


def refusal(step: Step) -> str | None:
    """Why an event was not applied; None when it was."""
    if isinstance(step.decision, Applied):
        return None
    if isinstance(step.decision, BehindClock):
        decided = to_text(step.decision.decided_until_ms)
        return f"an imported event from before what was decided until {decided}; put an import's lines in order of time"
    return step.decision.detail


def changes(step: Step) -> Sequence[StageChange]:
    """The stage changes that a step brought."""
    return step.decision.changes if isinstance(step.decision, Applied) else ()


def moment(step: Step) -> int:
    """Until when the story had come with a step, in milliseconds."""
    return step.occurrence.arrival_ms if isinstance(step.occurrence, Event) else step.occurrence.until_ms


def _occurrence(step: Step) -> Json:
    if isinstance(step.occurrence, Event):
        event = step.occurrence
        return {"event": {"id": event.id, "type": event.type, "time": to_text(event.time_ms)}}
    return {"time_goes_by_until": to_text(moment(step))}
