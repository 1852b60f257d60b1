"""What the command does: look at everything, then post it, and keep how far it has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import msgspec

from services.cli.importing.ordering import Spool
from services.cli.importing.posting import Ingest, Waiting
from services.cli.importing.problems import Problem
from services.cli.importing.reading import digest_of
from services.cli.importing.reporting import Report, write_rejected
from services.cli.importing.resuming import Import, State, StateFile, begun, resumed
from services.cli.importing.running import Asked, post_all, read_all
from services.cli.importing.showing import Patience, posting_bar, reading_bar
from shared.contracts.times import now_ms, to_text
from shared.errors import Permanent


@dataclass(frozen=True, slots=True)
class Wanted:
    """An import: what, where to, whether bad lines are left out, and whether to begin anew."""

    asked: Asked
    url: str
    skip_bad: bool
    restart: bool

    @property
    def rejected(self) -> Path:
        """Where lines are listed that were left out or refused."""
        return self.asked.path.with_name(self.asked.path.name + ".rejected.jsonl")


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of it: the state at the end, and what this run did in how many seconds."""

    state: State
    events: int
    seconds: float


def look(asked: Asked, spool: Spool) -> Report:
    """Check every line; what is good is in the spool then. Raises Permanent and DefinitionError."""
    try:
        size = asked.path.stat().st_size
    except OSError as error:
        raise Permanent(f"{asked.path} can't be read: {error.strerror or error}") from None
    with reading_bar(size) as bar:
        seen = read_all(asked, spool, bar.to)
    return Report(asked.path, seen, spool.contents())


class Importing:
    """One import with one key. Raises Permanent at once when another one was begun and is not finished."""

    def __init__(self, wanted: Wanted, key: str) -> None:
        self._wanted = wanted
        self._key = key
        self._file = StateFile(wanted.asked.path)
        self._digest = digest_of(wanted.asked.path)
        found = None if wanted.restart else self._file.load()
        self.other_key = begun(found) and found.key_id != key_id(key)
        self.state = resumed(found, self._identity(), key_id(key))

    def check_unchanged(self) -> None:
        """Raises Permanent when the file is no more what it was: what was read may be half of it."""
        if digest_of(self._wanted.asked.path) != self._digest:
            raise Permanent(
                f"{self._wanted.asked.path} was written to while it was read; import it when it is complete"
            )

    def post(self, spool: Spool) -> Posted:
        """Post what is left, and keep the state after each answer. Raises Permanent."""
        began, before = monotonic(), self.state.posted
        self._file.save(self.state)
        if self._wanted.skip_bad and self.state.posted + self.state.refused == 0:
            self._reject(spool.problems(), anew=True)
        with Ingest(self._wanted.url, self._key, Waiting(Patience().say)) as ingest:
            self._post_all(spool, ingest)
        self._keep(msgspec.structs.replace(self.state, finished_at=to_text(now_ms())))
        return Posted(self.state, self.state.posted - before, monotonic() - began)

    def _post_all(self, spool: Spool, ingest: Ingest) -> None:
        left = spool.left(self.state.place)
        done = self.state.posted + self.state.refused
        with posting_bar(left) as bar:
            for state, refused in post_all(spool, ingest, self.state, skip_refused=self._wanted.skip_bad):
                if refused:
                    # Before the state: who is stopped in between finds them twice rather than never.
                    self._reject(refused, anew=False)
                    spool.add_problems(refused)
                self._keep(state)
                bar.to(state.posted + state.refused - done)

    def _keep(self, state: State) -> None:
        self._file.save(state)
        self.state = state

    def _reject(self, problems: Iterable[Problem], *, anew: bool) -> None:
        try:
            write_rejected(self._wanted.rejected, problems, anew=anew)
        except OSError as error:
            raise Permanent(f"{self._wanted.rejected} can't be written: {error.strerror or error}") from None

    def _identity(self) -> Import:
        asked = self._wanted.asked
        mapping = asked.mapping.digest if asked.mapping else ""
        return Import(self._digest, mapping, f"{asked.text.encoding} {asked.text.delimiter or ''}", self._wanted.url)


def key_id(key: str) -> str:
    """The part of a key that may be shown: `jrn_<id>.<secret>` without the secret."""
    head, dot, _ = key.partition(".")
    return head if dot else ""
