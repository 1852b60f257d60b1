"""first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auth_api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_auth_api_keys")),
    )
    op.create_index(op.f("ix_auth_api_keys_tenant"), "auth_api_keys", ["tenant"], unique=False)
    op.create_table(
        "auth_tenants",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_auth_tenants")),
    )
    op.create_table(
        "engine_bases",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("horizon_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "customer_id", name=op.f("pk_engine_bases")),
    )
    op.create_table(
        "engine_customers",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "customer_id", name=op.f("pk_engine_customers")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "engine_dead_letters",
        sa.Column("dead_letter_id", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("log_offset", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("arrival_ms", sa.BigInteger(), nullable=False),
        sa.Column("replayed_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("dead_letter_id", name=op.f("pk_engine_dead_letters")),
    )
    op.create_index("ix_engine_dead_letters_arrival", "engine_dead_letters", ["arrival_ms"], unique=False)
    op.create_table(
        "engine_evaluation_errors",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.Text(), nullable=False),
        sa.Column("transition", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant", "customer_id", "lifecycle", "transition", "at_ms", name=op.f("pk_engine_evaluation_errors")
        ),
    )
    op.create_table(
        "engine_history",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("log_offset", sa.BigInteger(), nullable=False),
        sa.Column("arrival_ms", sa.BigInteger(), nullable=False),
        sa.Column("logged_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "customer_id", "event_id", name=op.f("pk_engine_history")),
    )
    op.create_index(
        "ix_engine_history_arrival", "engine_history", ["arrival_ms"], unique=False, postgresql_using="brin"
    )
    op.create_table(
        "engine_lifecycles",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_engine_lifecycles")),
    )
    op.create_table(
        "engine_outbox",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("topic", "partition", "position", name=op.f("pk_engine_outbox")),
    )
    op.create_table(
        "engine_progress",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("log_identity", sa.Text(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("arrival_ms", sa.BigInteger(), nullable=False),
        sa.Column("watermark_ms", sa.BigInteger(), nullable=False),
        sa.Column("outbox_position", sa.BigInteger(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partition", name=op.f("pk_engine_progress")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "engine_stage_changes",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("change_id", sa.Text(), nullable=False),
        sa.Column("effective_ms", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "customer_id", "sequence", name=op.f("pk_engine_stage_changes")),
    )
    op.create_table(
        "engine_stages",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("entered_ms", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "customer_id", "lifecycle", name=op.f("pk_engine_stages")),
    )
    op.create_index(
        "ix_engine_stages_listing", "engine_stages", ["tenant", "lifecycle", "stage", "customer_id"], unique=False
    )
    op.create_table(
        "engine_timers",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("ripe_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "customer_id", name=op.f("pk_engine_timers")),
    )
    op.create_index("ix_engine_timers_ripe", "engine_timers", ["partition", "ripe_ms"], unique=False)
    op.create_table(
        "log_fences",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False, comment="appends of an older epoch are refused"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_log_fences")),
    )
    op.create_table(
        "log_groups",
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False, comment="grows when members or ownership change"),
        sa.PrimaryKeyConstraint("group_name", name=op.f("pk_log_groups")),
    )
    op.create_table(
        "log_heads",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("last_arrival_ms", sa.BigInteger(), nullable=False),
        sa.Column("next_byte", sa.BigInteger(), nullable=False, comment="bytes ever appended"),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_log_heads")),
        comment="one row a partition; whoever appends locks it, so commit order is offset order",
    )
    op.create_table(
        "log_identity",
        sa.Column("singleton", sa.Integer(), autoincrement=False, nullable=False, comment="always 1: there is one row"),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("singleton", name=op.f("pk_log_identity")),
    )
    op.create_table(
        "log_latest",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "key", name=op.f("pk_log_latest")),
        comment="of compacted topics: the one record kept of each key, as far as compaction has come",
    )
    op.create_table(
        "log_members",
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column(
            "joined", sa.BigInteger(), nullable=False, comment="the group's generation at joining; decides the order"
        ),
        sa.Column("beats", sa.BigInteger(), nullable=False, comment="grows while it lives; who stands still is dead"),
        sa.Column("session_timeout_ms", sa.Integer(), nullable=False),
        sa.Column("topics", sa.Text(), nullable=False, comment="comma-separated"),
        sa.PrimaryKeyConstraint("group_name", "member", name=op.f("pk_log_members")),
    )
    op.create_table(
        "log_ownership",
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("group_name", "topic", "partition", name=op.f("pk_log_ownership")),
    )
    op.create_table(
        "log_records",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("arrival_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "first_byte", sa.BigInteger(), nullable=False, comment="bytes in the partition before it; bounds a fetch"
        ),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True, comment="null is a tombstone"),
        sa.Column(
            "headers", sa.LargeBinary(), nullable=True, comment="MessagePack list of name and bytes; null is none"
        ),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", name=op.f("pk_log_records")),
    )
    op.create_table(
        "log_topics",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partitions", sa.Integer(), nullable=False),
        sa.Column("compacted", sa.Boolean(), nullable=False),
        sa.Column("max_message_bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_log_topics")),
    )
    op.create_table(
        "log_trims",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "compacted_to", sa.BigInteger(), nullable=False, comment="records before it were compared with later ones"
        ),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_log_trims")),
        comment="how far compaction has come; apart from log_heads, so that it never waits for appends",
    )
    op.create_table(
        "notifier_attempts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifier_attempts")),
    )
    op.create_index(op.f("ix_notifier_attempts_delivery_id"), "notifier_attempts", ["delivery_id"], unique=False)
    op.create_table(
        "notifier_campaign_runs",
        sa.Column("customer_key", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("last_run_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("customer_key", "campaign", name=op.f("pk_notifier_campaign_runs")),
    )
    op.create_table(
        "notifier_changes",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("change_id", sa.Text(), nullable=False),
        sa.Column("effective_ms", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("customer", sa.LargeBinary(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "change_id", name=op.f("pk_notifier_changes")),
    )
    op.create_table(
        "notifier_contacts",
        sa.Column("customer_key", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("snapshot", sa.LargeBinary(), nullable=False),
        sa.Column("unsubscribed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("customer_key", name=op.f("pk_notifier_contacts")),
    )
    op.create_table(
        "notifier_dead_records",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("arrival_ms", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", name=op.f("pk_notifier_dead_records")),
    )
    op.create_table(
        "notifier_deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("change_id", sa.Text(), nullable=False),
        sa.Column("effective_ms", sa.BigInteger(), nullable=False),
        sa.Column("planned_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("while_in_stage", sa.Boolean(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifier_deliveries")),
    )
    op.create_index(
        op.f("ix_notifier_deliveries_subscription_id_planned_ms"),
        "notifier_deliveries",
        ["subscription_id", "planned_ms"],
        unique=False,
    )
    op.create_index(
        op.f("ix_notifier_deliveries_tenant_customer_id_planned_ms"),
        "notifier_deliveries",
        ["tenant", "customer_id", "planned_ms"],
        unique=False,
    )
    op.create_table(
        "notifier_due",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("lease_token", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("watched", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifier_due")),
    )
    op.create_index(op.f("ix_notifier_due_endpoint_due_ms"), "notifier_due", ["endpoint", "due_ms"], unique=False)
    op.create_index(op.f("ix_notifier_due_watched"), "notifier_due", ["watched"], unique=False)
    op.create_table(
        "notifier_leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notifier_leases")),
    )
    op.create_table(
        "notifier_outbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifier_outbox")),
    )
    op.create_index(op.f("ix_notifier_outbox_created_ms"), "notifier_outbox", ["created_ms"], unique=False)
    op.create_table(
        "notifier_outcomes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("finished_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifier_outcomes")),
    )
    op.create_table(
        "notifier_progress",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("log_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_notifier_progress")),
    )
    op.create_table(
        "notifier_secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notifier_secrets")),
    )
    op.create_table(
        "notifier_subscriptions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("include_customer", sa.Boolean(), nullable=False),
        sa.Column("include_backfill", sa.Boolean(), nullable=False),
        sa.Column("transit", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_detail", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("failing_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifier_subscriptions")),
    )
    op.create_index(
        op.f("ix_notifier_subscriptions_tenant_id"), "notifier_subscriptions", ["tenant", "id"], unique=False
    )
    op.create_table(
        "notifier_switches",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "channel", name=op.f("pk_notifier_switches")),
    )


def downgrade() -> None:
    op.drop_table("notifier_switches")
    op.drop_index(op.f("ix_notifier_subscriptions_tenant_id"), table_name="notifier_subscriptions")
    op.drop_table("notifier_subscriptions")
    op.drop_table("notifier_secrets")
    op.drop_table("notifier_progress")
    op.drop_table("notifier_outcomes")
    op.drop_index(op.f("ix_notifier_outbox_created_ms"), table_name="notifier_outbox")
    op.drop_table("notifier_outbox")
    op.drop_table("notifier_leases")
    op.drop_index(op.f("ix_notifier_due_watched"), table_name="notifier_due")
    op.drop_index(op.f("ix_notifier_due_endpoint_due_ms"), table_name="notifier_due")
    op.drop_table("notifier_due")
    op.drop_index(op.f("ix_notifier_deliveries_tenant_customer_id_planned_ms"), table_name="notifier_deliveries")
    op.drop_index(op.f("ix_notifier_deliveries_subscription_id_planned_ms"), table_name="notifier_deliveries")
    op.drop_table("notifier_deliveries")
    op.drop_table("notifier_dead_records")
    op.drop_table("notifier_contacts")
    op.drop_table("notifier_changes")
    op.drop_table("notifier_campaign_runs")
    op.drop_index(op.f("ix_notifier_attempts_delivery_id"), table_name="notifier_attempts")
    op.drop_table("notifier_attempts")
    op.drop_table("log_trims")
    op.drop_table("log_topics")
    op.drop_table("log_records")
    op.drop_table("log_ownership")
    op.drop_table("log_members")
    op.drop_table("log_latest")
    op.drop_table("log_identity")
    op.drop_table("log_heads")
    op.drop_table("log_groups")
    op.drop_table("log_fences")
    op.drop_index("ix_engine_timers_ripe", table_name="engine_timers")
    op.drop_table("engine_timers")
    op.drop_index("ix_engine_stages_listing", table_name="engine_stages")
    op.drop_table("engine_stages")
    op.drop_table("engine_stage_changes")
    op.drop_table("engine_progress")
    op.drop_table("engine_outbox")
    op.drop_table("engine_lifecycles")
    op.drop_index("ix_engine_history_arrival", table_name="engine_history", postgresql_using="brin")
    op.drop_table("engine_history")
    op.drop_table("engine_evaluation_errors")
    op.drop_index("ix_engine_dead_letters_arrival", table_name="engine_dead_letters")
    op.drop_table("engine_dead_letters")
    op.drop_table("engine_customers")
    op.drop_table("engine_bases")
    op.drop_table("auth_tenants")
    op.drop_index(op.f("ix_auth_api_keys_tenant"), table_name="auth_api_keys")
    op.drop_table("auth_api_keys")
