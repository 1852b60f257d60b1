"""Where a batch's time goes, for the metrics."""

from __future__ import annotations

from time import perf_counter

from shared.telemetry.metrics import BATCH_PHASE_SECONDS, BATCH_RECORDS, Phase

SERVICE = "engine"


class Phases:
    """A stopwatch over the phases of one batch."""

    def __init__(self, records: int) -> None:
        BATCH_RECORDS.labels(SERVICE).observe(records)
        self._from = perf_counter()

    def end(self, phase: Phase) -> None:
        """The time since the last call was spent in `phase`."""
        now = perf_counter()
        BATCH_PHASE_SECONDS.labels(SERVICE, phase).observe(now - self._from)
        self._from = now
