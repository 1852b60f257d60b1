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
                if not stored:
                    return
                yield await self._compare(transaction, stored)
            if only is not None:
                return
            after = stored[-1].customer

    async def _compare(self, transaction: Transaction, stored: Sequence[listings.StoredState]) -> Page:
        keys = [each.customer for each in stored]
        await self.rulebook.meet({key.tenant for key in keys})
        lived = await histories(transaction, keys)
        begun = await bases.load(transaction, keys)
        differences = []
        for partition in sorted({each.partition for each in stored}):
            steps = await activations.of_partition(transaction, partition, 0)
            for step in steps:
                await self.rulebook.learn(transaction, step.versions)
            course = Course(self.rulebook, steps, self.settle_ms)
            watermark = await progress.watermark_ms(transaction, partition)
            for each in (one for one in stored if one.partition == partition):
                life = Life(each.customer, lived.get(each.customer, ()), begun.get(each.customer, NEW_CUSTOMER))
                again = _again(course, life, each.state)
                sides = [_until(course, life, side, watermark) for side in (each.state, again)]
                if sides[0] != sides[1]:
                    differences.append(Difference(each.customer, _fields(*sides)))
        return Page(len(stored), sum(map(len, lived.values())), differences)


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
