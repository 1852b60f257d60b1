"""Stored versions of definitions, read back."""

from __future__ import annotations

from functools import lru_cache

from services.stage_engine.definitions.definition import Definition, parse_definition
from services.stage_engine.store.lifecycles import Stored


@lru_cache(200)
def parsed(stored: Stored) -> Definition:
    """A stored version, read once as long as it is asked for; it was checked when it was stored."""
    return parse_definition(f"{stored.name} version {stored.version}", stored.body)
