"""What a story is made of: customers, what they do, and what must come of it. Plain data; `story` holds the one we tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Move:
    """A stage change that must happen. `settled` is false for a stage only passed through."""

    lifecycle: str
    from_: str | None
    to: str
    transition: str | None
    settled: bool = True
    live: bool = True

    def __str__(self) -> str:
        marks = ("" if self.settled else ", passing") + ("" if self.live else ", imported")
        return f"{self.from_ or 'new'} → {self.to} ({self.transition or 'start'}{marks})"


@dataclass(frozen=True, slots=True)
class Fate:
    """What must become of a campaign's step; `reason` where it was not sent."""

    campaign: str
    step: str
    status: str
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.campaign}/{self.step} {self.status}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer, why they are in the story, and what must come of them.

    `moves` are in order within each lifecycle; `facts` are those that the engine must have at the end.
    """

    id: str
    name: str
    about: str
    moves: tuple[Move, ...]
    fates: tuple[Fate, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as the shop's backend posts it: `ago_ms` before the story is told, in milliseconds."""

    customer_id: str
    id: str
    type: str
    ago_ms: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chapter:
    """Events posted one after the other, then a wait until the `until` fates have come about.

    An `imported` chapter is one batch of history (mode backfill). `repeated` events are posted twice, as by a backend
    that got no answer and tries again.
    """

    title: str
    happenings: tuple[Happening, ...]
    until: tuple[tuple[str, Fate], ...] = ()
    imported: bool = False
    repeated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Story:
    """The whole: who is in it, and what happens in which order."""

    customers: tuple[Customer, ...]
    chapters: tuple[Chapter, ...]

    def webhooks(self) -> int:
        """How many webhooks a subscription to everything must get: one for each live, settled stage change."""
        return sum(move.live and move.settled for customer in self.customers for move in customer.moves)

    def letters(self) -> int:
        """How many e-mails must be written."""
        return sum(fate.status == "sent" for customer in self.customers for fate in customer.fates)
