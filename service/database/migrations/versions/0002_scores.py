"""Scores of trials, example by example."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table; scores go with their trial."""
    op.create_table(
        "paretomerge_scores",
        sa.Column("trial_id", sa.Integer, sa.ForeignKey("trials.trial_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("measure", sa.Text, primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("standard_error", sa.Double, nullable=True),
        sa.Column("per_example", ARRAY(sa.Double), nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("paretomerge_scores")
