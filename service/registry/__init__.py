"""What was asked of the service, and how far it is: rows in Postgres, which outlive every process."""

from __future__ import annotations

from service.registry.jobs import JobRegistry
from service.registry.models import CompletionsRow, ExportRow, SearchRow, SupervisorRow
from service.registry.pulse import Pulse, SupervisorLock
from service.registry.searches import SearchRegistry
from service.registry.states import JobState, SearchState

__all__ = [
    "CompletionsRow",
    "ExportRow",
    "JobRegistry",
    "JobState",
    "Pulse",
    "SearchRegistry",
    "SearchRow",
    "SearchState",
    "SupervisorLock",
    "SupervisorRow",
]
