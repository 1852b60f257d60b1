"""What was seen of a story: plain data, read from the services' own answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.cli.demo.plot import Fate, Move
from services.cli.demo.receiver import Received


@dataclass(frozen=True, slots=True)
class SeenChange:
    """A stage change as `GET /v1/customers/{id}/stage-changes` tells it."""

    id: str
    sequence: int
    effective_at: str
    move: Move
    cause: Mapping[str, Any]
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> SeenChange:
        """From one entry of the answer."""
        live = told["mode"] == "live"
        move = Move(told["lifecycle"], told["from"], told["to"], told["transition"], told["settled"], live)
        return cls(told["id"], told["sequence"], told["effective_at"], move, told["cause"], told["facts"])

    def why(self) -> str:
        """The cause and what the condition read, for people."""
        kind = self.cause["kind"]
        by = self.cause["type"] if kind == "event" else f"{kind} due {self.cause.get('due_at', '')[:19]}"
        return ", ".join([by, *(f"{name} = {value}" for name, value in self.facts.items())])


@dataclass(frozen=True, slots=True)
class SeenDelivery:
    """A delivery as `GET /v1/customers/{id}/deliveries` tells it."""

    id: str
    channel: str
    fate: Fate
    detail: str

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> SeenDelivery:
        """From one entry of the answer; a webhook has no campaign."""
        fate = Fate(told["campaign"] or "", told["step"] or "", told["status"], told["reason"])
        return cls(told["id"], told["channel"], fate, told["detail"])


@dataclass(frozen=True, slots=True)
class SeenCustomer:
    """One customer at one look."""

    changes: tuple[SeenChange, ...] = ()
    deliveries: tuple[SeenDelivery, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def emails(self) -> list[SeenDelivery]:
        """The campaigns' deliveries, webhooks left out."""
        return [one for one in self.deliveries if one.channel == "email"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything at one look."""

    customers: Mapping[str, SeenCustomer]
    webhooks: tuple[Received, ...]
    refused_webhooks: int
    letters: tuple[Path, ...]
