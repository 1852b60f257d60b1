"""The engine's tables. Times are milliseconds; bytes hold JSON exactly as it is published or folded."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from shared.db.metadata import metadata

progress = Table(
    "engine_progress",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("log_identity", Text, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("arrival_ms", BigInteger, nullable=False),
    Column("watermark_ms", BigInteger, nullable=False),
    Column("outbox_position", BigInteger, nullable=False),
    Column("versions", Text, nullable=False),
    Column("activation", BigInteger, nullable=False, server_default="0"),
    postgresql_with={"fillfactor": "50"},
)
"""One row a partition: the lock of every engine transaction, and how far it has come."""

history = Table(
    "engine_history",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("log_offset", BigInteger, nullable=False),
    Column("arrival_ms", BigInteger, nullable=False),
    Column("logged_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # Only trimming looks by time. Rows come in nearly that order, so a block range index finds old ones at no cost.
    Index("ix_engine_history_arrival", "arrival_ms", postgresql_using="brin"),
)
"""Every applied event; its key is what makes a duplicate one, its order (arrival, position) what replays it."""

customers = Table(
    "engine_customers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("activation", BigInteger, nullable=False, server_default="0"),
    # Read by the sweep after a publication; no event changes it.
    Index("ix_engine_customers_activation", "partition", "activation"),
    # Every event rewrites a state: room in each page keeps the new version beside the old, without touching indexes.
    postgresql_with={"fillfactor": "70"},
)

stages = Table(
    "engine_stages",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("lifecycle", Text, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("entered_ms", BigInteger, nullable=False),
    Column("entry", Integer, nullable=False),
    Index("ix_engine_stages_listing", "tenant", "lifecycle", "stage", "customer_id"),
)
"""Who is where: written only when a stage changes, read by listings and counts."""

timers = Table(
    "engine_timers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("ripe_ms", BigInteger, nullable=False),
    Index("ix_engine_timers_ripe", "partition", "ripe_ms"),
)
"""When a customer's first wake-up is ripe: narrow and apart, since its index moves with almost every event."""

stage_changes = Table(
    "engine_stage_changes",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("change_id", Text, nullable=False),
    Column("effective_ms", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""Every stage change with its why, as it was published."""

outbox = Table(
    "engine_outbox",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("traceparent", Text),
)
"""Records on their way to the log; positions come from the locked progress row, so commit order is position order."""

dead_letters = Table(
    "engine_dead_letters",
    metadata,
    Column("dead_letter_id", Text, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("log_offset", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("tenant", Text),
    Column("customer_id", Text),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("arrival_ms", BigInteger, nullable=False),
    Column("replayed_ms", BigInteger),
    Index("ix_engine_dead_letters_arrival", "arrival_ms"),
)

evaluation_errors = Table(
    "engine_evaluation_errors",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("lifecycle", Text, primary_key=True),
    Column("transition", Text, primary_key=True),
    Column("at_ms", BigInteger, primary_key=True),
    Column("expression", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("facts", LargeBinary, nullable=False),
)

manual_moves = Table(
    "engine_manual_moves",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("move_id", Text, primary_key=True),
    Column("lifecycle", Text, nullable=False),
    Column("to_stage", Text, nullable=False),
    Column("expected_stage", Text),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("handled_ms", BigInteger, nullable=False),
    Column("sequence", BigInteger),
    Column("refusal", Text),
)
"""Moves by hand: `sequence` of the stage change, or why it was refused."""

lifecycles = Table(
    "engine_lifecycles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
"""Definitions as immutable rows."""

publications = Table(
    "engine_publications",
    metadata,
    Column("publish_id", Text, primary_key=True),
    Column("lifecycle", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("notify", Boolean, nullable=False),
    Column("migrate", Text, nullable=False),
    Index("ux_engine_publications_number", "lifecycle", "number", unique=True),
)
"""What was published when and why; the last one of a lifecycle names its active version."""

activations = Table(
    "engine_activations",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("publish_id", Text, nullable=False),
    Column("lifecycle", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("log_offset", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("notify", Boolean, nullable=False),
    Column("migrate", Text, nullable=False),
    Column("versions", Text, nullable=False),
)
"""From which offset on a partition goes by which versions."""

bases = Table(
    "engine_bases",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("horizon_ms", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
"""A customer's state where trimmed history ends: what a recompute starts from."""
