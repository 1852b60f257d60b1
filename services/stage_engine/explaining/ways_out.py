"""The ways out of a stage as they stand at a moment: each part of each condition, what it reads, and what it says.

Nothing here decides. A part holds, fails, is unknown or can't be computed, as conditions are judged by `advance`; or it
waits, since it needs an event or time. What an event of a way's `on` would change before the way is judged is marked: a
second purchase is counted before anybody asks for two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.expressions import ConditionError, Name, names_in
from services.stage_engine.definitions.parts import Part, parts_of
from services.stage_engine.domain.conditions import Condition, Verdict
from services.stage_engine.domain.lifecycle import Lifecycle, Transition
from services.stage_engine.domain.own_facts import STAGES, known_values
from services.stage_engine.domain.publishing import shown_facts
from services.stage_engine.domain.state import FactValue, LifecycleState
from services.stage_engine.domain.walk import due_ms
from shared.contracts.events import EventType
from shared.contracts.times import duration_text, to_text

Json = dict[str, Any]

WAITS = "waits"
"""Neither holds nor fails now: it takes an event, or time."""
_HOLDS: str = Verdict.HOLDS.value
_FAILS: str = Verdict.FAILS.value
_UNTOLD: Sequence[str] = (Verdict.UNKNOWN.value, Verdict.ERROR.value)

MOVED_BY: Mapping[str, frozenset[str]] = {
    "signed_up_at": frozenset({EventType.SIGNUP}),
    "orders": frozenset({EventType.PURCHASE}),
    "revenue": frozenset({EventType.PURCHASE, EventType.PURCHASE_REFUNDED}),
    "refunds": frozenset({EventType.PURCHASE_REFUNDED}),
    "average_order_value": frozenset({EventType.PURCHASE}),
    "first_purchase_at": frozenset({EventType.PURCHASE}),
    "last_purchase_at": frozenset({EventType.PURCHASE}),
    "complaints": frozenset({EventType.COMPLAINT}),
    "open_complaints": frozenset({EventType.COMPLAINT, EventType.COMPLAINT_RESOLVED}),
    "nps": frozenset({EventType.SURVEY_RESPONSE}),
    "csat": frozenset({EventType.SURVEY_RESPONSE}),
    "ces": frozenset({EventType.SURVEY_RESPONSE}),
    "referrals": frozenset({EventType.REFERRAL}),
    "engagements": frozenset({EventType.ENGAGEMENT}),
    "last_engagement_at": frozenset({EventType.ENGAGEMENT}),
}
"""The event types that move a built-in fact; those that are not here are moved by any."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a customer stands in a lifecycle, with all that its conditions may read, at a moment."""

    lifecycle: Lifecycle
    definition: Definition
    current: LifecycleState
    facts: Mapping[str, FactValue]
    currency: str
    at_ms: int


def ways_out(standing: Standing) -> list[Json]:
    """Each transition out of the stage, in the order of the file, as stable JSON."""
    leaving = [edge for edge in standing.lifecycle.transitions if standing.current.stage in edge.sources]
    return [_way(standing, edge) for edge in leaving]


def _way(standing: Standing, edge: Transition) -> Json:
    way: Json = {"transition": edge.id, "to": edge.target}
    verdicts: list[str] = []
    if edge.on:
        way["on"] = sorted(edge.on)
        verdicts.append(WAITS)
    if edge.when is not None:
        way["when"] = _when(standing, edge, edge.when)
        verdicts.append(_once_counted(way["when"]))
    if edge.after is not None:
        way["after"] = _wait(standing, edge)
        verdicts.append(way["after"]["verdict"])
    return {**way, "verdict": _all_of(verdicts)}


def _wait(standing: Standing, edge: Transition) -> Json:
    assert edge.after is not None
    length = edge.after.length_ms(standing.facts)
    due = due_ms(edge, standing.current.entered_ms, standing.facts)
    over = due is not None and due <= standing.at_ms
    follows = {"follows": f"facts.{edge.after.fact}"} if edge.after.fact else {}
    return {
        **follows,
        "since": f"facts.{edge.since}" if edge.since else "entered",
        "length": None if length is None else duration_text(length),
        "due_at": None if due is None else to_text(due),
        "verdict": Verdict.UNKNOWN.value if due is None else _HOLDS if over else WAITS,
    }


def _when(standing: Standing, edge: Transition, condition: Condition) -> Json:
    try:
        return _part(standing, edge, parts_of(condition.source))
    except ConditionError:
        # A part that is true or false only in its place, such as a value of any type between two conditions.
        return _leaf(standing, edge, condition)


def _part(standing: Standing, edge: Transition, part: Part) -> Json:
    if part.parts:
        inner = [_part(standing, edge, each) for each in part.parts]
        return {"text": part.text, "verdict": _joined(part.joined_by, _verdicts(inner)), part.joined_by: inner}
    if _names_event(names_in(part.text)):
        return _of_event(standing, edge, part.text)
    return _leaf(standing, edge, standing.definition.condition(part.text, edge.on, standing.currency))


def _leaf(standing: Standing, edge: Transition, condition: Condition) -> Json:
    names = names_in(condition.source)
    if _names_event(names):
        return _of_event(standing, edge, condition.source)
    finding = condition.evaluate(standing.facts, {})
    leaf: Json = {"text": condition.source, "verdict": finding.verdict.value}
    leaf |= {"detail": finding.detail} if finding.verdict is Verdict.ERROR else {}
    leaf |= {"reads": _reads(standing, names)}
    return {**leaf, "event_counts_first": True} if _may_be_moved(standing, edge, condition.reads) else leaf


def _of_event(standing: Standing, edge: Transition, text: str) -> Json:
    """What reads the event can't be judged before it comes."""
    return {"text": text, "verdict": WAITS, "reads": _reads(standing, names_in(text))}


def _names_event(names: Iterable[Name]) -> bool:
    return any(kind == "event" for kind, _ in names)


def _reads(standing: Standing, names: Iterable[Name]) -> Json:
    """Facts and stages with their values, as people read them; null for what has none."""
    read = sorted({f"{STAGES}{name}" if kind == "stages" else name for kind, name in names if kind != "event"})
    known = known_values(standing.facts, read)
    shown = shown_facts(known, standing.lifecycle.own.types, standing.currency)
    return {name if name.startswith(STAGES) else f"facts.{name}": shown.get(name) for name in read}


def _may_be_moved(standing: Standing, edge: Transition, reads: Iterable[str]) -> bool:
    """Whether an event of the edge's `on` may change what a condition reads, before the edge is judged."""
    own = standing.lifecycle.own
    for source in {source for name in reads for source in own.sources(name)}:
        moved_by = own.by_name[source].of if source in own.by_name else MOVED_BY.get(source)
        if edge.on and (moved_by is None or moved_by & edge.on):
            return True
    return False


def _once_counted(part: Json) -> str:
    """The verdict when what the event may change is left open."""
    for joined_by in ("all", "any"):
        if joined_by in part:
            return _joined(joined_by, [_once_counted(each) for each in part[joined_by]])
    return WAITS if part.get("event_counts_first") else str(part["verdict"])


def _joined(joined_by: str, verdicts: Sequence[str]) -> str:
    return _all_of(verdicts) if joined_by == "all" else _any_of(verdicts)


def _all_of(verdicts: Sequence[str]) -> str:
    """All must hold: one that fails settles it; of those that can't be told the first is told, as CEL does."""
    if _FAILS in verdicts:
        return _FAILS
    return _untold(verdicts) or (WAITS if WAITS in verdicts else _HOLDS)


def _any_of(verdicts: Sequence[str]) -> str:
    """One that holds is enough; otherwise what may still come to hold goes before what fails."""
    for enough in (_HOLDS, WAITS):
        if enough in verdicts:
            return enough
    return _untold(verdicts) or _FAILS


def _untold(verdicts: Iterable[str]) -> str | None:
    return next((each for each in verdicts if each in _UNTOLD), None)


def _verdicts(parts: Iterable[Json]) -> list[str]:
    return [str(each["verdict"]) for each in parts]
