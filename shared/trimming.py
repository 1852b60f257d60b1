"""What jobs that delete old rows have in common: short transactions with pauses, so that nobody waits behind them long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

STEP_ROWS: Final = 500
"""Most rows that one transaction takes: some ten milliseconds of work."""
ROUND_SECONDS: Final = 600.0
"""From the end of one round to the next; ages are counted in days."""
_PAUSE_SECONDS: Final = 0.2


async def in_small_steps(step: Callable[[], Awaitable[bool]]) -> None:
    """Call `step`, one short transaction, until it says that there is no more to do."""
    while await step():
        await asyncio.sleep(_PAUSE_SECONDS)
