"""The loop at scale: a simulated pool of many workers, the real study in Postgres, thousands of trials."""

from __future__ import annotations
