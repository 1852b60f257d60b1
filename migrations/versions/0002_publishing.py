"""Publications of lifecycles, and which versions each partition goes by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "engine_publications",
        sa.Column("publish_id", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("notify", sa.Boolean(), nullable=False),
        sa.Column("migrate", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("publish_id", name=op.f("pk_engine_publications")),
    )
    op.create_index("ux_engine_publications_number", "engine_publications", ["lifecycle", "number"], unique=True)
    # What is registered by now is active in its only version.
    op.execute(
        "INSERT INTO engine_publications "
        "SELECT name || '-1', name, 1, version, 'registered when an engine started', 'engine', created_ms, "
        "false, '{}' FROM engine_lifecycles WHERE version = 1"
    )
    op.create_table(
        "engine_activations",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("publish_id", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("log_offset", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("notify", sa.Boolean(), nullable=False),
        sa.Column("migrate", sa.Text(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "number", name=op.f("pk_engine_activations")),
    )
    op.add_column("engine_progress", sa.Column("activation", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("engine_customers", sa.Column("activation", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index("ix_engine_customers_activation", "engine_customers", ["partition", "activation"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_engine_customers_activation", table_name="engine_customers")
    op.drop_column("engine_customers", "activation")
    op.drop_column("engine_progress", "activation")
    op.drop_table("engine_activations")
    op.drop_index("ux_engine_publications_number", table_name="engine_publications")
    op.drop_table("engine_publications")
