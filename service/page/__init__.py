"""The page: HTML, CSS and JavaScript as they are served; no build step."""

from __future__ import annotations
