"""Everything that a run left behind, read once it is quiet: tables, topics, e-mails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Select, select

from services.notifier.domain.delivery import Planned
from services.notifier.store import tables as notifier
from services.notifier.store.deliveries import COLUMNS, planned_of
from services.stage_engine.domain.state import CustomerState, decode_state
from services.stage_engine.rebuilding import Difference, Rebuild
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import activations
from services.stage_engine.store import tables as engine
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Past
from shared.auth.tenants import Tenants
from shared.contracts.topics import Topic
from shared.db.port import Database, Transaction
from shared.log.port import Record
from tests.faults.replay import CURRENCY, SETTLE_MS, Activations
from tests.faults.topics import Topics


@dataclass(frozen=True)
class DeadLetter:
    """A record that was set aside."""

    customer_id: str
    partition: int
    offset: int
    reason: str
    value: bytes


@dataclass(frozen=True)
class Kept:
    """A stage change as the engine's table has it."""

    customer: CustomerKey
    sequence: int
    change_id: str
    data: bytes


@dataclass(frozen=True)
class Evidence:
    """What is compared with what was acknowledged and with the replays."""

    history: Sequence[Past]
    dead_letters: Sequence[DeadLetter]
    changes: Sequence[Kept]
    states: dict[CustomerKey, CustomerState]
    deliveries: Sequence[Planned]
    outcomes: dict[str, str]
    waiting: dict[str, int]
    events: Sequence[Record]
    stage_changed: Sequence[Record]
    customer_updated: Sequence[Record]
    letters: frozenset[str]
    activations: Activations
    rulebook: RuleBook
    differences: Sequence[Difference]
    """What `jornada rebuild` finds."""


async def gather(database: Database, topics: Topics, letters: Path) -> Evidence:
    """Read it all."""
    async with database.reading() as transaction:
        found = await _tables(transaction)
    rulebook, stored = await _rules(database)
    rebuild = Rebuild(database, rulebook, SETTLE_MS)
    return Evidence(
        **found,
        events=await topics.read(Topic.EVENTS),
        stage_changed=await topics.read(Topic.STAGE_CHANGED),
        customer_updated=await topics.read(Topic.CUSTOMER_UPDATED),
        letters=_names(letters),
        activations=stored,
        rulebook=rulebook,
        differences=[each async for page in rebuild.pages() for each in page.differences],
    )


async def _rules(database: Database) -> tuple[RuleBook, Activations]:
    """Every definition that held somewhere, and from where on."""
    rulebook = RuleBook({}, Tenants(database), CURRENCY)
    async with database.reading() as transaction:
        partitions = [row[0] for row in await _rows(transaction, select(engine.progress.c.partition))]
        stored = {each: await activations.of_partition(transaction, each, 0) for each in partitions}
        for each in (step for steps in stored.values() for step in steps):
            await rulebook.learn(transaction, each.versions)
    return rulebook, stored


def _names(letters: Path) -> frozenset[str]:
    return frozenset(path.stem for path in letters.glob("*.eml"))


async def _tables(transaction: Transaction) -> dict[str, Any]:
    past, letters, changes = engine.history.c, engine.dead_letters.c, engine.stage_changes.c
    history = select(
        past.tenant, past.customer_id, past.event_id, past.arrival_ms, past.log_offset, past.logged_ms, past.body
    )
    dead = select(letters.customer_id, letters.partition, letters.log_offset, letters.reason, letters.value)
    kept = select(changes.tenant, changes.customer_id, changes.sequence, changes.change_id, changes.data)
    people = select(engine.customers.c.tenant, engine.customers.c.customer_id, engine.customers.c.state)
    planned = select(*(notifier.deliveries.c[name] for name in COLUMNS))
    return {
        "history": [Past(CustomerKey(row[0], row[1]), *row[2:]) for row in await _rows(transaction, history)],
        "dead_letters": [DeadLetter(*row) for row in await _rows(transaction, dead)],
        "changes": [Kept(CustomerKey(row[0], row[1]), *row[2:]) for row in await _rows(transaction, kept)],
        "states": {CustomerKey(row[0], row[1]): decode_state(row[2]) for row in await _rows(transaction, people)},
        "deliveries": [planned_of(row) for row in await _rows(transaction, planned)],
        "outcomes": dict(await _rows(transaction, select(notifier.outcomes.c.id, notifier.outcomes.c.outcome))),
        "waiting": dict(await _rows(transaction, select(notifier.due.c.id, notifier.due.c.due_ms))),
    }


async def _rows(transaction: Transaction, statement: Select[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await transaction.execute(statement)]
