"""When something happened: from a cell to milliseconds. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from decimal import Decimal, DecimalException
from enum import StrEnum
from typing import NamedTuple

from services.cli.importing.problems import Unfit, shortened
from shared.contracts.times import from_ms, to_ms

RFC_3339 = "rfc3339"
EPOCH_SECONDS = "epoch_seconds"
EPOCH_MILLISECONDS = "epoch_milliseconds"
_ANCIENT = "write when it happened: an import takes 1970 to now"


class Odd(StrEnum):
    """A local time that a clock showed not once: how often, and which instant is taken."""

    TWICE = "clocks were put back, so it came twice; the first one is taken"
    NEVER = "clocks were put forward over it; it counts as if they had not been yet"


class Moment(NamedTuple):
    """An instant in milliseconds; `odd` when its local time named none or two."""

    ms: int
    odd: Odd | None = None


Reader = Callable[[str], Moment]
"""Raises Unfit."""


def reader(form: str, zone: tzinfo | None) -> Reader:
    """How cells of a format are read. `zone` is that of times without an offset; None refuses them."""
    if form in (EPOCH_SECONDS, EPOCH_MILLISECONDS):
        scale = 3 if form == EPOCH_SECONDS else 0
        return lambda cell: Moment(_since_epoch(cell, scale))
    parse = datetime.fromisoformat if form == RFC_3339 else lambda cell: datetime.strptime(cell, form)
    example = "2026-11-22T14:03:11Z" if form == RFC_3339 else datetime(2026, 11, 22, 14, 3, 11).strftime(form)

    def read(cell: str) -> Moment:
        try:
            moment = _placed(parse(cell), zone)
            from_ms(moment.ms)
            return moment
        except (ValueError, OverflowError):
            raise Unfit(
                f"{shortened(cell)} is no time like {example}", "mend it, or give `time` the format it has"
            ) from None

    return read


def _placed(moment: datetime, zone: tzinfo | None) -> Moment:
    if moment.tzinfo is not None:
        return Moment(to_ms(moment))
    if zone is None:
        raise Unfit("the time has no offset", "give the mapping a `time_zone`, such as America/Sao_Paulo")
    first, second = moment.replace(tzinfo=zone, fold=0), moment.replace(tzinfo=zone, fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    assert before is not None
    assert after is not None
    # PEP 495: of a time that came twice the first has the larger offset; of one that was skipped, the smaller.
    odd = None if before == after else Odd.TWICE if before > after else Odd.NEVER
    return Moment(to_ms(first), odd)


def _since_epoch(cell: str, scale: int) -> int:
    try:
        milliseconds = int(Decimal(cell).scaleb(scale))
        from_ms(milliseconds)
    except (DecimalException, ValueError, OverflowError):
        unit = "seconds" if scale else "milliseconds"
        raise Unfit(f"{shortened(cell)} is no number of {unit} since 1970", _ANCIENT) from None
    return milliseconds
