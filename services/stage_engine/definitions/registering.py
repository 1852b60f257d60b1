"""Registers lifecycle files as immutable, versioned rows when the engine starts."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from services.stage_engine.definitions.definition import Definition, load_definition, shipped_or_path
from services.stage_engine.definitions.stored import parsed
from services.stage_engine.definitions.together import check_together
from services.stage_engine.store import lifecycles, progress, publications
from services.stage_engine.store.publications import Publication
from shared.db.port import Database, Transaction
from shared.errors import Permanent

_log = structlog.get_logger(__name__)


class DefinitionDiffers(Permanent):
    """A file says something else than the active version; starting with it would change rules behind people's backs."""


async def register(database: Database, names: tuple[str, ...], now_ms: int) -> dict[tuple[str, int], Definition]:
    """Register what is new, and give every definition by name and version.

    Raises DefinitionError for a broken file or files that do not fit each other, DefinitionDiffers for one that differs
    from the active version, Permanent for a lifecycle named twice.
    """
    definitions = [load_definition(shipped_or_path(name)) for name in names]
    repeated = {each.name for each in definitions if sum(other.name == each.name for other in definitions) > 1}
    if repeated:
        raise Permanent(f"JORNADA_LIFECYCLES names {', '.join(sorted(repeated))} more than once")
    check_together(definitions)
    async with database.transaction() as transaction:
        known = {each.name: each for each in await lifecycles.newest(transaction)}
        for definition in definitions:
            stored = known.get(definition.name)
            if stored is None:
                stored = lifecycles.Stored(definition.name, 1, definition.digest, definition.body)
                await lifecycles.add(transaction, stored, now_ms)
                await publications.add(transaction, _first_publication(stored, now_ms))
                _log.info("lifecycle registered", lifecycle=definition.name, version=1)
            elif stored.digest != definition.digest:
                await _check_older(transaction, definition, stored.version)
            known[definition.name] = stored
    chosen = [known[definition.name] for definition in definitions]
    return {(each.name, each.version): parsed(each) for each in chosen}


async def check_none_is_dropped(database: Database, names: Iterable[str], retired: Iterable[str]) -> None:
    """Refuse to stop a lifecycle by leaving it out, which an engine that was started with another list by mistake would do
    on every partition that it gets. Raises Permanent, DatabaseUnavailable."""
    async with database.reading() as transaction:
        dropped = sorted(await progress.running(transaction) - {*names, *retired})
    if dropped:
        listed = ",".join(dropped)
        raise Permanent(
            f"customers go by {', '.join(dropped)}, and JORNADA_LIFECYCLES does not name that: list it, as every engine has "
            f"to; or, if it is to stop for everybody, say so: JORNADA_RETIRED_LIFECYCLES={listed}"
        )


def _first_publication(stored: lifecycles.Stored, now_ms: int) -> Publication:
    publish_id = f"{stored.name}-1"
    return Publication(publish_id, stored.name, 1, 1, "registered when an engine started", "engine", now_ms)


async def _check_older(transaction: Transaction, definition: Definition, active: int) -> None:
    """A file that an earlier publication has replaced, or a rollback put aside, does no harm: the database says what is
    active. One that nobody has published would. Raises DefinitionDiffers."""
    known = {each.digest: each.version for each in await lifecycles.of_name(transaction, definition.name)}
    if definition.digest not in known:
        raise DefinitionDiffers(_advice(definition, active))
    version = known[definition.digest]
    _log.warning("file is not the active version", lifecycle=definition.name, file=version, active=active)


def _advice(definition: Definition, version: int) -> str:
    return (
        f"{definition.file} differs from {definition.name} version {version}, which is active. See what it would change "
        f"with `jornada lifecycle diff {definition.name} {definition.file}`, and publish it with "
        f'`jornada lifecycle publish {definition.file} -m "why"`; or restore the file'
    )
