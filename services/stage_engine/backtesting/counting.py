"""What many lives under one set of rules add up to: who is where when, and who moves on. Pure.

Bounded: numbers for stages, pairs of stages, moments and buckets; no customer is kept.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, log
from typing import NamedTuple

from services.stage_engine.backtesting.lives import Life, Step
from services.stage_engine.backtesting.periods import Span
from shared.contracts.times import SECOND_MS

BUCKET_RATIO = 1.1
"""How much longer the longest stay of a bucket is than its shortest: a median is right to within 10 %."""

_NOWHERE = -1
"""Below every order: a stage that the rules do not have."""

Pair = tuple[str | None, str]
"""From one stage to another; from None for those who enter the lifecycle."""


class Stays:
    """How long stays lasted, by length in buckets that grow by BUCKET_RATIO from one second on."""

    def __init__(self) -> None:
        self._buckets: dict[int, tuple[int, int]] = {}

    def add(self, length_ms: int) -> None:
        """Count one."""
        number = floor(log(max(length_ms, SECOND_MS) / SECOND_MS, BUCKET_RATIO))
        count, total = self._buckets.get(number, (0, 0))
        self._buckets[number] = (count + 1, total + length_ms)

    def median_ms(self) -> int | None:
        """About the median (the lower one of two): the average of the bucket that it is in. None without any."""
        left = (sum(count for count, _ in self._buckets.values()) + 1) // 2
        for number in sorted(self._buckets):
            count, total = self._buckets[number]
            left -= count
            if left <= 0:
                return total // count
        return None


class Flow(NamedTuple):
    """Of one stage: how often it was entered and left, how many of the entries led on to a stage of higher order, and about
    the median time there before leaving (milliseconds; None without any who left)."""

    entered: int
    left: int
    went_on: int
    median_ms: int | None

    @property
    def share(self) -> float | None:
        """The entries that led on to a higher stage, of all; None without any."""
        return self.went_on / self.entered if self.entered else None


@dataclass(slots=True)
class Counts:
    """Of one set of rules. `populations` has a number for each moment of the span, by stage; `moves`, `went_on` and `stays`
    are about what happened within the span.

    `went_on` counts entries into a stage after which the customer came, directly or later, to one of higher order. A stay
    counts when it ends; a stage that one decision only led through has none.
    """

    span: Span
    orders: Mapping[str, int]
    populations: dict[str, list[int]] = field(default_factory=dict)
    moves: Counter[Pair] = field(default_factory=Counter)
    went_on: Counter[str] = field(default_factory=Counter)
    stays: dict[str, Stays] = field(default_factory=dict)

    def add(self, life: Life) -> None:
        """Count one customer."""
        self._add_population(life.steps)
        within: list[str] = []
        led_through = False
        for change in (step.change for step in life.steps if step.change is not None):
            passing, led_through = led_through, not change.settled
            if change.effective_ms < self.span.from_ms:
                continue
            within.append(change.to)
            self.moves[change.from_, change.to] += 1
            if change.from_ is not None and change.previous_entered_ms is not None and not passing:
                stays = self.stays.setdefault(change.from_, Stays())
                stays.add(change.effective_ms - change.previous_entered_ms)
        self._add_went_on(within)

    def population(self, place: int) -> dict[str, int]:
        """Who is where at one of the span's moments, by its place; stages where nobody is are left out."""
        return {stage: numbers[place] for stage, numbers in self.populations.items() if numbers[place]}

    def flow(self, stage: str) -> Flow:
        """What came and went there within the span."""
        entered = sum(number for (_, to), number in self.moves.items() if to == stage)
        left = sum(number for (from_, _), number in self.moves.items() if from_ == stage)
        median_ms = self.stays[stage].median_ms() if stage in self.stays else None
        return Flow(entered, left, self.went_on[stage], median_ms)

    def _add_population(self, steps: Sequence[Step]) -> None:
        starts = [step.at_ms for step in steps]
        for place, moment in enumerate(self.span.moments):
            # What takes effect at the moment itself belongs to the time after it.
            if reached := bisect_left(starts, moment):
                stage = steps[reached - 1].stage
                self.populations.setdefault(stage, [0] * len(self.span.moments))[place] += 1

    def _add_went_on(self, entered: Sequence[str]) -> None:
        """`entered` are the stages that a customer entered within the span, in order."""
        highest = _NOWHERE
        for stage in reversed(entered):
            order = self.orders.get(stage, _NOWHERE)
            if _NOWHERE < order < highest:
                self.went_on[stage] += 1
            highest = max(order, highest)
