"""How long to wait before trying again what failed for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from shared.errors import Transient

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 5.0
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Backoff:
    """Doubles from 50 ms to 5 s; starts over after a success."""

    _seconds: float = _FIRST_SECONDS

    def reset(self) -> None:
        """It worked."""
        self._seconds = _FIRST_SECONDS

    async def wait(self) -> None:
        """Wait, a little longer each time."""
        seconds, self._seconds = self._seconds, min(2 * self._seconds, _LONGEST_SECONDS)
        await asyncio.sleep(seconds)


async def patiently(call: Callable[[], Awaitable[_T]], waiting: str, tried: Callable[[], None] = lambda: None) -> _T:
    """The result of `call`, however long its server is away. `waiting` says in the log who waits for what; `tried` is
    called after each failure, so that a watchdog can tell waiting from being stuck. Cancel it to give up."""
    backoff = Backoff()
    while True:
        try:
            return await call()
        except Transient as error:
            _log.warning(waiting, why=str(error))
            tried()
            await backoff.wait()
