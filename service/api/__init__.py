"""The service's HTTP interface, for programs and for its page."""

from __future__ import annotations
