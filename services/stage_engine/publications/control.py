"""Control records: how a publication reaches every partition, at one place among its events."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.stage_engine.store.publications import Publication
from shared.contracts.cloudevent import Produced, decode, encode_produced, headers
from shared.contracts.stage_changed import STAGE_ENGINE_SOURCE
from shared.errors import Poison
from shared.log.port import Message, Record

PUBLISHED_TYPE = "jornada.lifecycle_published"
_TYPE = ("type", PUBLISHED_TYPE.encode())


class Control(msgspec.Struct, frozen=True):
    """What a control record says: from here on, this version of the lifecycle holds."""

    publish_id: str
    lifecycle: str
    version: int
    notify: bool
    migrate: Mapping[str, str]


def is_control(record: Record) -> bool:
    """Whether a record is one, by its headers alone. Ingest takes no such type from anybody."""
    return _TYPE in record.headers


def message(publication: Publication) -> Message:
    """The record of a publication; the same for every partition. Its key is no customer's: tenants contain no dot."""
    said = Control(
        publication.publish_id,
        publication.lifecycle,
        publication.version,
        publication.notify,
        dict(publication.migrate),
    )
    produced = Produced(
        id=publication.publish_id,
        source=STAGE_ENGINE_SOURCE,
        type=PUBLISHED_TYPE,
        tenant="",
        customer_id=publication.lifecycle,
        time_ms=publication.created_ms,
        data=said,
    )
    key = f"jornada.lifecycle:{publication.lifecycle}".encode()
    return Message(key, encode_produced(produced), headers(PUBLISHED_TYPE, None))


def read_control(record: Record) -> Control:
    """What it says. Raises Poison."""
    try:
        return msgspec.convert(decode(record.value or b"").data, Control)
    except ValueError as error:
        raise Poison(f"no control record of ours: {error}") from None
