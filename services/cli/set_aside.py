"""Records that a service has set aside, as one list: the stage engine keeps its own and the notifier keeps its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from services.notifier.store import dead_records
from services.notifier.store.dead_records import DeadRecord
from services.stage_engine.store import dead_letters
from services.stage_engine.store.dead_letters import DeadLetter
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.topics import Topic
from shared.db.port import Transaction

_PLACE = re.compile(r"(?P<topic>[^/]+)/(?P<partition>[0-9]{1,9})-(?P<offset>[0-9]{1,18})")


class Reader(StrEnum):
    """Who could not read or apply a record."""

    ENGINE = "engine"
    NOTIFIER = "notifier"


@dataclass(frozen=True, slots=True)
class SetAside:
    """One record. `id` names it in commands; tenant and customer are None where they can't be read."""

    id: str
    reader: Reader
    reason: str
    detail: str
    tenant: str | None
    customer_id: str | None
    topic: str
    partition: int
    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of them: of one service or all, with one reason or any, those already replayed too, at most `limit`."""

    limit: int
    reader: Reader | None = None
    reason: DeadLetterReason | None = None
    replayed: bool = False

    @property
    def from_engine(self) -> bool:
        """Whether the engine's are asked for."""
        return self.reader is not Reader.NOTIFIER

    @property
    def from_notifier(self) -> bool:
        """Whether the notifier's are asked for: reasons are the engine's."""
        return self.reader is not Reader.ENGINE and self.reason is None


async def listed(tx: Transaction, wanted: Wanted) -> list[SetAside]:
    """The newest first."""
    found: list[SetAside] = []
    if wanted.from_engine:
        letters = await dead_letters.listed(tx, wanted.limit, replayed=wanted.replayed, reason=wanted.reason)
        found += [_letter(one) for one in letters]
    if wanted.from_notifier:
        found += [_record(one) for one in await dead_records.listed(tx, wanted.limit)]
    return sorted(found, key=lambda one: one.arrival_ms, reverse=True)[: wanted.limit]


async def one(tx: Transaction, identity: str) -> SetAside | None:
    """The one with this id, or None."""
    if place := _PLACE.fullmatch(identity):
        record = await dead_records.at(tx, place["topic"], int(place["partition"]), int(place["offset"]))
        return _record(record) if record else None
    letter = await dead_letters.one(tx, identity)
    return _letter(letter) if letter else None


def of_notifier(identity: str) -> bool:
    """Whether an id is one of the notifier's: they begin with the topic, since the notifier reads two."""
    return _PLACE.fullmatch(identity) is not None


def _letter(letter: DeadLetter) -> SetAside:
    return SetAside(
        id=letter.dead_letter_id,
        reader=Reader.ENGINE,
        reason=letter.reason,
        detail=letter.detail,
        tenant=letter.tenant,
        customer_id=letter.customer_id,
        topic=Topic.EVENTS,
        partition=letter.partition,
        offset=letter.offset,
        arrival_ms=letter.arrival_ms,
        key=letter.key,
        value=letter.value,
    )


def _record(record: DeadRecord) -> SetAside:
    tenant, _, customer_id = (record.key or b"").decode(errors="replace").partition(":")
    return SetAside(
        id=f"{record.topic}/{record.partition}-{record.offset}",
        reader=Reader.NOTIFIER,
        reason=dead_records.REASON,
        detail=record.detail,
        tenant=tenant or None,
        customer_id=customer_id or None,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        arrival_ms=record.arrival_ms,
        key=record.key,
        value=record.value,
    )
