"""Our tables beside Optuna's, in the same database; Alembic migrations create them."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table

metadata = MetaData()

# A running trial and the driver that answers for it. `expires_at` is the driver's promise to renew by then.
# The key to Optuna's `trials` is declared in the migration: that table belongs to another metadata.
leases = Table(
    "paretomerge_leases",
    metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("driver", String(36), nullable=False, index=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
