"""Base states: where kept history begins for a customer whose older events were trimmed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from services.stage_engine.domain.state import CustomerState, decode_state, encode_state
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.tables import bases
from shared.db.port import Transaction

_KEY = ("tenant", "customer_id")


async def load(transaction: Transaction, keys: Collection[CustomerKey]) -> dict[CustomerKey, CustomerState]:
    """The bases of those who have one; the others are absent."""
    found = await transaction.select_many(bases, _KEY, [tuple(key) for key in keys], (*_KEY, "state"))
    return {CustomerKey(tenant, customer): decode_state(state) for tenant, customer, state in found}


async def save(transaction: Transaction, states: Mapping[CustomerKey, tuple[int, CustomerState]]) -> None:
    """New bases, each with the horizon (milliseconds) before which nothing is kept."""
    rows = [(*key, horizon_ms, encode_state(state)) for key, (horizon_ms, state) in states.items()]
    await transaction.upsert(bases, (*_KEY, "horizon_ms", "state"), rows)
