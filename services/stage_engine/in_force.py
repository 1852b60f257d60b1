"""The rules that hold for a customer: the versions that they have met last. For reads; batches have their RuleBook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.stored import parsed
from services.stage_engine.domain.lifecycle import Rules, in_order
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store import activations, lifecycles, listings, progress
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.listings import KeptChange
from services.stage_engine.store.progress import Versions
from shared.auth.tenants import Tenants
from shared.db.port import Database, Transaction


@dataclass(frozen=True, slots=True)
class Known:
    """A customer with the rules that hold for them, and the last stage change in each lifecycle where it was asked for."""

    state: CustomerState
    rules: Rules
    definitions: Mapping[str, Definition]
    last_changes: Mapping[str, KeptChange]


async def find_customer(
    database: Database, tenants: Tenants, key: CustomerKey, *, with_changes: bool = False
) -> Known | None:
    """A customer, from one snapshot; None for one who was never heard of. Raises UnknownTenant, DatabaseUnavailable."""
    currency = await tenants.currency(key.tenant)
    async with database.reading() as transaction:
        found = await listings.located(transaction, *key)
        if found is None:
            return None
        partition, state = found
        versions = await _met(transaction, partition, state)
        stored = await lifecycles.versions(transaction, versions)
        last = await listings.last_changes(transaction, *key) if with_changes else {}
    definitions = {each.name: parsed(each) for each in stored}
    compiled = [definitions[each.name].compile(each.version, currency) for each in stored]
    return Known(state, Rules(in_order(compiled), currency), definitions, last)


async def _met(transaction: Transaction, partition: int, state: CustomerState) -> Versions:
    """What was published since a customer was last touched has not met them yet: their facts are those of before."""
    for each in await activations.of_partition(transaction, partition, state.activation):
        if each.number == state.activation:
            return each.versions
    return await progress.versions(transaction, partition)
