"""What publishing a candidate would make of every customer, found out by letting it happen to a copy of their states.

Read-only and in pages, each from one snapshot; nobody is kept once their page is given away. Each customer first meets what
was published before and lets the time go by that is over, as a publication does, and then meets the candidate: it is
`catching_up`, which production goes through too, that decides all of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from services.stage_engine.domain.advance import advance
from services.stage_engine.domain.event import Tick
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.looking_back import PastLives, look_back
from services.stage_engine.planning.candidate import Candidate
from services.stage_engine.planning.forecast import Foreseen, Soon, Source
from services.stage_engine.publications.catching_up import Course, facts_differ, meet_all
from services.stage_engine.store import activations, listings, population, progress, publications
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.listings import StoredState
from services.stage_engine.store.progress import Versions
from shared.contracts.times import DAY_MS
from shared.db.port import Database, Transaction

PLANNED = "planned"
"""The publish id of a publication that there is not."""

_HISTORIES_AT_ONCE = 50
_AFTER_EVERYTHING = 1 << 62
_WEEK_MS = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What customers of one partition may still have to meet: the last activation of the course is what is tried, and is not
    there yet.

    Who has not met the activation with the number `facts_from` yet needs their history for it, as does who is to be decided
    anew because an import reached behind what was decided.
    """

    course: Course
    facts_from: int

    @property
    def last(self) -> Stored:
        """What holds now."""
        return self.course.activations[-2]

    @property
    def coming(self) -> Stored:
        return self.course.activations[-1]

    def needs_history(self, state: CustomerState) -> bool:
        return state.activation < self.facts_from or state.behind


@dataclass(frozen=True, slots=True)
class Foreseeing:
    """Looks at the customers of one database. `at_ms` is when the candidate would begin to hold; `page` is how many
    customers are looked at together."""

    database: Database
    candidate: Candidate
    settle_ms: int
    at_ms: int
    page: int = 500
    _ahead: dict[int, _Ahead] = field(default_factory=dict)

    async def size(self, tenant: str | None = None) -> int:
        """How many customers there are to look at. Raises DatabaseUnavailable."""
        async with self.database.reading() as transaction:
            return await population.size(transaction, tenant)

    async def pages(self, tenant: str | None = None) -> AsyncIterator[list[Foreseen]]:
        """All customers, or those of one tenant, a page at a time. Raises DatabaseUnavailable."""
        after, limit = None if tenant is None else CustomerKey(tenant, ""), self.page
        while True:
            async with self.database.reading() as transaction:
                stored = await listings.states_after(transaction, None, after, limit)
                mine = [each for each in stored if tenant in (None, each.customer.tenant)]
                some, lives = await self._look_at(transaction, mine)
            # Long lives take seconds. No server has to keep a snapshot for that, and none would keep it for long.
            if some:
                yield [self._foreseen(each, lives) for each in some]
            if len(some) == len(mine) < limit:
                return
            if len(some) < len(mine):
                limit = min(limit, _HISTORIES_AT_ONCE)
            after = some[-1].customer

    async def outdated(self) -> bool:
        """Whether something was published since the candidate was loaded. Raises DatabaseUnavailable."""
        async with self.database.reading() as transaction:
            return await publications.active(transaction) != self.candidate.active

    async def _look_at(
        self, transaction: Transaction, stored: Sequence[StoredState]
    ) -> tuple[list[StoredState], PastLives]:
        """The first of these customers, up to so many whose history it takes, and that."""
        await self.candidate.rulebook.meet({each.customer.tenant for each in stored})
        some: list[StoredState] = []
        needing: list[CustomerKey] = []
        for each in stored:
            ahead = self._ahead.get(each.partition)
            if ahead is None or ahead.last.number < each.state.activation:
                ahead = self._ahead[each.partition] = await self._look_ahead(transaction, each.partition)
            if ahead.needs_history(each.state):
                if len(needing) == _HISTORIES_AT_ONCE:
                    break
                needing.append(each.customer)
            some.append(each)
        return some, await look_back(transaction, needing)

    async def _look_ahead(self, transaction: Transaction, partition: int) -> _Ahead:
        """What customers of a partition may still have to meet. One where nothing was ever kept goes by its progress."""
        rulebook, name = self.candidate.rulebook, self.candidate.definition.name
        steps = await activations.of_partition(transaction, partition, 0)
        if not steps:
            versions = await progress.versions(transaction, partition)
            steps = [Stored(partition, 0, "start", "", 0, 0, 0, False, {}, versions)]
        for each in steps:
            await rulebook.learn(transaction, each.versions)
        coming = Stored(
            partition=partition,
            number=steps[-1].number + 1,
            publish_id=PLANNED,
            lifecycle=name,
            version=self.candidate.version,
            offset=_AFTER_EVERYTHING,
            at_ms=self.at_ms,
            notify=True,
            migrate=self.candidate.migrate,
            versions={**steps[-1].versions, name: self.candidate.version},
        )
        course = Course(rulebook, [*steps, coming], self.settle_ms)
        differ = [
            after.number for before, after in pairwise(course.activations) if facts_differ(rulebook, before, after)
        ]
        return _Ahead(course, max(differ, default=0))

    def _foreseen(self, stored: StoredState, lives: PastLives) -> Foreseen:
        ahead, customer = self._ahead[stored.partition], stored.customer
        *until, last = meet_all(ahead.course, lives.life(customer), stored.state)
        before = until[-1].state if until else stored.state
        return Foreseen(
            customer=customer,
            currency=self.candidate.rulebook.currency(customer.tenant),
            before=before,
            after=last.state,
            changes=last.changes,
            errors=last.errors,
            source=_source(ahead, stored, lives),
            moved_before=any(each.changes for each in until),
            soon=Soon(
                active=self._moves_soon(customer, ahead.last.versions, before),
                candidate=self._moves_soon(customer, ahead.coming.versions, last.state),
            ),
        )

    def _moves_soon(self, customer: CustomerKey, versions: Versions, state: CustomerState) -> bool:
        """Whether a week of nothing but time moves somebody in the candidate's lifecycle."""
        until_ms = self.at_ms + _WEEK_MS
        if not any(each.wake_ms is not None and each.wake_ms <= until_ms for each in state.lifecycles.values()):
            return False
        rules = self.candidate.rulebook.rules_of(versions)(customer.tenant)
        ticked = advance(rules, state, Tick(until_ms))
        return any(change.lifecycle.name == self.candidate.definition.name for change in ticked.changes)


def _source(ahead: _Ahead, stored: StoredState, lives: PastLives) -> Source:
    if not ahead.needs_history(stored.state):
        return Source.STATE
    return Source.TRIMMED_HISTORY if stored.customer in lives.bases else Source.HISTORY
