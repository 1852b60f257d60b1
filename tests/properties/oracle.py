"""A second, slow and literal reading of the rules of time, edges and facts, to compare `advance` with.

It shares no code with the engine: facts are counted anew from the whole history each time, every edge is tried in the
order of the file, due times are computed for all edges whenever they are needed. Times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.properties.conditions import Condition, Facts
from tests.properties.counted import facts_of
from tests.properties.declared import FAILED, OwnFact, values_at, windows_behind
from tests.properties.records import Record

STAGES = "stages."


@dataclass(frozen=True)
class Follow:
    """A wait as long as a fact says, `times` over, and within bounds in ms."""

    fact: str
    times: float
    shortest: int | None
    longest: int | None

    def length(self, facts: Facts) -> int | None:
        """In ms; None while the fact has no value."""
        if self.fact not in facts:
            return None
        length = int(facts[self.fact] * self.times)
        if self.shortest is not None and length < self.shortest:
            return self.shortest
        return self.longest if self.longest is not None and length > self.longest else length


@dataclass(frozen=True)
class Edge:
    """A transition as generated; `after` in ms."""

    id: str
    sources: tuple[str, ...]
    target: str
    on: tuple[str, ...] = ()
    when: Condition | None = None
    after: int | Follow | None = None
    since: str | None = None

    def reads(self) -> set[str]:
        """Facts and stages that its `when` names, its `since`, and what its wait follows."""
        follows = {self.after.fact} if isinstance(self.after, Follow) else set()
        return {*(self.when.reads() if self.when else ()), *([self.since] if self.since else ()), *follows}


@dataclass(frozen=True)
class Plan:
    """A lifecycle as generated: stages with their orders, the first one the start."""

    name: str
    orders: Mapping[str, int]
    edges: tuple[Edge, ...]
    lateness: int
    zone: str = "UTC"
    facts: tuple[OwnFact, ...] = ()

    @property
    def start(self) -> str:
        """The stage in which a customer begins."""
        return next(iter(self.orders))

    def stages_read(self) -> set[str]:
        """Lifecycles whose stages its conditions read, by the names under which they do."""
        return {name for edge in self.edges for name in edge.reads() if name.startswith(STAGES)}


def in_running_order(plans: Sequence[Plan]) -> list[Plan]:
    """One that reads another's stage after that one, otherwise by name."""
    waiting, ordered = sorted(plans, key=lambda plan: plan.name), list[Plan]()
    while waiting:
        names = {f"{STAGES}{plan.name}" for plan in waiting}
        ordered.append(next(plan for plan in waiting if not plan.stages_read() & names))
        waiting.remove(ordered[-1])
    return ordered


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
    facts: Mapping[str, Any]


@dataclass
class Life:
    """Where a customer is in one lifecycle. `gone_off` are due times that were looked at and changed nothing; `seen` is
    what every fact and stage was at the clock."""

    stage: str
    entered: int
    clock: int
    visits: list[str]
    gone_off: set[int] = field(default_factory=set)
    seen: Facts = field(default_factory=dict)


@dataclass
class Oracle:
    """One customer under some lifecycles."""

    plans: Sequence[Plan]
    history: list[Record] = field(default_factory=list)
    lives: dict[str, Life] = field(default_factory=dict)
    revision: int = 0
    sequence: int = 0
    import_end: int = 0
    decided_until: int = 0
    moving: set[str] = field(default_factory=set)
    """Lifecycles in which the decision under way has moved the customer, by the names under which they are read."""

    def __post_init__(self) -> None:
        self.plans = in_running_order(self.plans)

    def take(self, record: Record) -> list[Change] | None:
        """Apply a record; None when a backfill reaches behind what was decided: an arrival applied, a timer that moved."""
        if record.backfill and record.happened < self.decided_until:
            return None
        changes = self.let_pass(record.arrival)
        self.decided_until = max(self.decided_until, record.arrival)
        self.history.append(record)
        if record.backfill:
            self.import_end = max(self.import_end, record.logged)
        self.revision += 1
        self.moving.clear()
        for plan in self.plans:
            changes += self._event(plan, record)
        return changes

    def let_pass(self, until: int) -> list[Change]:
        """Let all wake-ups go off that are ripe by then."""
        changes: list[Change] = []
        while ripe := [wake for wake in self._wakes() if wake[0] <= until]:
            when_ripe, due, place = min(ripe)
            moved = self._wake(place, due, when_ripe <= self.import_end)
            if moved:
                self.decided_until = max(self.decided_until, when_ripe)
            changes += moved
        return changes

    def facts_at(self, plan: Plan, at: int) -> dict[str, Any]:
        """All that the lifecycle's conditions can read, as it stands at a moment."""
        counted = facts_of(self.history)
        stages = {f"{STAGES}{name}": life.stage for name, life in self.lives.items()}
        return counted | values_at(plan.facts, counted, self.history, at, plan.zone) | stages

    def _wakes(self) -> list[tuple[int, int, int]]:
        """(ripe, due, place of the lifecycle) of everything that is armed."""
        armed = []
        for place, plan in enumerate(self.plans):
            life = self.lives.get(plan.name)
            for due in self._due_times(plan, life) if life else ():
                if life and due > life.clock and due not in life.gone_off:
                    armed.append((due + plan.lateness, due, place))
        return armed

    def _due_times(self, plan: Plan, life: Life) -> list[int]:
        """Ends of waits, and of days in windows, that matter where the customer is; past ones too."""
        facts = self.facts_at(plan, life.clock)
        pure = [edge for edge in plan.edges if not edge.on and life.stage in edge.sources]
        waits = [due for edge in pure if (due := due_of(edge, life.entered, facts)) is not None]
        read = {name for edge in pure for name in edge.reads()}
        windows = windows_behind(plan.facts, read)
        return waits + [due for window in windows for due in window.leaves(self.history, plan.zone)]

    def _wake(self, place: int, due: int, backfill: bool) -> list[Change]:
        plan, why = self.plans[place], _Why(due, False, backfill)
        life = self.lives[plan.name]
        moment = _Moment(max(due, life.clock))
        self.moving.clear()
        hops = self._walk(plan, moment, lambda edge, facts: due_of(edge, life.entered, facts) == due)
        if not hops:
            life.gone_off.add(due)
            return []
        self.revision += 1
        changes = self._record(plan, hops, moment, why)
        for reader in self.plans[place + 1 :]:
            if reader.stages_read() & self.moving and reader.name in self.lives:
                there = _Moment(max(due, self.lives[reader.name].clock))
                if hops := self._walk(reader, there, self._in_time(reader, there.at)):
                    changes += self._record(reader, hops, there, why)
        return changes

    def _event(self, plan: Plan, record: Record) -> list[Change]:
        why = _Why(record.id, False, record.backfill)
        moment = _Moment(record.happened, record)
        life = self.lives.get(plan.name)
        if life is None:
            self.lives[plan.name] = Life(plan.start, moment.at, moment.at, [])
            return self._record(plan, [None, *self._walk(plan, moment, lambda edge, facts: True)], moment, why)
        moment = moment._replace(at=max(record.happened, life.clock))
        why = why._replace(late=record.happened < life.clock)
        return self._record(plan, self._walk(plan, moment, self._in_time(plan, moment.at)), moment, why)

    def _in_time(self, plan: Plan, at: int) -> _Considered:
        """Edges whose wait was over since the clock."""
        life = self.lives[plan.name]
        clock, entered = life.clock, life.entered

        def considered(edge: Edge, facts: Facts) -> bool:
            due = due_of(edge, entered, facts)
            return due is not None and clock < due <= at

        return considered

    def _walk(self, plan: Plan, moment: _Moment, in_time: _Considered) -> list[Edge]:
        """The edges taken from where the customer is: considered are those that read what is not what it was at the
        clock or a stage that has just changed, and those whose time has come."""
        life, facts = self.lives[plan.name], self.facts_at(plan, moment.at)

        def considered(edge: Edge) -> bool:
            read = edge.reads()
            changed = any(life.seen.get(name) != facts.get(name) for name in read) or read & self.moving
            return bool(changed) or in_time(edge, facts)

        return walk(plan, life, moment, facts, considered)

    def _record(self, plan: Plan, hops: Sequence[Edge | None], moment: _Moment, why: _Why) -> list[Change]:
        life, facts = self.lives[plan.name], self.facts_at(plan, moment.at)
        changes = []
        for number, edge in enumerate(hops, start=1):
            to = edge.target if edge else plan.start
            life.visits.append(to)
            self.sequence += 1
            changes.append(
                Change(
                    at=moment.at,
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
                    facts={name: facts[name] for name in edge.reads() if has_value(facts, name)} if edge else {},
                )
            )
            life.stage, life.entered = to, moment.at
            self.moving.add(f"{STAGES}{plan.name}")
        life.clock, life.seen = moment.at, facts
        life.gone_off.clear()
        return changes


class _Why(NamedTuple):
    cause: str | int
    late: bool
    backfill: bool


class _Moment(NamedTuple):
    """When edges are judged, and by which event, if by one."""

    at: int
    record: Record | None = None


_Considered = Callable[[Edge, Facts], bool]


def walk(plan: Plan, life: Life, moment: _Moment, facts: Facts, considered: Callable[[Edge], bool]) -> list[Edge]:
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
        entered = moment.at

    if (record := moment.record) is not None:
        asked = [edge for edge in out_of_here() if record.type in edge.on]
        for edge in [edge for edge in asked if holds(edge, moment, entered, facts)][:1]:
            take(edge)
    while True:
        pure = [edge for edge in out_of_here() if not edge.on and edge.target not in seen]
        alone = moment._replace(record=None)
        open_ = [edge for edge in pure if (taken or considered(edge)) and holds(edge, alone, entered, facts)]
        if not open_:
            return taken
        take(open_[0])


def has_value(facts: Facts, name: str) -> bool:
    """Whether a condition could use it."""
    return facts.get(name, FAILED) is not FAILED


def holds(edge: Edge, moment: _Moment, entered: int, facts: Facts) -> bool:
    """All that is given of `when` and `after` with `since`. What names a fact that can't be computed does not hold."""
    if edge.when and any(facts.get(name) is FAILED for name in edge.when.reads()):
        return False
    if edge.when and edge.when.verdict(facts, moment.record.data if moment.record else {}) is not True:
        return False
    due = due_of(edge, entered, facts)
    return edge.after is None or (due is not None and due <= moment.at)


def due_of(edge: Edge, entered: int, facts: Facts) -> int | None:
    """When `after` will be over."""
    if edge.after is None:
        return None
    since = facts.get(edge.since) if edge.since else entered
    length = edge.after.length(facts) if isinstance(edge.after, Follow) else edge.after
    return None if since is None or length is None else int(since) + length


def direction(plan: Plan, from_: str | None, to: str) -> str:
    """up, down or same"""
    if from_ is None or plan.orders[to] > plan.orders[from_]:
        return "up"
    return "down" if plan.orders[to] < plan.orders[from_] else "same"
