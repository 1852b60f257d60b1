"""Which lifecycle a tenant means when it names none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("auth_tenants", sa.Column("default_lifecycle", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("auth_tenants", "default_lifecycle")
