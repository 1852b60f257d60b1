"""Every attempt that was made, for the delivery log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from services.notifier.domain.delivery import CompletedDispatch
from services.notifier.store import tables
from shared.db.port import Action, Transaction, Write


class LoggedAttempt(NamedTuple):
    """One attempt as its row keeps it. `status_code` is None when no answer came."""

    id: str
    delivery_id: str
    number: int
    started_ms: int
    duration_ms: int
    status_code: int | None
    error: str


def add(made: Sequence[tuple[str, CompletedDispatch, int]]) -> Write:
    """Insert attempts: id, what happened, and its number."""
    rows = [
        LoggedAttempt(
            attempt_id,
            one.pending.planned.id,
            number,
            one.attempted.started_ms,
            one.attempted.duration_ms,
            one.attempted.status_code,
            one.attempted.error.replace("\x00", ""),
        )
        for attempt_id, one, number in made
    ]
    return Write(Action.INSERT, tables.attempts, LoggedAttempt._fields, rows)


async def of_deliveries(tx: Transaction, ids: Collection[str]) -> dict[str, list[LoggedAttempt]]:
    """The attempts of some deliveries, in order."""
    rows = await tx.select_many(tables.attempts, ("delivery_id",), [(one,) for one in ids], LoggedAttempt._fields)
    by_delivery: dict[str, list[LoggedAttempt]] = {}
    for attempt in sorted((LoggedAttempt._make(row) for row in rows), key=lambda one: (one.started_ms, one.number)):
        by_delivery.setdefault(attempt.delivery_id, []).append(attempt)
    return by_delivery
