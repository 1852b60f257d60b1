"""How far an import has come, in a small file beside the one that is imported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeGuard

import msgspec

from services.cli.importing.ordering import BEGINNING, Place
from shared.errors import Permanent

_ENDING = ".import-state.json"
_RESTART = "--restart begins anew; what was posted already keeps its ids, and counts once"


class Import(msgspec.Struct, frozen=True):
    """What makes two imports the same: digests of the file and of the mapping, how its text is read, and where it goes."""

    file: str
    mapping: str
    text: str
    url: str


class State(msgspec.Struct, frozen=True):
    """How far it has come: the place of the last event that ingest answered for, and how many were posted and refused by
    ingest. `key_id` names the key that posted last; it is no secret. `finished_at` is RFC 3339."""

    of: Import
    key_id: str
    place: Place = BEGINNING
    posted: int = 0
    refused: int = 0
    finished_at: str | None = None


class StateFile:
    """Where the state of an import of `path` is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + _ENDING)

    def load(self) -> State | None:
        """The state; None when no import was begun. Raises Permanent."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Permanent(f"{self.path} can't be read: {error}; {_RESTART}") from None

    def save(self, state: State) -> None:
        """Keep the state, wholly or not at all. Raises Permanent."""
        written = self.path.with_name(self.path.name + ".new")
        try:
            written.write_bytes(msgspec.json.encode(state))
            os.replace(written, self.path)
        except OSError as error:
            advice = "an import keeps beside its file how far it has come; copy the file into a folder that may be written to"
            raise Permanent(f"{self.path} can't be written: {error.strerror or error}; {advice}") from None


def begun(found: State | None) -> TypeGuard[State]:
    """Whether ingest has answered for anything: a key that was refused binds nobody."""
    return found is not None and found.place != BEGINNING


def resumed(found: State | None, this: Import, key_id: str) -> State:
    """Where to begin. Raises Permanent when another import was begun and is not finished."""
    if not begun(found) or (found.finished_at is not None and found.of != this):
        return State(this, key_id)
    if found.of == this:
        return msgspec.structs.replace(found, key_id=key_id)
    changed = {"file": "the file", "mapping": "the mapping", "text": "--encoding or --delimiter", "url": "--url"}
    named = [words for name, words in changed.items() if getattr(found.of, name) != getattr(this, name)]
    before = f" (it went to {found.of.url})" if found.of.url != this.url else ""
    raise Permanent(
        f"an import of this file was begun and has posted {found.posted:,} events, and since then {' and '.join(named)} "
        f"changed{before}. Give the same again to go on where it was, or {_RESTART}"
    )
