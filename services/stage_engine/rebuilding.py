"""Lives every customer's history again and compares: 0 differences is the invariant that all else stands on.

Read-only and in pages, each from one snapshot. A stored state may be short of timers that its partition's watermark has
made ripe a moment ago, so both sides are let go on to the same time before they are compared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from services.stage_engine.catching_up import Lived, event_of, meet_all, replay
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Tick
from services.stage_engine.domain.state import CustomerState, decode_state
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations, history, listings, progress, tables
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from shared.db.port import Database, Transaction
from shared.errors import Permanent

_PAGE = 200


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
    """Compares the customers of one database."""

    database: Database
    rulebook: RuleBook
    settle_ms: int

    async def pages(self, only: CustomerKey | None = None) -> AsyncIterator[Page]:
        """All customers, or one, a page at a time."""
        after: CustomerKey | None = None
        while True:
            async with self.database.reading() as transaction:
                stored = await listings.states_after(transaction, only, after, _PAGE)
                if not stored:
                    return
                yield await self._compare(transaction, stored)
            if only is not None:
                return
            after = stored[-1].customer

    async def _compare(self, transaction: Transaction, stored: Sequence[listings.StoredState]) -> Page:
        keys = [each.customer for each in stored]
        await self.rulebook.meet({key.tenant for key in keys})
        past = await history.of_customers(transaction, keys)
        lived = {
            customer: [Lived(each.offset, event_of(each)) for each in group]
            for customer, group in groupby(past, key=lambda each: each.customer)
        }
        columns = ("tenant", "customer_id", "state")
        found = await transaction.select_many(tables.bases, columns[:2], [tuple(key) for key in keys], columns)
        bases = {CustomerKey(tenant, customer): decode_state(state) for tenant, customer, state in found}
        differences = []
        for partition in sorted({each.partition for each in stored}):
            steps = await activations.of_partition(transaction, partition, 0)
            for step in steps:
                await self.rulebook.learn(transaction, step.versions)
            watermark = await progress.watermark_ms(transaction, partition)
            for each in (one for one in stored if one.partition == partition):
                base = bases.get(each.customer, NEW_CUSTOMER)
                again = self._again(each.customer, base, lived.get(each.customer, []), steps)
                events = lived.get(each.customer, [])
                sides = [self._until(each.customer, side, steps, events, watermark) for side in (each.state, again)]
                if sides[0] != sides[1]:
                    differences.append(Difference(each.customer, _fields(*sides)))
        return Page(len(stored), len(past), differences)

    def _again(
        self, customer: CustomerKey, base: CustomerState, lived: Sequence[Lived], steps: Sequence[Stored]
    ) -> CustomerState:
        try:
            found = replay(self.rulebook, customer.tenant, base, lived, steps, self.settle_ms)
        except Permanent:
            # It can't be lived again as it is kept: that is a difference in everything.
            return NEW_CUSTOMER
        return found[-1].state if found else base

    def _until(
        self,
        customer: CustomerKey,
        state: CustomerState,
        steps: Sequence[Stored],
        lived: Sequence[Lived],
        watermark_ms: int,
    ) -> CustomerState:
        """The state with everything published met, and time gone by until the watermark."""
        reached = [step for step in steps if step.number >= state.activation]
        for applied in meet_all(self.rulebook, customer.tenant, state, reached, lived, self.settle_ms):
            state = applied.state
        if state.imported_until_ms + self.settle_ms > watermark_ms or not steps:
            return state
        versions = next(step.versions for step in steps if step.number == state.activation)
        ticked = advance(self.rulebook.rules_of(versions)(customer.tenant), state, Tick(*customer, watermark_ms))
        assert isinstance(ticked, Applied)
        return ticked.state


def _fields(stored: CustomerState, again: CustomerState) -> dict[str, tuple[object, object]]:
    before, after = msgspec.to_builtins(stored), msgspec.to_builtins(again)
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
