"""Our tables beside Optuna's, in the same database; Alembic migrations create them."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Double, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()
# Optuna keeps its own `alembic_version` in the same database.
VERSION_TABLE = "paretomerge_alembic_version"

# A running trial and the driver that answers for it. `expires_at` is the driver's promise to renew by then.
# The key to Optuna's `trials` is declared in the migration: that table belongs to another metadata.
leases = Table(
    "paretomerge_leases",
    metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("driver", String(36), nullable=False, index=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)

# What a trial scored by each measure, holdout included, example by example in the set's order: two merges are then
# compared on the same examples. Apart from Optuna's attributes, which every reader of a study loads whole.
scores = Table(
    "paretomerge_scores",
    metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("measure", Text, primary_key=True),
    Column("value", Double, nullable=False),
    Column("standard_error", Double, nullable=True),
    Column("per_example", ARRAY(Double), nullable=False),
)
