"""Publishing: a version is stored, and one control record tells every partition where it begins to hold.

Each partition changes over by itself, so the records need no common transaction; told twice, a partition counts a
publication once, by its id. A publication that could not be announced everywhere is announced again by publishing the
same file again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import uuid_utils

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.stored import parsed
from services.stage_engine.definitions.together import check_together
from services.stage_engine.publications.control import message
from services.stage_engine.store import lifecycles, publications
from services.stage_engine.store.lifecycles import Stored
from services.stage_engine.store.publications import Publication
from shared.contracts.topics import Topic
from shared.db.port import Database, DatabaseConflict, Transaction
from shared.errors import Permanent
from shared.log.port import Log


@dataclass(frozen=True, slots=True)
class Request:
    """Why, by whom and how. `migrate` adds to what the file says; `notify` lets campaigns act on what changes."""

    message: str
    author: str
    now_ms: int
    notify: bool = False
    migrate: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """The publication, and whether it is new; an old one was only announced again."""

    publication: Publication
    new: bool


class _Turn(NamedTuple):
    """What a publication follows: the number that it gets, and the version that was active before it."""

    number: int
    active: Stored


async def publish(database: Database, log: Log, definition: Definition, request: Request) -> Published:
    """Publish a file as the next version of its lifecycle.

    Raises Permanent when the lifecycle is not registered or a stage would be lost, DefinitionError when it does not fit
    the others, DatabaseConflict when somebody else published meanwhile, LogUnavailable when it is not announced yet.
    """
    async with database.transaction() as transaction:
        turn = await _turn(transaction, definition.name)
        if turn.active.digest == definition.digest:
            found = Published((await publications.of_lifecycle(transaction, definition.name))[-1], new=False)
        else:
            await check_fit(transaction, definition)
            version = await version_of(transaction, definition)
            stored = Stored(definition.name, version, definition.digest, definition.body)
            await lifecycles.add(transaction, stored, request.now_ms)
            found = Published(await _store(transaction, turn, (definition, version), request), new=True)
    await announce(log, found.publication)
    return found


async def roll_back(database: Database, log: Log, name: str, version: int | None, request: Request) -> Published:
    """Publish an earlier version again: the one active before, or the one named. Raises as `publish` does."""
    async with database.transaction() as transaction:
        turn = await _turn(transaction, name)
        earlier = await _earlier(transaction, turn.active, version)
        target = parsed(earlier)
        await check_fit(transaction, target)
        found = Published(await _store(transaction, turn, (target, earlier.version), request), new=True)
    await announce(log, found.publication)
    return found


async def earlier_version(database: Database, name: str, version: int | None) -> tuple[Definition, int]:
    """What `roll_back` would publish again: the definition and its number. Raises Permanent when there is none."""
    async with database.reading() as transaction:
        found = await _earlier(transaction, await _active(transaction, name), version)
    return parsed(found), found.version


async def announce(log: Log, publication: Publication) -> None:
    """Tell every partition. Raises LogUnavailable; then nothing is lost, and it may be told again."""
    producer = await log.producer()
    try:
        for partition in range(await log.partitions(Topic.EVENTS)):
            await producer.append_to(Topic.EVENTS, partition, [message(publication)])
    finally:
        await producer.close()


async def _turn(transaction: Transaction, name: str) -> _Turn:
    """Wait for whoever publishes any lifecycle at the moment, so that what is checked against the others holds.

    The number is read before that: whoever has waited for a publication of the same lifecycle has not seen it, and their
    number is taken. Raises Permanent when the lifecycle is not registered.
    """
    number = await publications.next_number(transaction, name)
    await publications.take_turns(transaction)
    return _Turn(number, await _active(transaction, name))


async def _active(transaction: Transaction, name: str) -> Stored:
    found = {each.name: each for each in await lifecycles.newest(transaction)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none yet"
        raise Permanent(
            f"no engine runs a lifecycle {name!r} (registered: {known}); a new one is registered when an engine starts "
            "with it in JORNADA_LIFECYCLES"
        )
    return found[name]


async def _earlier(transaction: Transaction, active: Stored, version: int | None) -> Stored:
    """The version named, or the one active before. Raises Permanent."""
    name = active.name
    stored = {each.version: each for each in await lifecycles.of_name(transaction, name)}
    version = version or _before(await publications.of_lifecycle(transaction, name), active.version)
    if version not in stored or version == active.version:
        there = ", ".join(str(each) for each in stored if each != active.version) or "none"
        raise Permanent(f"{name} can't be rolled back to version {version}; others than the active one: {there}")
    return stored[version]


async def check_fit(transaction: Transaction, definition: Definition) -> None:
    """Check a definition against the active ones of the other lifecycles. Raises DefinitionError."""
    others = [parsed(each) for each in await lifecycles.newest(transaction) if each.name != definition.name]
    check_together([definition, *others])


async def version_of(transaction: Transaction, definition: Definition) -> int:
    """The version that a text has, or would get: one that was published before keeps its number."""
    for each in await lifecycles.of_name(transaction, definition.name):
        if each.digest == definition.digest:
            return each.version
    return await lifecycles.highest(transaction, definition.name) + 1


async def _store(
    transaction: Transaction, turn: _Turn, target: tuple[Definition, int], request: Request
) -> Publication:
    definition, version = target
    migrate = check_stages(parsed(turn.active), definition, request.migrate)
    publication = Publication(
        publish_id=str(uuid_utils.uuid7()),
        lifecycle=definition.name,
        number=turn.number,
        version=version,
        message=request.message,
        author=request.author,
        created_ms=request.now_ms,
        notify=request.notify,
        migrate=migrate,
    )
    if not await publications.add(transaction, publication):
        raise DatabaseConflict(f"somebody else has just published {definition.name}; look at it and publish again")
    return publication


def check_stages(active: Definition, definition: Definition, added: Mapping[str, str]) -> dict[str, str]:
    """Where customers of stages go that are no more: what the file says, and what is `added` to it.

    Raises Permanent when somebody would be left in a stage that is no more, or sent to one that there is not.
    """
    migrate = {**definition.shape.migrate, **added}
    lost = [key for key in active.shape.stages if key not in definition.shape.stages and key not in migrate]
    if lost:
        advice = ", ".join(f"{key}: <stage>" for key in lost)
        raise Permanent(
            f"{definition.file} has no stage {', '.join(lost)} any more, and customers may be there; say where they go: "
            f"migrate: {{{advice}}}"
        )
    wrong = [target for target in migrate.values() if target not in definition.shape.stages]
    if wrong:
        raise Permanent(f"migrate leads to {', '.join(wrong)}, which {definition.file} does not have")
    return migrate


def _before(published: Sequence[Publication], active: int) -> int:
    """The version that was active before."""
    return next((each.version for each in reversed(published) if each.version != active), 0)
