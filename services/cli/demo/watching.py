"""Watches the services while they work on the story: asks until all has come about, or the patience is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2

from services.cli.demo.checking import differences, of_customer
from services.cli.demo.plot import Customer, Fate, Story
from services.cli.demo.receiver import Receiver
from services.cli.demo.seen import Seen, SeenChange, SeenCustomer, SeenDelivery
from services.cli.demo.shop import Addresses, NotTaken

_LOOK_SECONDS = 0.3
_QUIET_SECONDS = 0.6
"""After all has come about, so long nothing more may come: a double would."""


@dataclass(slots=True)
class Watcher:
    """Looks at the customers of a story. `tell` gets a line for each thing that is new; times in seconds (monotonic)."""

    client: httpx2.AsyncClient
    addresses: Addresses
    story: Story
    receiver: Receiver
    outbox: Path
    tell: Callable[[str], None]
    deadline: float
    _known: dict[str, SeenCustomer] = field(default_factory=dict)

    async def until(self, fates: Iterable[tuple[str, Fate]]) -> None:
        """Wait until these have come about, or the time is over: what is missing then is found by the check."""
        wanted = list(fates)
        while wanted and monotonic() < self.deadline:
            await self._look(self._customers({customer_id for customer_id, _ in wanted}))
            wanted = [(who, fate) for who, fate in wanted if fate not in [one.fate for one in self._of(who).emails()]]
            if wanted:
                await asyncio.sleep(_LOOK_SECONDS)

    async def until_all(self) -> Seen:
        """Wait until everything is as it must be, and stays so; gives the last look, whatever it shows."""
        quiet_since: float | None = None
        while True:
            # Those who are through already are looked at again only when all seem to be.
            await self._look([one for one in self.story.customers if quiet_since or of_customer(one, self._of(one.id))])
            seen, now = self._seen(), monotonic()
            if now >= self.deadline:
                return seen
            if differences(self.story, seen):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= _QUIET_SECONDS:
                return seen
            await asyncio.sleep(_LOOK_SECONDS)

    def _customers(self, ids: set[str]) -> list[Customer]:
        return [one for one in self.story.customers if one.id in ids]

    def _of(self, customer_id: str) -> SeenCustomer:
        return self._known.get(customer_id, SeenCustomer())

    def _seen(self) -> Seen:
        letters = tuple(sorted(self.outbox.glob("*.eml")))
        return Seen(dict(self._known), tuple(self.receiver.verified), self.receiver.refused, letters)

    async def _look(self, customers: Iterable[Customer]) -> None:
        for customer in customers:
            before, after = self._of(customer.id), await self._ask(customer.id)
            self._known[customer.id] = after
            for line in _news(before, after):
                self.tell(f"{customer.name}: {line}")

    async def _ask(self, customer_id: str) -> SeenCustomer:
        path = f"/v1/customers/{customer_id}"
        changes = await self._get(f"{self.addresses.engine}{path}/stage-changes?limit=200")
        if changes is None:
            return SeenCustomer()
        customer = await self._get(f"{self.addresses.engine}{path}")
        deliveries = await self._get(f"{self.addresses.notifier}{path}/deliveries?limit=200")
        return SeenCustomer(
            tuple(SeenChange.of(one) for one in changes["stage_changes"]),
            tuple(SeenDelivery.of(one) for one in (deliveries or {"deliveries": []})["deliveries"]),
            (customer or {"facts": {}})["facts"],
        )

    async def _get(self, url: str) -> dict[str, Any] | None:
        """The answer; None for 404: nothing has been applied yet. Raises NotTaken."""
        answer = await self.client.get(url)
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise NotTaken(f"GET {url} was answered {answer.status_code}: {answer.text[:300]}")
        told: dict[str, Any] = answer.json()
        return told


def _news(before: SeenCustomer, after: SeenCustomer) -> list[str]:
    moves = [f"{one.move}" for one in after.changes[len(before.changes) :] if one.move.transition]
    told = {(one.id, one.fate) for one in before.deliveries}
    fates = [f"{one.fate}" for one in after.emails() if (one.id, one.fate) not in told and one.fate.status != "sending"]
    return [*moves, *fates]
