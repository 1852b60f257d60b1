"""The shop's backend: posts every request until it is acknowledged, always under the same ids."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2

from tests.faults.story import Posting

_WORKERS = 12
_PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 0.3
_ANSWER_SECONDS = 12.0


@dataclass
class Load:
    """What was posted and what came back. `pace` is the wished rate in requests a second; 0 for no limit."""

    url: str
    token: str
    postings: Sequence[Posting]
    pace: float
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    """(customer, event id) of everything that was answered 202."""
    accepted: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    """Of any answer; the promise is 6 s."""
    _held_at: float = 1.0
    _done: int = 0
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def share(self) -> float:
        """How much of it is through, from 0 to 1."""
        return self._done / len(self.postings)

    async def until(self, share: float) -> None:
        """Returns once so much is through."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.share >= share)

    async def hold_at(self, share: float) -> None:
        """Go no further than this until told again, so that what is to go wrong next still finds work to disturb."""
        async with self._moved:
            self._held_at = share
            self._moved.notify_all()

    async def run(self) -> None:
        """Post everything. Problems are collected, not raised: the verification tells them all."""
        waiting = deque(enumerate(self.postings))
        headers = {"Authorization": f"Bearer {self.token}"}
        limits = httpx2.Limits(max_connections=_WORKERS)
        async with httpx2.AsyncClient(
            base_url=self.url, headers=headers, limits=limits, timeout=_ANSWER_SECONDS, trust_env=False
        ) as client:
            began = time.monotonic()
            await asyncio.gather(*(self._work(client, waiting, began) for _ in range(_WORKERS)))

    async def _work(self, client: httpx2.AsyncClient, waiting: deque[tuple[int, Posting]], began: float) -> None:
        while waiting:
            index, posting = waiting.popleft()
            ahead = index / self.pace - (time.monotonic() - began) if self.pace else 0.0
            if ahead > 0:
                await asyncio.sleep(ahead)
            await self._may_go(index)
            await self._post(client, posting)
            async with self._moved:
                self._done += 1
                self._moved.notify_all()

    async def _may_go(self, index: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: index <= self._held_at * len(self.postings))

    async def _post(self, client: httpx2.AsyncClient, posting: Posting) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            began = time.monotonic()
            try:
                answer = await client.post("/v1/events", json=posting.body)
            except httpx2.ReadTimeout:
                # An ingest that is alive must answer within 6 s, whatever is away behind it.
                self.problems.append(f"no answer within {_ANSWER_SECONDS:g} s")
                self.troubles["no answer"] += 1
            except httpx2.TransportError as error:
                self.troubles[type(error).__name__] += 1
            else:
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
                if answer.status_code == 202:
                    self.accepted += len(posting.events)
                    self.acknowledged |= {(event["customer_id"], event["id"]) for event in posting.events}
                    return
                self._note(answer)
            await asyncio.sleep(_PAUSE_SECONDS)
        self.problems.append(f"never acknowledged: {posting.events[0]['id']} and what was with it")

    def _note(self, answer: httpx2.Response) -> None:
        self.troubles[f"HTTP {answer.status_code}"] += 1
        if answer.status_code != 503:
            self.problems.append(f"answered {answer.status_code}: {answer.text[:300]}")
