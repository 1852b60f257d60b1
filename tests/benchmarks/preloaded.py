"""Many customers at once: rows made by the server from one state that `advance` came to, instead of events one by one.

Every customer has signed up by buying once. What an engine would have left behind is there: state, stages, timer, history and
stage changes, in an order that has nothing to do with the keys', as customers come. Only times differ.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.publishing import publish_change
from services.stage_engine.domain.state import encode_state
from shared.contracts.cloudevent import Posted, encode_posted, record_key
from shared.contracts.times import SECOND_MS
from shared.log.partitioner import partition_of
from tests.benchmarks.advance_cost import shipped_rules
from tests.benchmarks.cluster import Cluster

_VARIANTS = 100
"""Customers bought at so many different times, a second apart."""
_CUSTOMER = "c-0000000000"
"""Stands for the customer's id in what is kept of a variant."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Customers `c-0` … of one tenant, the last of whom bought at `bought_ms`."""

    tenant: str
    customers: int
    bought_ms: int
    with_past: bool = True
    """Whether history and stage changes are there, too."""


async def preload(cluster: Cluster, crowd: Crowd) -> None:
    """Fill the engine's tables and let PostgreSQL take stock."""
    connection = await asyncpg.connect(cluster.settings.database_url.replace("+asyncpg", ""))
    try:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await _stage(connection, crowd, cluster.settings.partitions)
        for statement in (*_PRESENT, *(_PAST if crowd.with_past else ())):
            await connection.execute(statement.replace(":tenant", f"'{crowd.tenant}'"), timeout=600)
        await connection.execute("DROP TABLE bench_people, bench_variants, bench_stages, bench_changes")
        await connection.execute("VACUUM ANALYZE", timeout=600)
        await connection.execute("CHECKPOINT", timeout=600)
    finally:
        await connection.close()


async def _stage(connection: asyncpg.Connection, crowd: Crowd, partitions: int) -> None:
    """The ids in any order, and what all customers of a variant have in common."""
    for table in _STAGING:
        await connection.execute(table)
    numbers = list(range(crowd.customers))
    random.Random(5).shuffle(numbers)
    people = (
        (f"c-{number}", partition_of(record_key(crowd.tenant, f"c-{number}"), partitions), number % _VARIANTS)
        for number in numbers
    )
    await connection.copy_records_to_table("bench_people", records=people, timeout=600)
    variants = [_variant(crowd, number) for number in range(_VARIANTS)]
    await connection.copy_records_to_table("bench_variants", records=[each.row for each in variants])
    await connection.copy_records_to_table("bench_stages", records=[row for each in variants for row in each.stages])
    await connection.copy_records_to_table("bench_changes", records=[row for each in variants for row in each.changes])


@dataclass(frozen=True, slots=True)
class _Variant:
    row: tuple[object, ...]
    stages: Sequence[tuple[object, ...]]
    changes: Sequence[tuple[object, ...]]


def _variant(crowd: Crowd, number: int) -> _Variant:
    """What is kept of a customer who bought so many seconds before the last one."""
    bought_ms = crowd.bought_ms - number * SECOND_MS
    data = b'{"order_id":"first","amount":"129.90","currency":"BRL"}'
    rules = shipped_rules()
    origin = Origin(crowd.tenant, _CUSTOMER, "first", "purchase")
    order = {"order_id": "first", "amount": "129.90", "currency": "BRL"}
    decided = advance(rules, NEW_CUSTOMER, Event.taken(origin, bought_ms, bought_ms, backfill=False, data=order))
    assert isinstance(decided, Applied)
    state = decided.state
    wakes = [(state.lifecycles[each.name].wake_ms, each.lateness_ms) for each in rules.lifecycles]
    ripe = min(wake + lateness for wake, lateness in wakes if wake is not None)
    body = encode_posted(Posted(crowd.tenant, _CUSTOMER, "first", "purchase", bought_ms, data))
    stages = [(number, name, at.stage, at.entered_ms, at.entries[at.stage]) for name, at in state.lifecycles.items()]
    published = [(each, publish_change(each, crowd.tenant, _CUSTOMER, "BRL")) for each in decided.changes]
    changes = [(number, change.sequence, change.effective_ms, kept.kept.decode()) for change, kept in published]
    return _Variant((number, state.revision, encode_state(state), ripe, bought_ms, body.decode()), stages, changes)


_STAGING = (
    "CREATE UNLOGGED TABLE bench_people (customer text, partition int, variant int)",
    "CREATE UNLOGGED TABLE bench_variants (variant int, revision bigint, state bytea, ripe bigint, at bigint, body text)",
    "CREATE UNLOGGED TABLE bench_stages (variant int, lifecycle text, stage text, entered bigint, entry int)",
    "CREATE UNLOGGED TABLE bench_changes (variant int, sequence bigint, at bigint, kept text)",
)
_PRESENT = (
    "INSERT INTO engine_customers (tenant, customer_id, partition, revision, state) "
    "SELECT :tenant, customer, partition, revision, state FROM bench_people JOIN bench_variants USING (variant)",
    "INSERT INTO engine_stages (tenant, customer_id, lifecycle, stage, entered_ms, entry) "
    "SELECT :tenant, customer, lifecycle, stage, entered, entry FROM bench_people JOIN bench_stages USING (variant)",
    "INSERT INTO engine_timers (tenant, customer_id, partition, ripe_ms) "
    "SELECT :tenant, customer, partition, ripe FROM bench_people JOIN bench_variants USING (variant)",
)
_PAST = (
    "INSERT INTO engine_history (tenant, customer_id, event_id, partition, log_offset, arrival_ms, logged_ms, body) "
    "SELECT :tenant, customer, 'first', partition, -1, at, at, "
    f"convert_to(replace(body, '{_CUSTOMER}', customer), 'UTF8') FROM bench_people JOIN bench_variants USING (variant)",
    "INSERT INTO engine_stage_changes (tenant, customer_id, sequence, change_id, effective_ms, data) "
    "SELECT :tenant, customer, sequence, md5(customer) || sequence, at, "
    f"convert_to(replace(kept, '{_CUSTOMER}', customer), 'UTF8') FROM bench_people JOIN bench_changes USING (variant)",
)
