"""Studies as many readers see them: read once, kept in memory, brought up to date by what is new."""

from __future__ import annotations
