"""Exports and completions as rows."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import Engine

from search_spaces.errors import MissingError
from service.registry import CompletionsRow, ExportRow, JobRegistry, JobState


@pytest.fixture(params=[ExportRow, CompletionsRow])
def jobs(request: pytest.FixtureRequest, engine: Engine) -> JobRegistry[ExportRow]:
    return JobRegistry(engine, request.param)


@pytest.fixture
def job(jobs: JobRegistry[ExportRow], study_name: str) -> uuid.UUID:
    """A queued one."""
    if jobs.kind is ExportRow:
        return jobs.create(ExportRow(search=study_name, trial=3, folder="merge", max_shard_size="5GB")).id
    row: object = CompletionsRow(search=study_name, trial=3, prompts=["12 kg in g?"])
    return jobs.create(row).id  # type: ignore[arg-type]


def test_a_job_waits_runs_and_ends(jobs: JobRegistry[ExportRow], job: uuid.UUID) -> None:
    assert jobs.get(job).state == JobState.QUEUED
    assert jobs.start(job, "driver")
    assert jobs.report(job, "writing", "driver")
    row = jobs.get(job)
    assert (row.state, row.stage, row.n_starts, row.driver) == (JobState.RUNNING, "writing", 1, "driver")
    assert job in [row.id for row in jobs.active()]
    assert jobs.finish(job, {"scores": {}}, "driver")
    row = jobs.get(job)
    assert (row.state, row.stage, row.result) == (JobState.FINISHED, "", {"scores": {}})
    assert row.ended_at is not None
    assert job not in [row.id for row in jobs.active()]


def test_what_has_ended_stays_as_it_is(jobs: JobRegistry[ExportRow], job: uuid.UUID) -> None:
    assert jobs.fail(job, "the disk is full")
    assert not jobs.finish(job, {})
    assert not jobs.start(job, "driver")
    assert not jobs.report(job, "writing")
    assert (jobs.get(job).state, jobs.get(job).message) == (JobState.FAILED, "the disk is full")


def test_a_driver_that_was_replaced_has_no_say(jobs: JobRegistry[ExportRow], job: uuid.UUID) -> None:
    first = jobs.start(job, "first") and jobs.get(job).started_at
    jobs.start(job, "second")
    assert not jobs.report(job, "writing", "first")
    assert not jobs.fail(job, "I am the driver", "first")
    row = jobs.get(job)
    assert (row.state, row.n_starts, row.started_at) == (JobState.RUNNING, 2, first)


def test_the_jobs_of_a_search(jobs: JobRegistry[ExportRow], job: uuid.UUID, study_name: str) -> None:
    assert [row.id for row in jobs.of_search(study_name)] == [job]
    assert jobs.of_search("another") == []
    with pytest.raises(MissingError, match="there is nothing under"):
        jobs.get(uuid.uuid4())
