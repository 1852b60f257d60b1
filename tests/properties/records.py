"""What the log took of one customer, in the oracle's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Record(NamedTuple):
    """What the log took: `said` is the sender's time, `logged` the log's."""

    id: str
    type: str
    said: int
    logged: int
    backfill: bool
    data: Mapping[str, Any]

    @property
    def happened(self) -> int:
        """E"""
        return min(self.said, self.logged)

    @property
    def arrival(self) -> int:
        """A"""
        return self.happened if self.backfill else self.logged
