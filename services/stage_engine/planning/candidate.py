"""A file that is tried against the database before anybody publishes it: checked as publishing checks it, nothing written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.publications.publishing import check_fit, check_stages, version_of
from services.stage_engine.rulebook import RuleBook
from services.stage_engine.store import publications
from services.stage_engine.store.progress import Versions
from shared.db.port import Database


@dataclass(frozen=True, slots=True)
class Candidate:
    """A definition that is tried against the database before anybody publishes it.

    `version` is the number that it would get, or has when its text was published before. `active` are the versions in
    force now, of every lifecycle that was ever registered, and `versions` the same with the candidate. `migrate` says
    where customers of stages go that are no more. `rulebook` has learnt all of them, the candidate included.
    """

    definition: Definition
    version: int
    active: Versions
    versions: Versions
    migrate: Mapping[str, str]
    rulebook: RuleBook

    @property
    def new(self) -> bool:
        """Whether no engine has registered its lifecycle yet: then everybody would enter it."""
        return self.definition.name not in self.active

    @property
    def in_force(self) -> bool:
        """Whether it is what is in force already, so that publishing it would change nothing."""
        return self.active == self.versions


async def load_candidate(
    database: Database, rulebook: RuleBook, definition: Definition, migrate: Mapping[str, str]
) -> Candidate:
    """Check a definition as publishing does, `migrate` being added to what the file says; the rulebook learns what it needs.

    A lifecycle that no engine has registered is allowed here. Raises Permanent when a stage would be lost, DefinitionError
    when it does not fit the other lifecycles, DatabaseUnavailable.
    """
    async with database.reading() as transaction:
        active = await publications.active(transaction)
        await check_fit(transaction, definition)
        version = await version_of(transaction, definition)
        await rulebook.learn(transaction, active)
    # Of a lifecycle that is not there yet no stage can be lost.
    before = rulebook.definition(definition.name, active[definition.name]) if definition.name in active else definition
    moved = check_stages(before, definition, migrate)
    rulebook.take(definition, version)
    return Candidate(definition, version, active, {**active, definition.name: version}, moved, rulebook)
