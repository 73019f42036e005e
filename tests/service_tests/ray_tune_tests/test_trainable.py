"""The trainable with its models, called as Tune calls it; no Ray is started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ray.tune.utils import flatten_dict

from service.ray_tune import MergeTrainable
from service.ray_tune.reports import evaluation_of
from service.search import PreparedSearch


class Local(MergeTrainable):
    def __init__(self) -> None:
        """Tune's own makes folders and log files."""


@pytest.fixture
def prepared(prepare: Callable[..., PreparedSearch]) -> PreparedSearch:
    return prepare()


@pytest.fixture
def config(prepared: PreparedSearch) -> dict[str, Any]:
    params = dict.fromkeys(prepared.space.distributions(), 0.5)
    return {"trial_number": 7, "landmark": "", "params": params}


@pytest.fixture
def trainable(prepared: PreparedSearch, config: dict[str, Any]) -> Local:
    trainable = Local()
    trainable.setup(config, prepared.worker_setup(), prepared.space, prepared.objectives, reports_shards=True)
    return trainable


def test_a_candidate_in_shards(trainable: Local, prepared: PreparedSearch, config: dict[str, Any]) -> None:
    assert trainable.reset_config(config | {"landmark": "uniform average"})
    whole = trainable.step()
    assert whole["done"]
    trainable.reset_config(config)
    reports = [trainable.step() for _ in range(2)]
    kept = trainable.save_checkpoint("")
    trainable.reset_config(config | {"params": dict.fromkeys(config["params"], 1.0)})
    assert trainable.step()["alignment"] != pytest.approx(reports[0]["alignment"])
    # The scheduler had paused it.
    trainable.reset_config(config)
    trainable.load_checkpoint(kept)
    reports += [trainable.step() for _ in range(2)]
    assert [report["done"] for report in reports] == [False, False, False, True]
    assert [report["share"] for report in reports] == sorted({report["share"] for report in reports})
    last, expected = (evaluation_of(flatten_dict(found), prepared.objectives) for found in (reports[-1], whole))
    assert last.is_whole
    for name, score in expected.scores.items():
        assert last.scores[name].per_example == pytest.approx(score.per_example, abs=1e-5)


def test_a_candidate_that_fails_says_so_to_schedulers_too(trainable: Local, config: dict[str, Any]) -> None:
    trainable._worker.shard_scorer("alignment", 0).per_example = lambda: [float("nan")] * 16  # type: ignore[method-assign]
    trainable.reset_config(config)
    report = trainable.step()
    assert (report["failure"], report["done"]) == ("non_finite_score", True)
    assert {"alignment", "expertise"} <= report.keys()
