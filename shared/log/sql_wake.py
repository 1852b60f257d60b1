"""Wakes the readers of this process when one of its commits concerns them; readers elsewhere find out by polling."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class Wakes:
    """Events by name (a topic, or `group:` and a group's name). Everything happens on one event loop."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}

    def listen(self, names: Iterable[str]) -> asyncio.Event:
        """An event that is set on each `wake` with one of the names; whoever waits clears it before looking."""
        event = asyncio.Event()
        for name in names:
            self._listeners.setdefault(name, set()).add(event)
        return event

    def forget(self, event: asyncio.Event) -> None:
        """Undo `listen`."""
        for listeners in self._listeners.values():
            listeners.discard(event)

    def wake(self, names: Iterable[str]) -> None:
        """Set the events of all who listen to one of the names."""
        for name in names:
            for event in self._listeners.get(name, ()):
                event.set()


async def wait_for(event: asyncio.Event, timeout_seconds: float) -> None:
    """Return when the event is set or the time is over, whichever is first."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        pass
