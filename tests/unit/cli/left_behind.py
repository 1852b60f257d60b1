"""What an engine leaves behind in a database, for commands that read it without one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from services.stage_engine.definitions.definition import parse_definition
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.event import Event
from services.stage_engine.domain.lifecycle import Rules
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store import activations, customers, history, lifecycles, publications
from services.stage_engine.store.activations import Stored
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Entry
from services.stage_engine.store.publications import Publication
from shared.contracts.cloudevent import Posted, encode_posted
from shared.db.connect import connect
from shared.db.port import Database, Write

TENANT = "shop"
PARTITION = 3
_T = TypeVar("_T")


def on_database(url: str, call: Callable[[Database], Awaitable[_T]]) -> _T:
    """What a call gives on the database, which is opened for it alone."""

    async def inside() -> _T:
        database = connect(url)
        try:
            return await call(database)
        finally:
            await database.close()

    return asyncio.run(inside())


async def leave(database: Database, text: str, lives: Mapping[str, Sequence[Event]], *more: Write) -> None:
    """A lifecycle as its first version, and the customers of `shop` who have lived by it; and whatever else is written."""
    definition = parse_definition("", text)
    name, rules = definition.name, Rules((definition.compile(1, "BRL"),), "BRL")
    entries = [entry(each, offset) for offset, each in enumerate(each for life in lives.values() for each in life)]
    states = {CustomerKey(TENANT, customer): lived(rules, life) for customer, life in lives.items()}
    began = Stored(PARTITION, 0, "start", "", 0, 0, 0, False, {}, {name: 1})
    async with database.transaction() as transaction:
        await lifecycles.add(transaction, lifecycles.Stored(name, 1, definition.digest, text), 0)
        await publications.add(transaction, Publication(f"{name}-1", name, 1, 1, "first", "engine", 0))
        await history.add(transaction, entries)
        await transaction.write_all([activations.add([began]), customers.states_write(PARTITION, states), *more])


def lived(rules: Rules, life: Iterable[Event]) -> CustomerState:
    """Where a customer is after these events."""
    state = NEW_CUSTOMER
    for each in life:
        decision = advance(rules, state, each)
        assert isinstance(decision, Applied)
        state = decision.state
    return state


def entry(happened: Event, offset: int) -> Entry:
    """An event as it is kept."""
    data = msgspec.json.encode(happened.data)
    posted = Posted(happened.tenant, happened.customer_id, happened.id, happened.type, happened.time_ms, data)
    return Entry(happened, PARTITION, offset, encode_posted(posted))
