"""How far what was asked of the service is."""

from __future__ import annotations

from enum import StrEnum


class SearchState(StrEnum):
    """A search: it waits for a slot, runs, and ends; whoever stops it lets what is under way come to its end.

    `EXTERNAL` is a study that a command drives, or has driven, on the same database: the service only shows it.
    """

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"
    EXTERNAL = "external"

    @property
    def is_active(self) -> bool:
        """Whether it goes on by itself."""
        return self in (SearchState.QUEUED, SearchState.RUNNING, SearchState.STOPPING)

    @property
    def has_driver(self) -> bool:
        """Whether a driver must be alive for it."""
        return self in (SearchState.RUNNING, SearchState.STOPPING)

    @property
    def can_stop(self) -> bool:
        """Whether stopping it would change anything."""
        return self in (SearchState.QUEUED, SearchState.RUNNING)

    @property
    def can_resume(self) -> bool:
        """Whether it has ended, or is nobody's."""
        return not self.is_active


class JobState(StrEnum):
    """An export or a set of completions: it waits for a worker, runs, and ends."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def is_active(self) -> bool:
        """Whether it goes on by itself."""
        return self in (JobState.QUEUED, JobState.RUNNING)
