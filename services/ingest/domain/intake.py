"""The way of one request's bytes: split into items, check each, and say of each what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from services.ingest.domain.envelope import Envelope, decode_envelope, explain, text_error, type_error
from services.ingest.domain.outcome import Accepted, Outcome, Reason, Refused, json_error, malformed, refused
from services.ingest.domain.payload import check_data, compact, too_deep
from shared.contracts.cloudevent import BACKFILL, MAX_EVENT_BYTES, Posted, encode_posted, record_key
from shared.contracts.events import PAYLOADS, EventType
from shared.contracts.field_errors import FieldError, did_you_mean
from shared.contracts.times import MINUTE_MS, to_ms

MAX_ITEMS: Final = 500
MAX_FUTURE_MS: Final = 5 * MINUTE_MS

_NEEDS_ID: Final = frozenset({EventType.PURCHASE, EventType.PURCHASE_REFUNDED})
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_EMPTY_OBJECT: Final = b"{}"


@dataclass(frozen=True, slots=True)
class Intake:
    """What decides beside the bytes: who sends, when they came (milliseconds), and where server-made ids come from."""

    tenant: str
    may_backfill: bool
    now_ms: int
    new_id: Callable[[], str]


class Malformed(Exception):
    """The body as a whole can't be taken; the message says why."""


def is_batch(body: bytes) -> bool:
    """Whether the body is an array rather than one event."""
    return body.lstrip()[:1] == b"["


def split_batch(body: bytes) -> list[msgspec.Raw]:
    """The items of an array, still as text. Raises Malformed."""
    try:
        items = _split(body)
    except RecursionError:
        raise Malformed("the JSON is nested too deeply") from None
    except ValueError as error:
        raise Malformed(json_error(error)) from None
    if not 0 < len(items) <= MAX_ITEMS:
        raise Malformed(f"a batch has 1 to {MAX_ITEMS} events, not {len(items):,}")
    return items


def take_batch(intake: Intake, body: bytes) -> list[Outcome]:
    """Outcomes in the order of the items. Raises Malformed."""
    seen: dict[tuple[str, str], Accepted] = {}
    return [_once(seen, take(intake, bytes(item))) for item in split_batch(body)]


def take(intake: Intake, raw: bytes) -> Outcome:
    """What becomes of one item."""
    if len(raw) > MAX_EVENT_BYTES:
        return _too_large(len(raw))
    try:
        envelope = decode_envelope(raw)
    except RecursionError:
        return too_deep()
    except msgspec.ValidationError as error:
        return _explained(raw, error)
    except ValueError as error:
        return malformed("", error)
    outcome = _checked(intake, envelope)
    return outcome if isinstance(outcome, Accepted) else _named(outcome, envelope.id)


def _checked(intake: Intake, envelope: Envelope) -> Outcome:
    problem = _wrong_names(envelope) or _wrong_use(intake, envelope)
    if problem is not None:
        return problem
    time_ms = intake.now_ms if envelope.time is None else _event_time(intake, envelope.time)
    if isinstance(time_ms, Refused):
        return time_ms
    raw = bytes(envelope.data)
    if not raw and envelope.type in PAYLOADS:
        return refused(Reason.PAYLOAD, "/data", "it is required", "add it")
    data = compact(raw) if raw else _EMPTY_OBJECT
    return check_data(envelope.type, data) or _accepted(intake, envelope, time_ms, data)


def _accepted(intake: Intake, envelope: Envelope, time_ms: int, data: bytes) -> Outcome:
    posted = Posted(
        tenant=intake.tenant,
        customer_id=envelope.customer_id,
        id=envelope.id if envelope.id is not None else intake.new_id(),
        type=envelope.type,
        time_ms=time_ms,
        data=data,
        mode=envelope.mode,
        servertime=envelope.time is None,
    )
    value = encode_posted(posted)
    if len(value) > MAX_EVENT_BYTES:
        return _too_large(len(value))
    return Accepted(
        id=posted.id,
        type=posted.type,
        customer_id=posted.customer_id,
        mode=posted.mode,
        time_ms=posted.time_ms,
        key=record_key(posted.tenant, posted.customer_id),
        value=value,
        warnings=() if posted.type in PAYLOADS else (_undeclared(posted.type),),
    )


def _wrong_names(envelope: Envelope) -> Refused | None:
    wrong = (
        (text_error("id", envelope.id) if envelope.id is not None else None),
        text_error("customer_id", envelope.customer_id),
        None if envelope.type in PAYLOADS else type_error(envelope.type),
    )
    if wrong == (None, None, None):
        return None
    return Refused(Reason.ENVELOPE, tuple(error for error in wrong if error is not None))


def _wrong_use(intake: Intake, envelope: Envelope) -> Refused | None:
    """The rules that span several fields: ids and backfill."""
    if envelope.id is None and envelope.type in _NEEDS_ID:
        detail = f"a {envelope.type} needs an id of yours: one made here would count a repeated request twice"
        return refused(Reason.ID_NEEDED, "/id", detail, 'take what names it in your system, such as "order-1001-paid"')
    return _wrong_backfill(intake, envelope) if envelope.mode == BACKFILL else None


def _wrong_backfill(intake: Intake, envelope: Envelope) -> Refused | None:
    if not intake.may_backfill:
        return refused(Reason.SCOPE, "/mode", "the key lacks the scope events:backfill", "make a key that has it")
    missing = [name for name in ("id", "time") if getattr(envelope, name) is None]
    if missing:
        errors = (FieldError(f"/{name}", "an imported event needs it", "add it") for name in missing)
        return Refused(Reason.ENVELOPE, tuple(errors))
    return None


def _event_time(intake: Intake, time: datetime) -> int | Refused:
    """Milliseconds of the time that the sender gave."""
    if time.tzinfo is None:
        return refused(Reason.TIME, "/time", "it has no offset", "write it like 2026-11-22T14:03:11Z")
    milliseconds = to_ms(time)
    if milliseconds < 0:
        return refused(Reason.TIME, "/time", "it is before 1970", "write when it happened, in UTC or with an offset")
    if milliseconds > intake.now_ms + MAX_FUTURE_MS:
        advice = "write when it happened, in UTC or with an offset, and check your clock"
        return refused(Reason.TIME, "/time", "it is more than 5 minutes in the future", advice)
    return milliseconds


def _once(seen: dict[tuple[str, str], Accepted], outcome: Outcome) -> Outcome:
    """An id may come twice in a batch for a customer only with the same content."""
    if isinstance(outcome, Refused):
        return outcome
    first = seen.setdefault((outcome.customer_id, outcome.id), outcome)
    if first.value == outcome.value:
        return outcome
    detail = "the same id stands earlier in this batch with another content"
    return _named(refused(Reason.ID_TWICE, "/id", detail, "give each event of a customer an id of its own"), outcome.id)


def _explained(raw: bytes, error: msgspec.ValidationError) -> Refused:
    try:
        return Refused(Reason.ENVELOPE, explain(raw, str(error)))
    except RecursionError:
        return too_deep()
    except ValueError as second:
        return malformed("", second)


def _undeclared(event_type: str) -> str:
    meant = did_you_mean(event_type, PAYLOADS)
    return f'nobody declared the type "{event_type}"; it is kept as a custom one ({meant})'


def _named(outcome: Refused, event_id: str | None) -> Refused:
    return Refused(outcome.reason, outcome.errors, event_id)


def _too_large(size: int) -> Refused:
    return refused(Reason.TOO_LARGE, "", f"the event has {size:,} bytes", f"an event has at most {MAX_EVENT_BYTES:,}")
