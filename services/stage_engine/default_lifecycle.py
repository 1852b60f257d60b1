"""Which lifecycle counts where nobody names one: a tenant may have many that run, and means one of them by default."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from services.stage_engine.definitions.definition import shipped_or_path
from services.stage_engine.definitions.yaml_source import Document
from services.stage_engine.store import default_lifecycles
from shared.contracts.field_errors import did_you_mean
from shared.db.port import Transaction
from shared.errors import Permanent
from shared.settings import Settings


class Default(NamedTuple):
    """A lifecycle's name, and whether the tenant itself has chosen it."""

    lifecycle: str
    chosen: bool


async def default_of(transaction: Transaction, tenant: str, settings: Settings) -> Default:
    """The tenant's choice; or else the setting; or else the first lifecycle that runs."""
    chosen = await default_lifecycles.chosen(transaction, tenant)
    return Default(chosen, True) if chosen is not None else Default(default_of_all(settings), False)


def default_of_all(settings: Settings) -> str:
    """The lifecycle of tenants that have chosen none."""
    return settings.default_lifecycle or running(settings)[0]


def running(settings: Settings) -> list[str]:
    """The names of the lifecycles that a process is told to run, in its order. Raises Permanent for a missing file."""
    return [_name(each) for each in settings.lifecycles]


def check_default(settings: Settings, names: Collection[str]) -> None:
    """Raises Permanent when the settings' default is none of those that run."""
    wanted = settings.default_lifecycle
    if wanted is not None and wanted not in names:
        meant = did_you_mean(wanted, names)
        raise Permanent(
            f"JORNADA_DEFAULT_LIFECYCLE is {wanted!r}, which JORNADA_LIFECYCLES does not list; {meant} Name one of "
            "those that run, or unset it for the first"
        )


@lru_cache(maxsize=100)
def _name(listed: str) -> str:
    """The name that a file gives its lifecycle. It is read once: the engine checks the whole file when it starts."""
    path = shipped_or_path(listed)
    return str(Document(str(path), path.read_bytes().decode(errors="replace")).value.get("lifecycle", listed))
