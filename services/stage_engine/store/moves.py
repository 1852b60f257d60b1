"""Moves by hand and what became of them, for those who asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select

from services.stage_engine.domain.by_hand import ManualMove, Moved
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.tables import manual_moves
from shared.db.port import Action, Transaction, Write

_KEY = ("tenant", "customer_id", "move_id")
_COLUMNS = (
    *_KEY,
    "lifecycle",
    "to_stage",
    "expected_stage",
    "author",
    "reason",
    "handled_ms",
    "sequence",
    "refusal",
)


def add(moved: Sequence[tuple[CustomerKey, Moved]]) -> Write:
    """What became of moves: of each id the last one handled, which is also the one that history holds."""
    rows = [
        (
            *key,
            each.move_id,
            each.move.lifecycle,
            each.move.to,
            each.move.expected_stage,
            each.move.by,
            each.move.reason,
            each.at_ms,
            each.sequence,
            each.refusal,
        )
        for key, each in moved
    ]
    return Write(Action.UPSERT, manual_moves, _COLUMNS, rows)


async def refused(transaction: Transaction, keys: Collection[tuple[str, str, str]]) -> frozenset[tuple[str, str, str]]:
    """Those of some moves, by (tenant, customer, id), that were refused."""
    found = await transaction.select_many(manual_moves, _KEY, list(keys), (*_KEY, "refusal"))
    return frozenset((tenant, customer, move) for tenant, customer, move, refusal in found if refusal is not None)


async def find(transaction: Transaction, key: CustomerKey, move_id: str) -> Moved | None:
    """One that was handled."""
    columns = manual_moves.c
    statement = select(*(columns[name] for name in _COLUMNS[2:])).where(
        columns.tenant == key.tenant, columns.customer_id == key.customer_id, columns.move_id == move_id
    )
    for row in await transaction.execute(statement):
        identity, lifecycle, to, expected, author, reason, handled_ms, sequence, refusal = tuple(row)
        return Moved(identity, ManualMove(lifecycle, to, author, reason, expected), handled_ms, sequence, refusal)
    return None
