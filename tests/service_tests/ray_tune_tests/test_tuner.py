"""Whole runs by Ray Tune: workers and drivers are killed here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from sqlalchemy import Engine

from service.ray_tune import StudyCallback, StudySearcher, merge_tuner
from service.search import PreparedSearch, SearchLoop
from service.search.session import open_session
from service.studies import load_study
from tests.tune_trainables import KILLED, MISSING, NAN, RAISES, CountingTrainable, FaultyTrainable
from workers.worker_pools import LOCAL
from workers.worker_pools.ray_connection import connect_to_ray

Prepare = Callable[..., PreparedSearch]
States = Callable[[], list[str]]

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Of a cluster with two cores, to which this process is connected."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
        yield connect_to_ray(LOCAL, n_cpus=2).get_runtime_context().gcs_address
        ray.shutdown()


def quiet(folder: Path, **options: Any) -> tune.RunConfig:
    return tune.RunConfig(name="run", storage_path=str(folder), verbose=0, **options)


def test_the_same_trials_as_by_our_own_loop(
    cluster: str, prepare: Prepare, study_name: str, engine: Engine, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"search": {"evaluations": 14, "sampler": "gradient"}}
    prepared = prepare(**changes)
    run_config = quiet(tmp_path, callbacks=[tune.logger.JsonLoggerCallback()])
    results = merge_tuner(prepared, run_config=run_config, trainable=CountingTrainable).fit()
    # One worker, whose models stay loaded.
    assert {(result.metrics["pid"] != os.getpid(), result.metrics["n_loaded"]) for result in results} == {(True, 1)}
    assert len({result.metrics["pid"] for result in results}) == 1
    logged = [json.loads(path.read_text()) for path in tmp_path.glob("run/*/result.json")]
    assert {("per_example" in result, "alignment" in result["n_examples"]) for result in logged} == {(False, True)}

    ours = prepare(name=f"{study_name}-ours", **changes)
    with open_session(ours) as session, ours.open_pool() as pool:
        SearchLoop(ours, session.study, pool).run()
        expected = session.study.finished_trials()
        examples = session.study.trial_scores(8)
    found = load_study(engine, study_name).trials
    assert [(t.number, t.landmark, t.cost) for t in found] == [(t.number, t.landmark, t.cost) for t in expected]
    for trial, other in zip(found, expected, strict=True):
        assert trial.params == pytest.approx(other.params)
        assert trial.values == pytest.approx(other.values)
    with open_session(prepared) as session:
        assert session.study.trial_scores(8).keys() == examples.keys()
        for name, score in session.study.trial_scores(8).items():
            assert score.per_example == pytest.approx(examples[name].per_example)


def test_faults_have_reasons_and_a_killed_worker_is_made_good(
    cluster: str, prepare: Prepare, states: States, messages: Callable[[], dict[int, str]], tmp_path: Path
) -> None:
    searcher = StudySearcher(prepare(search={"evaluations": 5, "landmarks": False}))
    run_config = quiet(
        tmp_path,
        callbacks=[StudyCallback(searcher)],
        failure_config=tune.FailureConfig(max_failures=1),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
    )
    tune_config = tune.TuneConfig(search_alg=searcher, num_samples=-1, max_concurrent_trials=1, reuse_actors=True)
    param_space = {"folder": str(tmp_path)}
    tune.Tuner(FaultyTrainable, param_space=param_space, tune_config=tune_config, run_config=run_config).fit()
    assert (tmp_path / "was-killed").exists()
    expected = {NAN: "'expertise' is nan", MISSING: "'alignment' is missing", RAISES: "The disk is on fire."}
    assert states() == ["FAIL" if number in expected else "COMPLETE" for number in range(5)]
    assert KILLED not in expected
    found = messages()
    assert [number for number, words in expected.items() if words in found[number]] == list(expected)


@pytest.mark.usefixtures("database")
@pytest.mark.faults
def test_a_killed_driver_loses_nothing(
    cluster: str, states: States, engine: Engine, study_name: str, tmp_path: Path
) -> None:
    command = [sys.executable, "examples/ray_tune_search.py", "--name", study_name, "--workers", "1"]
    command += ["--evaluations", "12", "--to", str(tmp_path)]
    environment = os.environ | {"RAY_ADDRESS": cluster}
    driver = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while states().count("COMPLETE") < 4 and driver.poll() is None:
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    before = list(load_study(engine, study_name).trials)
    assert 4 <= len(before) < 8

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "trial 7: alignment" in done.stdout
    assert "8 trials; on the front:" in done.stdout
    assert states() == ["COMPLETE"] * 8  # two of them with gradients, which cost three evaluations each
    assert list(load_study(engine, study_name).trials[: len(before)]) == before
