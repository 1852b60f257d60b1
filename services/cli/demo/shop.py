"""The shop's backend: posts the story's events over HTTP, as any shop would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from services.cli.demo.plot import Chapter, Happening
from shared.contracts.times import to_text
from shared.errors import Permanent

_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each service answers; the same three times when one process serves all."""

    ingest: str
    engine: str
    notifier: str


class NotTaken(Permanent):
    """A service answered otherwise than it must."""


@dataclass(frozen=True, slots=True)
class Shop:
    """Posts with one API key. `began_ms` is when the story begins to be told; everything in it counts back from there."""

    client: httpx2.AsyncClient
    addresses: Addresses
    began_ms: int

    async def live_through(self, chapter: Chapter) -> int:
        """Post a chapter; gives the number of requests. Raises NotTaken."""
        if chapter.imported:
            await self._post([self._body(one) | {"mode": "backfill"} for one in chapter.happenings])
            return 1
        posts = [one for one in chapter.happenings for _ in range(2 if one.id in chapter.repeated else 1)]
        for one in posts:
            await self._post(self._body(one))
        return len(posts)

    async def subscribe(self, url: str) -> str:
        """Ask for every stage change at `url`; gives the secret that will sign them. Raises NotTaken."""
        answer = await self.client.post(f"{self.addresses.notifier}/v1/subscriptions", json={"url": url})
        return str(_expect(answer, 201).json()["secret"])

    def _body(self, happening: Happening) -> dict[str, Any]:
        return {
            "id": happening.id,
            "type": happening.type,
            "customer_id": happening.customer_id,
            "time": to_text(self.began_ms - happening.ago_ms),
            "data": dict(happening.data),
        }

    async def _post(self, body: object) -> None:
        _expect(await self.client.post(f"{self.addresses.ingest}/v1/events", json=body), 202)


def _expect(answer: httpx2.Response, status: int) -> httpx2.Response:
    if answer.status_code != status:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise NotTaken(f"{asked} was answered {answer.status_code}, not {status}: {answer.text[:_SHOWN]}")
    return answer
