"""Who may open a transaction next: events before work that can wait, and neither of them for ever.

Few transactions are open at a time, and every partition wants one. Events are news, so they go first. Timers that went
off long ago and customers who have to meet a publication can wait, but not for ever: while both are asked for, every
other turn is theirs. A partition in line for such work keeps its place when records come and are applied meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Place:
    """A place in one of the lines, for one turn after the other. Its holder need not stand there all the time."""

    turns: Turns
    line: deque[Place]
    is_overdue: bool = False
    """Whether its turn has come while nobody stood there: now its holder should stay."""
    called: asyncio.Future[bool] | None = None
    """How the holder is told, while standing there."""

    async def reached(self) -> bool:
        """Stand in line. True: the turn is the holder's until `done`. False: they stepped aside; the place is kept."""
        self.keep()
        called: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.called = called
        self.turns.call()
        try:
            return await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled() and called.result():
                self.turns.end()
            self.give_up()
            raise
        finally:
            self.called = None

    def keep(self) -> None:
        """Be in line without standing there: for who has something else to do first."""
        if self not in self.line:
            self.line.append(self)

    def step_aside(self) -> None:
        """Let the holder do something else first, unless their turn has come already."""
        if not self.is_overdue and self.called is not None and not self.called.done():
            self.called.set_result(False)

    def give_up(self) -> None:
        """Leave the line, and go on with something else."""
        self.is_overdue = False
        if self in self.line:
            self.line.remove(self)
        self.step_aside()

    def done(self) -> None:
        """The turn is over; for another one the holder starts at the end of the line."""
        self.turns.end()


@dataclass(eq=False, slots=True)
class Turns:
    """At most so many turns at a time."""

    free: int
    _events: deque[Place] = field(default_factory=deque)
    _patient: deque[Place] = field(default_factory=deque)
    _was_for_events: bool = False

    def for_events(self) -> Place:
        """A place for what came with the log."""
        return Place(self, self._events)

    def for_what_can_wait(self) -> Place:
        """A place for timers and sweeps."""
        return Place(self, self._patient)

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """One turn among those for events, however long it takes."""
        place = self.for_events()
        await place.reached()
        try:
            yield
        finally:
            place.done()

    def end(self) -> None:
        """A turn is over: the next."""
        self.free += 1
        self.call()

    def call(self) -> None:
        """Give the free turns to those who stand first in line."""
        while self.free and (place := self._next()) is not None:
            assert place.called is not None
            place.line.remove(place)
            place.is_overdue = False
            place.called.set_result(True)
            self._was_for_events = place.line is self._events
            self.free -= 1

    def _next(self) -> Place | None:
        events = _first(self._events)
        if events is not None and not self._was_for_events:
            return events
        return _first(self._patient) or events


def _first(line: deque[Place]) -> Place | None:
    """The first who stands there; those who are away in front of them are told when they come back."""
    for place in line:
        if place.called is not None and not place.called.done():
            return place
        place.is_overdue = True
    return None
