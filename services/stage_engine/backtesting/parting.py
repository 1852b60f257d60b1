"""Where two lives of one customer part, and why; and how many of all do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from services.stage_engine.backtesting.lives import Life, Step
from services.stage_engine.domain.decision import StageChange
from services.stage_engine.domain.publishing import publish_change
from services.stage_engine.store.customers import CustomerKey

Json = dict[str, Any]
Ends = tuple[str | None, str | None]
"""Where a customer ends under the active rules and under those that are tried."""

MOST_EXAMPLES = 5


class Moved(NamedTuple):
    """Where a life is from the parting on, and the moves that brought it there at that very moment; none where it stays."""

    stage: str | None
    changes: tuple[StageChange, ...]


class Parting(NamedTuple):
    """The first moment from which on a customer is in different stages under the two sets of rules."""

    at_ms: int
    active: Moved
    candidate: Moved


class Example(NamedTuple):
    """A customer who ends elsewhere, and how that began; the two sides as `--format json` gives them."""

    customer: CustomerKey
    ends: Ends
    at_ms: int
    active: Json
    candidate: Json


@dataclass(slots=True)
class Differences:
    """Between the lives of all customers. `ends` counts where they end, `ever` those who are elsewhere at any moment."""

    ends: Counter[Ends] = field(default_factory=Counter)
    ever: int = 0
    _examples: dict[Ends, list[Example]] = field(default_factory=dict)

    def add(self, customer: CustomerKey, active: Life, candidate: Life, currency: str) -> None:
        """Count one customer."""
        ends = (active.stage, candidate.stage)
        self.ends[ends] += 1
        found = parting(active, candidate)
        if found is None:
            return
        self.ever += 1
        kept = self._examples.setdefault(ends, [])
        if ends[0] != ends[1] and len(kept) < MOST_EXAMPLES:
            sides = (_side(moved, customer, currency) for moved in found[1:])
            kept.append(Example(customer, ends, found.at_ms, *sides))

    @property
    def elsewhere(self) -> int:
        """How many end in another stage."""
        return sum(number for (active, candidate), number in self.ends.items() if active != candidate)

    def examples(self) -> list[Example]:
        """A few who end elsewhere: one for each way in which that happens, the most frequent first, then more of them."""
        ways = [ends for ends, _ in self.ends.most_common() if ends in self._examples]
        by_turn = (self._examples[ends][turn : turn + 1] for turn in range(MOST_EXAMPLES) for ends in ways)
        return [example for some in by_turn for example in some][:MOST_EXAMPLES]


def parting(active: Life, candidate: Life) -> Parting | None:
    """Where two lives part; None when the customer is in the same stage at every moment. What one moment only leads
    through does not count: nobody is there for any time."""
    one, other = _by_moment(active.steps), _by_moment(candidate.steps)
    before: Ends = (None, None)
    for at_ms in sorted(one.keys() | other.keys()):
        moved = (_moved(before[0], one.get(at_ms, ())), _moved(before[1], other.get(at_ms, ())))
        before = (moved[0].stage, moved[1].stage)
        if before[0] != before[1]:
            return Parting(at_ms, *moved)
    return None


def _by_moment(steps: Sequence[Step]) -> dict[int, tuple[Step, ...]]:
    return {at_ms: tuple(group) for at_ms, group in groupby(steps, key=lambda step: step.at_ms)}


def _moved(stage: str | None, steps: Sequence[Step]) -> Moved:
    return Moved(steps[-1].stage if steps else stage, tuple(step.change for step in steps if step.change is not None))


def _side(moved: Moved, customer: CustomerKey, currency: str) -> Json:
    return {"stage": moved.stage, "moves": [_told(change, customer, currency) for change in moved.changes]}


def _told(change: StageChange, customer: CustomerKey, currency: str) -> Json:
    kept: Json = msgspec.json.decode(publish_change(change, *customer, currency).kept)
    return {name: kept[name] for name in ("from", "to", "transition", "cause", "facts")}
