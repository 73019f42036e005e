"""What a client may do: tokens, sizes, and the paths that it may reach."""

from __future__ import annotations
