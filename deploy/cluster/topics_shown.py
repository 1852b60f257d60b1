"""The topics as somebody who operates Kafka would see them: read with a plain consumer that knows nothing of Jornada."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

_ROWS = 6
_EXCERPT_BYTES = 160
"""Enough for a stage change to say from where to where."""
_DATA = b'"data":'
_FETCH_MS = 500


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One record, as far as it is shown. `id` is the event's, None for what is no event."""

    partition: int
    offset: int
    timestamp_ms: int
    key: str
    type: str
    excerpt: str
    id: str | None


async def show_topics(out: Console, bootstrap: str, topics: list[str]) -> dict[str, int]:
    """A table for each topic; gives how many records each holds."""
    counts = {}
    for topic in topics:
        records = await _read(bootstrap, topic)
        counts[topic] = len(records)
        _show(out, topic, records)
    return counts


async def _read(bootstrap: str, topic: str) -> list[TopicRecord]:
    """All records of a topic from its beginning to what is its end now, in order of arrival."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: list[TopicRecord] = []
        # Position, not the last record's offset: transaction markers take offsets too.
        while [one for one, end in ends.items() if await consumer.position(one) < end]:
            fetched = await consumer.getmany(timeout_ms=_FETCH_MS)
            found += [_seen(record) for records in fetched.values() for record in records]
    finally:
        await consumer.stop()
    return sorted(found, key=lambda one: (one.timestamp_ms, one.partition, one.offset))


def _seen(record: Any) -> TopicRecord:
    value = record.value or b""
    # The envelope's fields are columns already, or the same in every record.
    data = (value.partition(_DATA)[2] or value)[:_EXCERPT_BYTES]
    return TopicRecord(
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=(record.key or b"").decode(errors="replace"),
        type=dict(record.headers).get("type", b"").decode(errors="replace"),
        excerpt=data.decode(errors="replace"),
        id=_id(value),
    )


def _id(value: bytes) -> str | None:
    try:
        event = json.loads(value)
    except ValueError:
        return None
    return str(event["id"]) if isinstance(event, dict) and "id" in event else None


def _show(out: Console, topic: str, records: list[TopicRecord]) -> None:
    out.rule(f"{topic}: {len(records)} records{_sent_again(records)}")
    table = Table(*(Column(name, no_wrap=True) for name in ("partition", "offset", "key", "type")))
    # JSON has few spaces to break a line at: without folding, most of it would be cut off.
    table.add_column("excerpt", overflow="fold")
    for one in records[-_ROWS:]:
        table.add_row(str(one.partition), str(one.offset), one.key, one.type, Text(one.excerpt + "…"))
    if records:
        out.print(table)
    if len(records) > _ROWS:
        out.print(f"[dim]the last {_ROWS}; {len(records) - _ROWS} came before[/]")


def _sent_again(records: list[TopicRecord]) -> str:
    """Delivery to a topic is at least once: whoever posts again, or takes a partition over, sends some under the same id."""
    known = [record.id for record in records if record.id is not None]
    again = len(known) - len(set(known))
    return f", {again} of them sent again" if again else ""
