"""The demonstration: a search over the bundled tiny family, told as the paper's story."""

from __future__ import annotations

from service.demo.tiny_family_search import FAMILY, demo_specification

__all__ = ["FAMILY", "demo_specification"]
