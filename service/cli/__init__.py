"""The command line: `paretomerge demo`, `plan`, `search`, `front`, `export`, `dashboard`, `database`."""

from __future__ import annotations

from service.cli.app import main

__all__ = ["main"]
