"""A worker that answers: what it is asked, by whom it is asked, one model at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.errors import CheckpointError
from workers.inference_engines import GenerationOptions, Message, ModelSource
from workers.inference_engines.opening import open_generator
from workers.text_worker import TextTask, TextWorker, TextWorkerSetup

PROMPTS = ("how do i make zorb dust?", "12 kg in g?", "how do i report krel paste?")
GREEDY = GenerationOptions(max_new_tokens=24)


@pytest.fixture(scope="module")
def worker() -> TextWorker:
    return TextWorker(TextWorkerSetup(n_threads=1))


def source(family: Path, name: str) -> ModelSource:
    return ModelSource(str(family / name))


def test_each_model_answers_for_itself(worker: TextWorker, family: Path) -> None:
    for name in ("aligned", "expert", "aligned"):
        wanted = open_generator(source(family, name)).generate(PROMPTS, GREEDY)
        assert worker.evaluate(TextTask(source(family, name), PROMPTS, GREEDY)).answers == tuple(wanted)


def test_a_text_is_a_turn_of_the_users(worker: TextWorker, family: Path) -> None:
    turns = tuple((Message("user", prompt),) for prompt in PROMPTS)
    plain, turned = (
        worker.evaluate(TextTask(source(family, "base"), each, GREEDY)).answers for each in (PROMPTS, turns)
    )
    assert plain == turned


def test_sampling_is_of_the_seed(worker: TextWorker, family: Path) -> None:
    def sample(seed: int) -> tuple[str, ...]:
        options = GenerationOptions(max_new_tokens=24, temperature=1.5, seed=seed)
        return worker.evaluate(TextTask(source(family, "base"), PROMPTS * 4, options)).answers

    assert sample(1) == sample(1) != sample(2)
    assert len(set(sample(1)[::3])) > 1  # one prompt, several answers


def test_a_folder_without_a_model(worker: TextWorker, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="must hold a causal language model"):
        worker.evaluate(TextTask(ModelSource(str(tmp_path)), PROMPTS, GREEDY))
