"""The notifier's tables. Plans and outcomes are only ever inserted; what changes often is narrow (`notifier_due`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from shared.db.metadata import metadata

progress = Table(
    "notifier_progress",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("log_id", Text, nullable=False),
)

contacts = Table(
    "notifier_contacts",
    metadata,
    # tenant:customer, as in the records' keys: one text column makes sets of customers easy to look up.
    Column("customer_key", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Column("unsubscribed", Boolean, nullable=False),
)

campaign_runs = Table(
    "notifier_campaign_runs",
    metadata,
    Column("customer_key", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("last_run_ms", BigInteger, nullable=False),
)

changes = Table(
    "notifier_changes",
    metadata,
    # What was said, once per stage change that anything was planned for; `data` without the customer.
    Column("tenant", Text, primary_key=True),
    Column("change_id", Text, primary_key=True),
    Column("effective_ms", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("customer", LargeBinary, nullable=False),
    Column("traceparent", Text),
)

deliveries = Table(
    "notifier_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("change_id", Text, nullable=False),
    Column("effective_ms", BigInteger, nullable=False),
    Column("planned_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("lifecycle", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("while_in_stage", Boolean, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Index(None, "tenant", "customer_id", "planned_ms"),
    Index(None, "subscription_id", "planned_ms"),
)

due = Table(
    "notifier_due",
    metadata,
    # The work queue: a row while the delivery is not final. A lease is a due time ahead, with its holder's token.
    Column("id", Text, primary_key=True),
    Column("endpoint", Text, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("lease_token", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # customer_key and lifecycle of a step that waits only while the customer stays; empty otherwise.
    Column("watched", Text, nullable=False),
    Index(None, "endpoint", "due_ms"),
    Index(None, "watched"),
)

outcomes = Table(
    "notifier_outcomes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("detail", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("finished_ms", BigInteger, nullable=False),
)

attempts = Table(
    "notifier_attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("delivery_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("status_code", Integer),
    Column("error", Text, nullable=False),
    Index(None, "delivery_id"),
)

subscriptions = Table(
    "notifier_subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("filters", Text, nullable=False),
    Column("include_customer", Boolean, nullable=False),
    Column("include_backfill", Boolean, nullable=False),
    Column("transit", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_detail", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("old_secret", Text),
    Column("old_secret_until_ms", BigInteger),
    Column("failing_since_ms", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "tenant", "id"),
)

switches = Table(
    "notifier_switches",
    metadata,
    # A row is a switch that is off: nothing of that tenant and channel is sent.
    Column("tenant", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

secrets = Table(
    "notifier_secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

outbox = Table(
    "notifier_outbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("type", Text, nullable=False),
    Column("traceparent", Text),
    Column("created_ms", BigInteger, nullable=False),
    Index(None, "created_ms"),
)

leases = Table(
    "notifier_leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

dead_records = Table(
    "notifier_dead_records",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("arrival_ms", BigInteger, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("detail", Text, nullable=False),
)
