"""The table of merge methods: what each takes, and how it agrees with mergekit."""

from __future__ import annotations

from service.methods.method_table import HEADINGS, MethodRow, as_markdown, method_rows
from service.methods.parity_record import RECORD_FILE, MethodParity, ParityRecord, read_record

__all__ = [
    "HEADINGS",
    "RECORD_FILE",
    "MethodParity",
    "MethodRow",
    "ParityRecord",
    "as_markdown",
    "method_rows",
    "read_record",
]
