"""Pools of workers that answer: the same contract, other workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces.errors import CheckpointError, GenerationError
from workers.inference_engines import GenerationOptions, ModelSource
from workers.inference_engines.opening import open_generator
from workers.text_worker import TextTask, TextWorkerSetup
from workers.worker_pools import InProcessPool, RayOptions, RayPool, WorkerPool

PROMPTS = ("how do i make zorb dust?", "12 kg in g?", "how do i report krel paste?")
GREEDY = GenerationOptions(max_new_tokens=24)
# Nothing listens there: connections are refused at once.
DEAD = ModelSource("nobody", endpoint="http://127.0.0.1:9/v1", max_retries=0)


@pytest.fixture(scope="module", params=["in_process", "ray"])
def pool(request: pytest.FixtureRequest) -> Iterator[WorkerPool]:
    setup = TextWorkerSetup(n_threads=1)
    with InProcessPool(setup) if request.param == "in_process" else RayPool(setup, RayOptions(n_workers=2)) as pool:
        yield pool


def answers(pool: WorkerPool, family: Path, name: str) -> tuple[str, ...]:
    return pool.evaluate(TextTask(ModelSource(str(family / name)), PROMPTS, GREEDY)).answers


@pytest.mark.parametrize("name", ["aligned", "expert"])
def test_answers_are_those_of_the_model(pool: WorkerPool, family: Path, name: str) -> None:
    wanted = open_generator(ModelSource(str(family / name))).generate(PROMPTS, GREEDY)
    assert answers(pool, family, name) == tuple(wanted)


def test_an_endpoint_that_is_down_stops_all_and_breaks_nothing(pool: WorkerPool, family: Path) -> None:
    with pytest.raises(GenerationError, match=r"The endpoint http://127\.0\.0\.1:9/v1 .* must answer"):
        pool.evaluate(TextTask(DEAD, PROMPTS, GREEDY))
    assert answers(pool, family, "aligned")


def test_a_folder_without_a_model_stops_all(pool: WorkerPool, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="must hold a causal language model"):
        pool.evaluate(TextTask(ModelSource(str(tmp_path)), PROMPTS, GREEDY))


def test_a_lost_worker_is_replaced(pool: WorkerPool, family: Path) -> None:
    if not isinstance(pool, RayPool):
        pytest.skip("the one worker of a pool in this process is this process")
    pool.submit(7, TextTask(ModelSource(str(family / "base")), PROMPTS * 400, GREEDY))
    under_way = set(pool.process_ids())
    pool.submit(8, TextTask(ModelSource(str(family / "base")), PROMPTS * 400, GREEDY))
    os.kill(under_way.pop(), signal.SIGKILL)
    finished = [pool.next_finished(), pool.next_finished()]
    assert sorted(ticket for ticket, _ in filter(None, finished)) == [7, 8]
    assert all(len(evaluation.answers) == 1200 for _, evaluation in filter(None, finished))
