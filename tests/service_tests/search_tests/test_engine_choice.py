"""The inference engine as a specification names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine

from search_spaces.errors import SpecificationError
from service.search import PreparedSearch, preparation, prepare_stored
from service.studies import StoredStudy
from service.supervision.search_driver import prepared_for_service

Prepare = Callable[..., PreparedSearch]


@pytest.fixture(params=[True, False], ids=["installed", "missing"])
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether vLLM seems to be there; it is only looked for, not imported."""
    found: bool = request.param
    monkeypatch.setattr(preparation, "find_spec", lambda name: object() if found else None)
    return found


@pytest.mark.parametrize("installed", [False], indirect=True)
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("where", [{"pool": "in_process"}, {"pool": "ray"}])
def test_a_missing_vllm_is_told_with_its_remedy(prepare: Prepare, where: dict[str, Any]) -> None:
    with pytest.raises(SpecificationError, match=r"not installed here\. .* own, `pip install 'paretomerge\[vllm\]'`"):
        prepare(workers={"engine": "vllm", **where})


def test_transformers_and_a_cluster_elsewhere_need_no_vllm_here(prepare: Prepare, installed: bool) -> None:
    assert prepare().worker_setup().engine == "transformers"
    elsewhere = prepare(workers={"engine": "vllm", "pool": "ray", "address": "ray://elsewhere:10001"})
    assert elsewhere.worker_setup().engine == "vllm"


@pytest.mark.parametrize("installed", [True], indirect=True)
@pytest.mark.usefixtures("installed")
def test_workers_are_told_the_engine_and_its_parts(prepare: Prepare) -> None:
    told = prepare(workers={"engine": "vllm", "tensor_parallel": 2}).worker_setup()
    assert (told.engine, told.tensor_parallel, told.device) == ("vllm", 2, "cpu")
    told = prepare(workers={"engine": "vllm", "tensor_parallel": 2, "gpus_per_worker": 2}).worker_setup()
    assert (told.tensor_parallel, told.device) == (2, "cuda")


def test_a_driver_looks_for_no_engine_on_its_own_node(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "find_spec", lambda name: object())
    specification = prepare(workers={"engine": "vllm"}).specification.model_dump(mode="json")
    monkeypatch.setattr(preparation, "find_spec", lambda name: None)
    # Nor in a database, without a front to start from.
    nowhere = create_engine("postgresql+psycopg://nobody@nowhere.invalid/nothing")
    assert prepared_for_service(specification, nowhere).worker_setup().engine == "vllm"


def test_results_can_be_looked_at_without_the_engine(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "find_spec", lambda name: object())
    stored = StoredStudy(prepare(workers={"engine": "vllm"}).identity, trials=(), scores={})
    monkeypatch.setattr(preparation, "find_spec", lambda name: None)
    prepared = prepare_stored(stored)
    assert prepared.measures
    with pytest.raises(SpecificationError, match="not installed here"):
        prepared.open_pool()


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ({"engine": "llama.cpp"}, r"`workers.engine` must be 'transformers' or 'vllm', but got \"llama.cpp\""),
        ({"tensor_parallel": 0}, "`workers.tensor_parallel` must be greater than or equal to 1, but got 0"),
        ({"count": 2, "min_count": 3}, "`workers.min_count`: it must be at most `count`, but got 3 of 2"),
        ({"tensor_parallel": 2}, "only the engine 'vllm' splits a model, but got 2 with 'transformers'"),
        (
            {"engine": "vllm", "gpus_per_worker": 2},
            "`workers.tensor_parallel`: vLLM takes one GPU for each part .* `gpus_per_worker`, but got 1 and 2",
        ),
        (
            {"engine": "vllm", "gpus_per_worker": 1, "tensor_parallel": 2},
            "`workers.tensor_parallel`: vLLM takes one GPU for each part .* but got 2 and 1",
        ),
    ],
)
def test_an_impossible_engine_is_refused(prepare: Prepare, workers: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        prepare(workers=workers)
