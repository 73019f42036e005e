"""`--ray-address`: another cluster, the same study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search_spaces.errors import SpecificationError
from service.cli.app import app
from service.cli.cluster_option import on_cluster, prepared_on_cluster
from service.search import PreparedSearch, prepare_search
from service.specification import load_specification


@pytest.fixture
def prepared(write_specification: Callable[..., Path], tmp_path: Path) -> PreparedSearch:
    return prepare_search(load_specification(write_specification(tmp_path)))


def test_it_replaces_the_pool_and_keeps_the_study(prepared: PreparedSearch) -> None:
    elsewhere = prepared_on_cluster(prepared, "10.0.0.1:6379")
    workers = elsewhere.specification.workers
    assert (workers.pool, workers.address) == ("ray", "10.0.0.1:6379")
    assert elsewhere.identity.fixed == prepared.identity.fixed
    assert on_cluster(prepared.specification, "") == prepared.specification


def test_workers_of_other_nodes_are_told_what_files_must_hold(prepared: PreparedSearch) -> None:
    assert prepared.worker_setup().digests == {}
    assert prepared_on_cluster(prepared, "local").worker_setup().digests == {}
    assert prepared_on_cluster(prepared, "10.0.0.1:6379").worker_setup().digests.keys() == prepared.models.keys()


@pytest.mark.parametrize("command", [("search", "spec.yaml"), ("export", "name", "--to", "merge")])
def test_a_service_has_a_cluster_of_its_own(command: tuple[str, ...]) -> None:
    found = CliRunner().invoke(app, ["--server", "http://127.0.0.1:9", *command, "--ray-address", "127.0.0.1:6379"])
    assert isinstance(found.exception, SpecificationError)
    assert "`--ray-address` is for commands that work here" in str(found.exception)
