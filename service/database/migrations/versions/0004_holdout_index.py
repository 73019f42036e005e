"""An index of the scores on held-out examples, which readers look for several times a second."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

_NAME = "paretomerge_scores_holdout"


def upgrade() -> None:
    """Create the index."""
    op.execute(
        f"CREATE INDEX {_NAME} ON paretomerge_scores (trial_id) INCLUDE (value, standard_error)"
        " WHERE measure LIKE '%@holdout'"
    )


def downgrade() -> None:
    """Drop the index."""
    op.drop_index(_NAME)
