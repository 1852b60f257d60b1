"""A second, slow and literal reading of the rules of time, edges and facts, to compare `advance` with.

It shares no code with the engine: facts are counted anew from the whole history each time, every edge is tried in the
order of the file, due times are computed for all edges whenever they are needed. Times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from tests.properties.conditions import Condition


@dataclass(frozen=True)
class Edge:
    """A transition as generated; `after` in ms."""

    id: str
    sources: tuple[str, ...]
    target: str
    on: tuple[str, ...] = ()
    when: Condition | None = None
    after: int | None = None
    since: str | None = None

    def reads(self) -> set[str]:
        """Facts that its `when` names, and its `since`."""
        return {*(self.when.reads() if self.when else ()), *([self.since] if self.since else ())}


@dataclass(frozen=True)
class Plan:
    """A lifecycle as generated: stages with their orders, the first one the start."""

    name: str
    orders: Mapping[str, int]
    edges: tuple[Edge, ...]
    lateness: int

    @property
    def start(self) -> str:
        """The stage in which a customer begins."""
        return next(iter(self.orders))


class Record(NamedTuple):
    """What the log took: `said` is the sender's time, `logged` the log's."""

    id: str
    type: str
    said: int
    logged: int
    backfill: bool
    data: Mapping[str, Any]

    @property
    def happened(self) -> int:
        """E"""
        return min(self.said, self.logged)

    @property
    def arrival(self) -> int:
        """A"""
        return self.happened if self.backfill else self.logged


class Change(NamedTuple):
    """A stage change, with all that is compared."""

    at: int
    lifecycle: str
    from_: str | None
    to: str
    transition: str | None
    direction: str
    entry: int
    sequence: int
    revision: int
    settled: bool
    late: bool
    backfill: bool
    cause: str | int
    previous_entered: int | None
    facts: Mapping[str, int]


@dataclass
class Life:
    """Where a customer is in one lifecycle. `gone_off` are due times that were looked at and changed nothing."""

    stage: str
    entered: int
    clock: int
    visits: list[str]
    gone_off: set[int] = field(default_factory=set)


@dataclass
class Oracle:
    """One customer under some lifecycles, which run in the order given."""

    plans: Sequence[Plan]
    history: list[Record] = field(default_factory=list)
    lives: dict[str, Life] = field(default_factory=dict)
    revision: int = 0
    sequence: int = 0
    import_end: int = 0
    decided_until: int = 0

    def take(self, record: Record) -> list[Change] | None:
        """Apply a record; None when a backfill reaches behind what was decided: an arrival applied, a timer that moved."""
        if record.backfill and record.happened < self.decided_until:
            return None
        changes = self.let_pass(record.arrival)
        self.decided_until = max(self.decided_until, record.arrival)
        before = facts_of(self.history)
        self.history.append(record)
        if record.backfill:
            self.import_end = max(self.import_end, record.logged)
        after = facts_of(self.history)
        moved = {name for name in after if before.get(name) != after[name]}
        self.revision += 1
        for plan in self.plans:
            changes += self._event(plan, record, after, moved)
        return changes

    def let_pass(self, until: int) -> list[Change]:
        """Let all wake-ups go off that are ripe by then."""
        changes: list[Change] = []
        while ripe := [wake for wake in self._wakes() if wake[0] <= until]:
            when_ripe, due, place = min(ripe)
            moved = self._wake(self.plans[place], due, when_ripe <= self.import_end)
            if moved:
                self.decided_until = max(self.decided_until, when_ripe)
            changes += moved
        return changes

    def _wakes(self) -> list[tuple[int, int, int]]:
        """(ripe, due, place of the lifecycle) of everything that is armed."""
        facts = facts_of(self.history)
        armed = []
        for place, plan in enumerate(self.plans):
            life = self.lives.get(plan.name)
            if life is None:
                continue
            for edge in plan.edges:
                due = due_of(edge, life.entered, facts)
                if edge.on or life.stage not in edge.sources or due is None:
                    continue
                if due > life.clock and due not in life.gone_off:
                    armed.append((due + plan.lateness, due, place))
        return armed

    def _wake(self, plan: Plan, due: int, backfill: bool) -> list[Change]:
        life = self.lives[plan.name]
        facts = facts_of(self.history)
        at = max(due, life.clock)
        hops = walk(plan, life, at, facts, None, lambda edge: due_of(edge, life.entered, facts) == due)
        if not hops:
            life.gone_off.add(due)
            return []
        self.revision += 1
        return self._record(plan, hops, at, _Why(due, False, backfill), facts)

    def _event(self, plan: Plan, record: Record, facts: Mapping[str, int], moved: set[str]) -> list[Change]:
        why = _Why(record.id, False, record.backfill)
        at = record.happened
        hops: list[Edge | None] = []
        life = self.lives.get(plan.name)
        if life is None:
            hops = [None]
            life = Life(plan.start, at, at, [])
            self.lives[plan.name] = life
            hops += walk(plan, life, at, facts, record, lambda edge: True)
        else:
            clock, entered = life.clock, life.entered
            at = max(at, clock)
            why = why._replace(late=record.happened < clock)

            def considered(edge: Edge) -> bool:
                due = due_of(edge, entered, facts)
                return bool(edge.reads() & moved) or (due is not None and clock < due <= at)

            hops += walk(plan, life, at, facts, record, considered)
        return self._record(plan, hops, at, why, facts)

    def _record(
        self, plan: Plan, hops: Sequence[Edge | None], at: int, why: _Why, facts: Mapping[str, int]
    ) -> list[Change]:
        life = self.lives[plan.name]
        changes = []
        for number, edge in enumerate(hops, start=1):
            to = edge.target if edge else plan.start
            life.visits.append(to)
            self.sequence += 1
            changes.append(
                Change(
                    at=at,
                    lifecycle=plan.name,
                    from_=life.stage if edge else None,
                    to=to,
                    transition=edge.id if edge else None,
                    direction=direction(plan, life.stage if edge else None, to),
                    entry=life.visits.count(to),
                    sequence=self.sequence,
                    revision=self.revision,
                    settled=number == len(hops),
                    late=why.late,
                    backfill=why.backfill,
                    cause=why.cause,
                    previous_entered=life.entered if edge else None,
                    facts={name: facts[name] for name in edge.reads() if name in facts} if edge else {},
                )
            )
            life.stage, life.entered = to, at
        life.clock = at
        life.gone_off.clear()
        return changes


class _Why(NamedTuple):
    cause: str | int
    late: bool
    backfill: bool


def walk(
    plan: Plan,
    life: Life,
    at: int,
    facts: Mapping[str, int],
    record: Record | None,
    considered: Callable[[Edge], bool],
) -> list[Edge]:
    """The edges taken: at most one `on` edge, then pure ones, no stage twice."""
    taken: list[Edge] = []
    seen = [life.stage]
    entered = life.entered

    def out_of_here() -> list[Edge]:
        return [edge for edge in plan.edges if seen[-1] in edge.sources]

    def take(edge: Edge) -> None:
        nonlocal entered
        taken.append(edge)
        seen.append(edge.target)
        entered = at

    if record is not None:
        asked = [edge for edge in out_of_here() if record.type in edge.on]
        for edge in [edge for edge in asked if holds(edge, record, at, entered, facts)][:1]:
            take(edge)
    while True:
        pure = [edge for edge in out_of_here() if not edge.on and edge.target not in seen]
        open_ = [edge for edge in pure if (taken or considered(edge)) and holds(edge, None, at, entered, facts)]
        if not open_:
            return taken
        take(open_[0])


def holds(edge: Edge, record: Record | None, at: int, entered: int, facts: Mapping[str, int]) -> bool:
    """All that is given of `when` and `after` with `since`."""
    if edge.when and edge.when.verdict(facts, record.data if record else {}) is not True:
        return False
    due = due_of(edge, entered, facts)
    return edge.after is None or (due is not None and due <= at)


def due_of(edge: Edge, entered: int, facts: Mapping[str, int]) -> int | None:
    """When `after` will be over."""
    if edge.after is None:
        return None
    since = facts.get(edge.since) if edge.since else entered
    return None if since is None else since + edge.after


def direction(plan: Plan, from_: str | None, to: str) -> str:
    """up, down or same"""
    if from_ is None or plan.orders[to] > plan.orders[from_]:
        return "up"
    return "down" if plan.orders[to] < plan.orders[from_] else "same"


def facts_of(history: Sequence[Record]) -> dict[str, int]:
    """All built-in facts, from the whole history in the order in which it was applied. The currency is BRL."""
    by_time = sorted(history, key=lambda record: record.happened)

    def times(*types: str) -> list[int]:
        return [record.happened for record in by_time if not types or record.type in types]

    def amounts(type_: str) -> list[int]:
        priced = (record.data for record in history if record.type == type_)
        return [int(Decimal(data["amount"]) * 100) for data in priced if data["currency"] == "BRL"]

    bought = amounts("purchase")
    facts = {
        "orders": len(times("purchase")),
        "revenue": sum(bought) - sum(amounts("purchase_refunded")),
        "refunds": len(times("purchase_refunded")),
        "complaints": len(times("complaint")),
        "open_complaints": len(_complaint_ids(history, "complaint") - _complaint_ids(history, "complaint_resolved")),
        "referrals": len(times("referral")),
        "engagements": len(times("engagement")),
    }
    first_and_last = {
        "signed_up_at": times("signup")[:1],
        "first_seen": times()[:1],
        "last_seen": times()[-1:],
        "first_purchase_at": times("purchase")[:1],
        "last_purchase_at": times("purchase")[-1:],
        "last_engagement_at": times("engagement")[-1:],
        "average_order_value": [_nearest(sum(bought), len(bought))] if bought else [],
    }
    for kind in ("nps", "csat", "ces"):
        answers = [r.data["score"] for r in by_time if r.type == "survey_response" and r.data["kind"] == kind]
        first_and_last[kind] = answers[-1:]
    return facts | {name: values[0] for name, values in first_and_last.items() if values}


def _complaint_ids(history: Sequence[Record], type_: str) -> set[str]:
    return {record.data["complaint_id"] for record in history if record.type == type_}


def _nearest(total: int, count: int) -> int:
    """Rounded to the minor unit; the histories avoid ties."""
    return round(Decimal(total) / count)
