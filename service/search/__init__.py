"""A search: prepared from its specification, planned, and run."""

from __future__ import annotations

from service.search.preparation import PreparedSearch, prepare_search, prepare_stored
from service.search.progress import SearchProgress
from service.search.search_loop import SearchLoop

__all__ = ["PreparedSearch", "SearchLoop", "SearchProgress", "prepare_search", "prepare_stored"]
