"""The topics as somebody who operates Kafka would see them: read with a plain consumer that knows nothing of Jornada."""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table
from rich.text import Text

_ROWS = 10
_EXCERPT = 72
_FETCH_MS = 500


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One record, as far as it is shown."""

    partition: int
    offset: int
    timestamp_ms: int
    key: str
    type: str
    excerpt: str


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
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, isolation_level="read_committed")
    await consumer.start()
    try:
        partitions = await _partitions(consumer, topic)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[TopicRecord] = []
        # Position, not the last record's offset: transaction markers take offsets too.
        while [one for one in partitions if await consumer.position(one) < ends[one]]:
            fetched = await consumer.getmany(timeout_ms=_FETCH_MS)
            found += [_record(record) for records in fetched.values() for record in records]
    finally:
        await consumer.stop()
    return sorted(found, key=lambda one: (one.timestamp_ms, one.partition, one.offset))


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    metadata = await consumer._client.fetch_all_metadata()
    return [TopicPartition(topic, number) for number in sorted(metadata.partitions_for_topic(topic) or ())]


def _record(record: object) -> TopicRecord:
    headers = dict(record.headers)  # type: ignore[attr-defined]
    value = record.value or b""  # type: ignore[attr-defined]
    return TopicRecord(
        record.partition,  # type: ignore[attr-defined]
        record.offset,  # type: ignore[attr-defined]
        record.timestamp,  # type: ignore[attr-defined]
        (record.key or b"").decode(errors="replace"),  # type: ignore[attr-defined]
        headers.get("type", b"").decode(errors="replace"),
        value[value.find(b'"data":') :][:_EXCERPT].decode(errors="replace"),
    )


def _show(out: Console, topic: str, records: list[TopicRecord]) -> None:
    out.rule(f"{topic}: {len(records)} records")
    table = Table("partition", "offset", "key", "type", "excerpt")
    for one in records[-_ROWS:]:
        table.add_row(str(one.partition), str(one.offset), one.key, one.type, Text(one.excerpt + "…"))
    if records:
        out.print(table)
    if len(records) > _ROWS:
        out.print(f"[dim]the last {_ROWS}; {len(records) - _ROWS} came before[/]")
