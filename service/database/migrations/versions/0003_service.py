"""Searches, exports and completions of the service, and the pulse of its supervisor."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON, UUID

revision = "0003"
down_revision = "0002"


def _time(name: str, default: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now() if default else None, nullable=not default)


def _job_columns() -> list[sa.Column]:
    return [
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("search", sa.Text, nullable=False, index=True),
        sa.Column("trial", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("n_starts", sa.Integer, nullable=False),
        sa.Column("result", JSON, nullable=True),
        _time("created_at", default=True),
        _time("started_at"),
        _time("ended_at"),
    ]


def upgrade() -> None:
    """Create the tables, and the one row of the supervisor."""
    op.create_table(
        "paretomerge_searches",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("specification", JSON, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("n_allotted", sa.Integer, nullable=False),
        sa.Column("n_alive", sa.Integer, nullable=False),
        sa.Column("n_starts", sa.Integer, nullable=False),
        _time("created_at", default=True),
        _time("queued_at", default=True),
        _time("started_at"),
        _time("ended_at"),
    )
    op.create_table(
        "paretomerge_exports",
        *_job_columns(),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("max_shard_size", sa.Text, nullable=False),
    )
    op.create_table("paretomerge_completions", *_job_columns(), sa.Column("prompts", JSON, nullable=False))
    op.create_table(
        "paretomerge_supervisor",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("namespace", sa.Text, nullable=False),
        _time("beat_at"),
        sa.Column("cluster", JSON, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.execute(
        "INSERT INTO paretomerge_supervisor (id, namespace, cluster, message)"
        " VALUES (1, 'paretomerge-' || gen_random_uuid(), '{}', '')"
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("supervisor", "completions", "exports", "searches"):
        op.drop_table(f"paretomerge_{table}")
