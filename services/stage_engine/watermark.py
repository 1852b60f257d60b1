"""How far a partition is known to be complete: the time up to which silence may be believed.

While records come, it is the arrival of the last one handled. When caught up it follows the wall clock: note t0, ask
the log for its end, and if everything before that end was handled, nothing that arrived before t0 is missing. No
answer from the log: it stands still. So a backlog, a stopped engine or a cut-off broker makes nobody falsely inactive.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.errors import Transient
from shared.log.port import Consumer, TopicPartition

CLOCK_MARGIN_MS = 2_000
"""How far the log's clock may lag behind ours."""


async def caught_up_watermark(
    consumer: Consumer, where: TopicPartition, all_handled: Callable[[], bool], now_ms: Callable[[], int]
) -> int | None:
    """The watermark in milliseconds if everything is handled, else None. `all_handled` tells whether no fetched record
    is waiting; it is asked last, so that what is fetched meanwhile counts as not handled."""
    t0 = now_ms()
    try:
        end = await consumer.end_offset(where)
        position = await consumer.position(where)
    except Transient:
        return None
    return t0 - CLOCK_MARGIN_MS if position >= end and all_handled() else None
