"""The command line: `paretomerge` with a module per command, from `demo` to `evaluate`."""

from __future__ import annotations

from service.cli.app import main

__all__ = ["main"]
