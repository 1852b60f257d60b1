"""Goes over the customers of a database and lets each live twice: by the active rules, and by those that are tried.

Read-only and in pages, each from one snapshot; what is decided is decided after the snapshot was let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

from services.stage_engine.backtesting.beginnings import Base, beginning
from services.stage_engine.backtesting.findings import Findings
from services.stage_engine.backtesting.lives import Beginning, Life, live
from services.stage_engine.domain.event import Event, Lived
from services.stage_engine.looking_back import look_back
from services.stage_engine.planning.candidate import Candidate
from services.stage_engine.store import activations, listings, population
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.listings import StoredState
from services.stage_engine.store.progress import Versions
from shared.db.port import Database, Transaction


class Past(NamedTuple):
    """A customer's kept history in the order of (arrival, log position), and what stands for that which was trimmed."""

    customer: CustomerKey
    lived: Sequence[Lived]
    base: Base | None = None


@dataclass(frozen=True, slots=True)
class Backtest:
    """Lets the customers of one database, or of one of its tenants, live by the candidate's rules and by the active ones.
    `page` is how many customers are read together."""

    database: Database
    candidate: Candidate
    tenant: str | None = None
    page: int = 100
    _in_force: dict[int, dict[int, Versions]] = field(default_factory=dict)

    async def size(self) -> int:
        """How many customers there are to look at. Raises DatabaseUnavailable."""
        async with self.database.reading() as transaction:
            return await population.size(transaction, self.tenant)

    async def run(self, findings: Findings) -> AsyncGenerator[int, None]:
        """Add all that is found to `findings`; gives how many customers were looked at after each page.

        Cut short at any moment, it leaves whole customers there. Raises DatabaseUnavailable.
        """
        looked_at = 0
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                await self.candidate.rulebook.meet({past.customer.tenant for past in page})
                for past in page:
                    compare(self.candidate, findings, past)
                    # Deciding takes the processor for itself: whoever wants to stop it must get a turn.
                    await asyncio.sleep(0)
                looked_at += len(page)
                yield looked_at
        findings.complete = True

    async def _pages(self) -> AsyncGenerator[list[Past], None]:
        after = None if self.tenant is None else CustomerKey(self.tenant, "")
        while True:
            async with self.database.reading() as transaction:
                stored = await listings.states_after(transaction, None, after, self.page)
                ours = [each for each in stored if self.tenant in (None, each.customer.tenant)]
                pasts = await self._pasts(transaction, ours)
            if pasts:
                yield pasts
            if len(ours) < self.page:
                return
            after = ours[-1].customer

    async def _pasts(self, transaction: Transaction, stored: Sequence[StoredState]) -> list[Past]:
        lives = await look_back(transaction, [each.customer for each in stored])
        pasts: list[Past] = []
        for each in stored:
            base, state = None, lives.bases.get(each.customer)
            if state is not None:
                in_force = await self._versions(transaction, each.partition)
                versions = in_force.get(state.activation, self.candidate.active)
                base = Base(state, state.decided_until_ms, versions)
            pasts.append(Past(each.customer, lives.lived.get(each.customer, ()), base))
        return pasts

    async def _versions(self, transaction: Transaction, partition: int) -> dict[int, Versions]:
        """The versions that held in a partition, by the number of their activation; all of them are learnt."""
        if partition not in self._in_force:
            stored = await activations.of_partition(transaction, partition, 0)
            for each in stored:
                await self.candidate.rulebook.learn(transaction, each.versions)
            self._in_force[partition] = {each.number: each.versions for each in stored}
        return self._in_force[partition]


def compare(candidate: Candidate, findings: Findings, past: Past) -> None:
    """Let one customer live both lives, and add what comes of it. Their tenant was met by the rulebook."""
    to_ms = findings.span.to_ms
    if past.base is not None:
        findings.trimmed.add(past.base.at_ms)
        if past.base.at_ms >= to_ms:
            # All that is known of them is from after the end.
            return
    events = [each.event for each in past.lived if each.event.arrival_ms < to_ms]
    if not events and past.base is None:
        return
    tried = _life(candidate, candidate.versions, past, events, to_ms)
    active = _life(candidate, candidate.active, past, events, to_ms) if findings.active is not None else None
    currency = candidate.rulebook.currency(past.customer.tenant)
    findings.add(past.customer, active, tried, currency)
    findings.events += len(events)


def _life(candidate: Candidate, versions: Versions, past: Past, events: Sequence[Event], to_ms: int) -> Life:
    tenant = past.customer.tenant
    began = Beginning() if past.base is None else beginning(candidate, versions, tenant, past.base)
    return live(candidate.rulebook.rules_of(versions)(tenant), candidate.definition.name, began, events, to_ms)
