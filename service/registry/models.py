"""Searches, exports and completions as rows: what was asked, how far it is, and what came of it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import DateTime, Text, func
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.database.tables import metadata as tables_metadata
from service.registry.states import JobState, SearchState


class Base(DeclarativeBase):
    """Our mapped classes; Alembic's migrations create their tables."""

    metadata = tables_metadata
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text,
        # Not JSONB, which forgets the order of keys: that of objectives and experts counts.
        dict[str, Any]: JSON,
        list[str]: JSON,
    }


class SearchRow(Base):
    """A search that the service drives; its trials are in the study of the same name.

    Args:
        name: of search and study.
        state: a `SearchState`; the supervisor and the search's driver move it on.
        specification: checked, with absolute paths inside the roots.
        message: why it failed, or what it waits for; "" where there is nothing to say.
        n_allotted: workers that the supervisor grants it now.
        n_alive: workers that its driver holds.
        n_starts: of drivers, since it was last queued or an evaluation was last finished; those in place of
            drivers that were lost with their cluster are not counted.
        driver: the name of the actor that drives it; "" before the first one.
        created_at, queued_at, started_at, ended_at: the first start counts; `ended_at` is empty while it is active.
    """

    __tablename__ = "paretomerge_searches"

    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default=SearchState.QUEUED, index=True)
    specification: Mapped[dict[str, Any]]
    message: Mapped[str] = mapped_column(default="")
    n_allotted: Mapped[int] = mapped_column(default=0)
    n_alive: Mapped[int] = mapped_column(default=0)
    n_starts: Mapped[int] = mapped_column(default=0)
    driver: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class _JobRow(Base):
    """What one worker does in one go.

    Args:
        id: the client's handle.
        search: the study's name.
        trial: its number.
        state: a `JobState`.
        stage: what it does now, in a word or two.
        message: why it failed.
        n_starts: of drivers; a job that has lost several is failed, not started again.
        driver: the name of the actor that does it; "" before the first one.
        result: what came of it; see the API's schemas.
    """

    __abstract__ = True

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    search: Mapped[str] = mapped_column(index=True)
    trial: Mapped[int]
    state: Mapped[str] = mapped_column(default=JobState.QUEUED, index=True)
    stage: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")
    n_starts: Mapped[int] = mapped_column(default=0)
    driver: Mapped[str] = mapped_column(default="")
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class ExportRow(_JobRow):
    """A merge to be written.

    Args:
        folder: the final name, below the root of exports.
        max_shard_size: as in `save_pretrained`.
    """

    __tablename__ = "paretomerge_exports"

    folder: Mapped[str]
    max_shard_size: Mapped[str]


class CompletionsRow(_JobRow):
    """Prompts to be answered by a trial's merge, the base and every expert.

    Args:
        prompts: in order.
    """

    __tablename__ = "paretomerge_completions"

    prompts: Mapped[list[str]]


class SupervisorRow(Base):
    """The supervisor's pulse; one row, made by the migration.

    Args:
        id: 1.
        namespace: of the drivers in Ray: two databases on one cluster must not meet.
        beat_at: when it last went round.
        cluster: `cpus`, `gpus`, `nodes`, `workers_alive` of the Ray cluster; empty while there is none.
        message: what is wrong with the cluster, or "".
    """

    __tablename__ = "paretomerge_supervisor"

    id: Mapped[int] = mapped_column(primary_key=True)
    namespace: Mapped[str]
    beat_at: Mapped[datetime | None]
    cluster: Mapped[dict[str, Any]]
    message: Mapped[str] = mapped_column(default="")
