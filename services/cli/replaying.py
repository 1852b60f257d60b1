"""From a dead letter, or its repaired bytes, to an event that may go to the log again. Pure; called by `dead_letters`.

A replay must be the event that was set aside: same tenant, customer and id. Then the engine applies it if it never was
applied, and drops it as a duplicate if it was. Two reasons stand in the way of the same bytes for ever, and are told.
"""

from __future__ import annotations

from services.stage_engine.batches.reading import Unreadable, read
from services.stage_engine.store.dead_letters import DeadLetter
from shared.contracts.cloudevent import BACKFILL, CloudEvent, decode, headers, record_key
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.topics import Topic
from shared.errors import Poison
from shared.log.partitioner import partition_of
from shared.log.port import Message, Record

_FORM = (
    '{"specversion": "1.0", "id": "order-1", "source": "/tenants/shop/customers/c-1", "type": "purchase", '
    '"subject": "c-1", "time": "2026-11-22T14:03:11Z", "tenant": "shop", "data": {…}}'
)
_LONGEST_SHOWN = 300


class StillBroken(Poison):
    """The bytes would be set aside again; the message says why and what to do."""


def replayed(letter: DeadLetter, value: bytes | None, now_ms: int, partitions: int) -> Message:
    """The record to append. `value` is what is to be replayed: the stored bytes or repaired ones. Raises StillBroken."""
    envelope = _envelope(value)
    key = record_key(envelope.tenant, envelope.subject)
    record = Record(Topic.EVENTS, partition_of(key, partitions), 0, now_ms, key, value, ())
    found = read(record, now_ms, partitions)
    if isinstance(found, Unreadable):
        raise StillBroken(f"{found.reason}: {found.detail[:_LONGEST_SHOWN]}; repair it and give it with --file")
    original = _readable(letter.value)
    if original is not None:
        _check_same_event(letter, original, envelope)
    return Message(key, value, headers(envelope.type, None))


def _envelope(value: bytes | None) -> CloudEvent:
    try:
        return decode(value or b"")
    except ValueError as error:
        raise StillBroken(f"it is no event: {str(error)[:_LONGEST_SHOWN]}; write one like {_FORM}") from None


def _readable(value: bytes | None) -> CloudEvent | None:
    try:
        return decode(value or b"")
    except ValueError:
        return None


def _check_same_event(letter: DeadLetter, original: CloudEvent, repaired: CloudEvent) -> None:
    if (original.tenant, original.subject) != (repaired.tenant, repaired.subject):
        raise StillBroken(
            f"it was about customer {original.subject!r} of {original.tenant!r}; a repair keeps both. "
            "Post a new event for somebody else"
        )
    if letter.reason is DeadLetterReason.ID_CONFLICT:
        if repaired.id == original.id:
            raise StillBroken(f"another event has the id {original.id!r} already; give this one an id of its own")
    elif repaired.id != original.id:
        raise StillBroken(f"its id was {original.id!r}; a repair keeps it, so that nothing is applied twice")
    still_behind = repaired.mode == BACKFILL and repaired.time <= original.time
    if letter.reason is DeadLetterReason.BEHIND_CLOCK and still_behind:
        raise StillBroken(f"{letter.detail}; post it live (without mode) to correct facts, or leave it out")
