"""Conditions, as a port: `advance` decides with them and knows no expression language."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, Protocol

from services.stage_engine.domain.state import FactValue


class Verdict(Enum):
    """What a condition says. Only HOLDS lets an edge be taken."""

    HOLDS = "holds"
    FAILS = "fails"
    UNKNOWN = "unknown"
    """It needs a fact or an event field that has no value."""
    ERROR = "error"
    """It could not be computed, such as a division by zero."""


class Finding(NamedTuple):
    """A verdict with its explanation (empty when it plainly holds or fails)."""

    verdict: Verdict
    detail: str = ""


class Condition(Protocol):
    """A compiled `when`."""

    @property
    def source(self) -> str:
        """The expression as it was written."""
        ...

    @property
    def reads(self) -> frozenset[str]:
        """Names of the facts that it names, also as `known.name`."""
        ...

    def evaluate(self, facts: Mapping[str, FactValue], data: Mapping[str, Any]) -> Finding:
        """Decide over facts and the event's data (empty where there is no event)."""
        ...
