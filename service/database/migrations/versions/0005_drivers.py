"""Which actor drives a search or a job: a row has one driver, and what another one says does not count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TABLES = ("paretomerge_searches", "paretomerge_exports", "paretomerge_completions")


def upgrade() -> None:
    """Add the column."""
    for table in _TABLES:
        op.add_column(table, sa.Column("driver", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop it."""
    for table in _TABLES:
        op.drop_column(table, "driver")
