"""Tables of the SQL log. Only `shared.log.sql*` touches them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Executable, Integer, LargeBinary, Table, Text

from shared.db.metadata import metadata
from shared.db.port import Row, Transaction

identity = Table(
    "log_identity",
    metadata,
    Column("singleton", Integer, primary_key=True, autoincrement=False, comment="always 1: there is one row"),
    Column("identity", Text, nullable=False),
)

topics = Table(
    "log_topics",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partitions", Integer, nullable=False),
    Column("compacted", Boolean, nullable=False),
    Column("max_message_bytes", Integer, nullable=False),
)

heads = Table(
    "log_heads",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("last_arrival_ms", BigInteger, nullable=False),
    Column("next_byte", BigInteger, nullable=False, comment="bytes ever appended"),
    comment="one row a partition; whoever appends locks it, so commit order is offset order",
)

trims = Table(
    "log_trims",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("compacted_to", BigInteger, nullable=False, comment="records before it were compared with later ones"),
    comment="how far compaction has come; apart from log_heads, so that it never waits for appends",
)

records = Table(
    "log_records",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("arrival_ms", BigInteger, nullable=False),
    Column("first_byte", BigInteger, nullable=False, comment="bytes in the partition before it; bounds a fetch"),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=True, comment="null is a tombstone"),
    Column("headers", LargeBinary, nullable=True, comment="MessagePack list of name and bytes; null is none"),
)

latest = Table(
    "log_latest",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, primary_key=True),
    Column("offset", BigInteger, nullable=False),
    comment="of compacted topics: the one record kept of each key, as far as compaction has come",
)

fences = Table(
    "log_fences",
    metadata,
    Column("name", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False, comment="appends of an older epoch are refused"),
)

groups = Table(
    "log_groups",
    metadata,
    Column("group_name", Text, primary_key=True),
    Column("generation", BigInteger, nullable=False, comment="grows when members or ownership change"),
)

members = Table(
    "log_members",
    metadata,
    Column("group_name", Text, primary_key=True),
    Column("member", Text, primary_key=True),
    Column("joined", BigInteger, nullable=False, comment="the group's generation at joining; decides the order"),
    Column("beats", BigInteger, nullable=False, comment="grows while it lives; who stands still is dead"),
    Column("session_timeout_ms", Integer, nullable=False),
    Column("topics", Text, nullable=False, comment="comma-separated"),
)

ownership = Table(
    "log_ownership",
    metadata,
    Column("group_name", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("member", Text, nullable=False),
)


async def rows_of(transaction: Transaction, query: Executable) -> list[Row]:
    """The query's rows as plain tuples."""
    return [tuple(row) for row in await transaction.execute(query)]
