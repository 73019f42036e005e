"""A service somewhere else, asked over HTTP."""

from __future__ import annotations
