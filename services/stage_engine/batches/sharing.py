"""Batches of several partitions that come at the same time share a transaction; when they can't, they are taken apart."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from services.stage_engine.batches.turns import Place, Turns
from services.stage_engine.batches.writing import Written
from services.stage_engine.looking_back import TooMuchPast
from services.stage_engine.store import progress
from services.stage_engine.store.progress import Claim, OwnershipLost
from shared.db.port import DatabaseRefused, DatabaseUnavailable
from shared.errors import Permanent, Transient
from shared.log.port import Record

_MOST_RECORDS = 1_500
_GATHER_BELOW = 50
_GATHER_SECONDS = 0.01
_log = structlog.get_logger(__name__)


class Inseparable(Permanent):
    """Records that one transaction can't hold together; fewer of them may do."""


_TO_BE_TAKEN_APART = (DatabaseRefused, Inseparable, TooMuchPast)

Together = Callable[[Mapping[Claim, Sequence[Record]], str | None], Awaitable[dict[Claim, Written]]]
"""Applies records in one transaction; partitions that are no longer ours are left out of the answer. With a text, the
records can't be stored, ever, for that reason."""


@dataclass(eq=False, slots=True)
class Job:
    """Records of one partition to be applied under a claim, where it stands in line, and where the answer goes."""

    claim: Claim
    records: Sequence[Record]
    place: Place
    answer: asyncio.Future[Written]
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Sharing:
    """Collects what partitions bring while others are at work."""

    together: Together
    turns: Turns
    _jobs: deque[Job] = field(default_factory=deque)

    async def apply(self, claim: Claim, records: Sequence[Record]) -> Written:
        """Apply records of one partition in log order, together with what others bring meanwhile."""
        job = Job(claim, records, self.turns.for_events(), asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if await job.place.reached():
            try:
                if not job.taken and sum(len(each.records) for each in self._jobs) < _GATHER_BELOW:
                    await asyncio.sleep(_GATHER_SECONDS)
                while not job.taken:
                    await self._answer(self._take())
            finally:
                job.place.done()
        return await job.answer

    def _take(self) -> list[Job]:
        taken: list[Job] = []
        count = 0
        while self._jobs and (not taken or count + len(self._jobs[0].records) <= _MOST_RECORDS):
            job = self._jobs.popleft()
            job.taken = True
            job.place.give_up()
            taken.append(job)
            count += len(job.records)
        return taken

    async def _answer(self, jobs: Sequence[Job]) -> None:
        """Apply jobs together and give each its answer; when one of them holds what can't be stored, one by one."""
        try:
            written = await self.together({job.claim: job.records for job in jobs}, None)
            for job in jobs:
                _resolve(job, written.get(job.claim) or progress.lost(job.claim))
        except _TO_BE_TAKEN_APART:
            for job in jobs:
                try:
                    _resolve(job, await self._isolate(job.claim, job.records))
                except (Transient, OwnershipLost) as error:
                    _resolve(job, error)
        except Transient as error:
            for job in jobs:
                _resolve(job, error)
        finally:
            for job in jobs:
                _resolve(job, DatabaseUnavailable("the work was cut off; whether it was committed is unknown"))

    async def _isolate(self, claim: Claim, records: Sequence[Record]) -> Written:
        """Halve until the record that can't be stored, ever, is alone and set aside, so that all others are applied; or
        until what one transaction can't hold together is apart."""
        try:
            return await self._alone(claim, records, refusal=None)
        except _TO_BE_TAKEN_APART as error:
            if len(records) == 1:
                where = {"partition": claim.partition, "offset": records[0].offset}
                _log.error("record can't be stored", **where, why=str(error))
                return await self._alone(claim, records, refusal=str(error))
        middle = len(records) // 2
        first = await self._isolate(claim, records[:middle])
        return first.then(await self._isolate(claim, records[middle:]))

    async def _alone(self, claim: Claim, records: Sequence[Record], refusal: str | None) -> Written:
        written = await self.together({claim: records}, refusal)
        if claim not in written:
            raise progress.lost(claim)
        return written[claim]


def _resolve(job: Job, answer: Written | Exception) -> None:
    """Give a job its answer, once."""
    if job.answer.done():
        return
    if isinstance(answer, Written):
        job.answer.set_result(answer)
    else:
        job.answer.set_exception(answer)
