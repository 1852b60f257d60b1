"""Lives every customer's history again and compares: 0 differences is the invariant that all else stands on.

Read-only and in pages, each from one snapshot. A stored state may be short of timers that its partition's watermark has
made ripe a moment ago, so both sides are let go on to the same time before they are compared.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import msgspec

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.event import Tick
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.looking_back import Life, histories
from services.stage_engine.publications.catching_up import Course, meet_all, replay
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations, bases, listings, population, progress
from services.stage_engine.store.customers import CustomerKey
from shared.db.port import Database, Transaction
from shared.errors import Permanent


@dataclass(frozen=True, slots=True)
class Difference:
    """A customer whose stored state is not what their history gives; the fields that differ, stored and lived again."""

    customer: CustomerKey
    fields: dict[str, tuple[object, object]]


@dataclass(frozen=True, slots=True)
class Page:
    """Some customers compared."""

    customers: int
    events: int
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Compares the customers of one database; `page` is how many are in memory at once."""

    database: Database
    rulebook: RuleBook
    settle_ms: int
    page: int = 200

    async def size(self, only: CustomerKey | None = None) -> int:
        """How many customers there are to compare; others may come while that is done."""
        async with self.database.reading() as transaction:
            if only is None:
                return await population.size(transaction, None)
            return len(await listings.states_after(transaction, only, None, 1))

    async def pages(self, only: CustomerKey | None = None) -> AsyncGenerator[Page, None]:
        """All customers, or one, a page at a time."""
        after: CustomerKey | None = None
        while True:
            async with self.database.reading() as transaction:
                stored = await listings.states_after(transaction, only, after, self.page)
                kept = await self._kept(transaction, stored)
            if not stored:
                return
            # Long lives take seconds. No server has to keep a snapshot for that, and none would keep it for long.
            yield _compared(kept)
            if only is not None:
                return
            after = stored[-1].customer

    async def _kept(self, transaction: Transaction, stored: Sequence[listings.StoredState]) -> Sequence[_Kept]:
        """What there is of these customers."""
        keys = [each.customer for each in stored]
        await self.rulebook.meet({key.tenant for key in keys})
        lived = await histories(transaction, keys)
        begun = await bases.load(transaction, keys)
        courses: dict[int, tuple[Course, int]] = {}
        for partition in {each.partition for each in stored}:
            steps = await activations.of_partition(transaction, partition, 0)
            for step in steps:
                await self.rulebook.learn(transaction, step.versions)
            watermark = await progress.watermark_ms(transaction, partition)
            courses[partition] = Course(self.rulebook, steps, self.settle_ms), watermark
        return [
            _Kept(
                each.state,
                Life(each.customer, lived.get(each.customer, ()), begun.get(each.customer, NEW_CUSTOMER)),
                *courses[each.partition],
            )
            for each in stored
        ]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A customer as stored, what they are lived again from, and how far time has come in their partition."""

    state: CustomerState
    life: Life
    course: Course
    watermark_ms: int


def _compared(kept: Sequence[_Kept]) -> Page:
    differences = []
    for each in kept:
        again = _again(each.course, each.life, each.state)
        sides = [_until(each.course, each.life, side, each.watermark_ms) for side in (each.state, again)]
        if sides[0] != sides[1]:
            differences.append(Difference(each.life.customer, _fields(*sides)))
    return Page(len(kept), sum(len(each.life.lived) for each in kept), differences)


def _again(course: Course, life: Life, stored: CustomerState) -> CustomerState:
    try:
        found = replay(course, life, stored.recomputed)
    except Permanent:
        # It can't be lived again as it is kept: that is a difference in everything.
        return NEW_CUSTOMER
    return found[-1].state if found else life.base


def _until(course: Course, life: Life, state: CustomerState, watermark_ms: int) -> CustomerState:
    """The state with everything published met, and time gone by until the watermark."""
    met = meet_all(course, life, state)
    state = met[-1].state if met else state
    unknown = all(each.number != state.activation for each in course.activations)
    if unknown or state.behind or state.imported_until_ms + course.settle_ms > watermark_ms:
        return state
    return advance(course.rules(state.activation, life.customer.tenant), state, Tick(watermark_ms)).state


def _fields(stored: CustomerState, again: CustomerState) -> dict[str, tuple[object, object]]:
    before, after = msgspec.to_builtins(stored), msgspec.to_builtins(again)
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
