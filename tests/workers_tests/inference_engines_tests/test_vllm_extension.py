"""What runs inside vLLM's workers, mixed into a worker that only keeps what it is given; vLLM is not needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from search_spaces import MergeRecipe
from search_spaces.errors import CheckpointError
from search_spaces.merge_recipe import BASE
from workers.candidate_worker import CandidateWorker, WorkerSetup
from workers.checkpoints import MappedCheckpoint
from workers.inference_engines.vllm_engine import VllmEngine, VllmOptions
from workers.inference_engines.vllm_extension import HEAD, MergeExtension

MakeRecipe = Callable[..., MergeRecipe]

EMBEDDINGS = "model.embed_tokens.weight"


class KeepingWorker(MergeExtension):
    """A worker of vLLM's, as far as the extension knows it."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}

    def reload_weights(self, weights_iterator: Iterator[tuple[str, torch.Tensor]]) -> None:
        self.weights = dict(weights_iterator)


@pytest.fixture
def extended(models: dict[str, str]) -> KeepingWorker:
    worker = KeepingWorker()
    worker.open_checkpoints(models, "float32", "", 4.0)
    return worker


@pytest.fixture(scope="module")
def transformers(models: dict[str, str]) -> CandidateWorker:
    return CandidateWorker(WorkerSetup(models, {}))


@pytest.mark.parametrize(
    ("method", "parameters"),
    [("linear", {"weight": 0.4}), ("ties", {"weight": 0.8, "density": 0.4}), ("slerp", {"t": 0.3})],
)
def test_the_weights_are_those_of_the_live_candidate(
    extended: KeepingWorker,
    transformers: CandidateWorker,
    make_recipe: MakeRecipe,
    method: str,
    parameters: dict[str, float],
) -> None:
    recipe = make_recipe(method, **parameters)
    # As it comes out of the passage between processes.
    assert extended.apply_merge(json.loads(json.dumps(recipe.to_dict()))) is None
    transformers.candidate.make(recipe)
    wanted = dict(transformers.candidate.model.named_parameters())
    assert extended.weights.keys() == wanted.keys()
    assert all(torch.equal(found, wanted[name]) for name, found in extended.weights.items())


def test_no_two_tensors_share_memory(extended: KeepingWorker, make_recipe: MakeRecipe) -> None:
    extended.apply_merge(make_recipe("linear", weight=0.4).to_dict())
    assert len({tensor.data_ptr() for tensor in extended.weights.values()}) == len(extended.weights)


def test_embeddings_that_are_the_head_come_as_both(models: dict[str, str], make_recipe: MakeRecipe) -> None:
    worker = KeepingWorker()
    worker.open_checkpoints(models, "float32", EMBEDDINGS, 4.0)
    worker.apply_merge(make_recipe("linear", weight=0.4).to_dict())
    assert torch.equal(worker.weights[HEAD], worker.weights[EMBEDDINGS])


def test_a_candidate_that_cannot_be_is_told_and_leaves_the_base(
    extended: KeepingWorker, models: dict[str, str], make_recipe: MakeRecipe
) -> None:
    failure = extended.apply_merge(make_recipe("linear", weight=0.0, normalize=True).to_dict())
    assert failure is not None
    reason, message = failure
    assert reason == "zero_weights"
    assert "must not be 0" in message
    base = MappedCheckpoint(models[BASE])
    assert all(torch.equal(found, base.tensor(name).float()) for name, found in extended.weights.items())


def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    code = "import sys, time; from workers.inference_engines.vllm_extension import MergeExtension; "
    code += "MergeExtension().end_with(int(sys.argv[1])); print('ready', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        command = [sys.executable, "-c", code, str(owner.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            assert worker.poll() is None
            owner.kill()
            assert worker.wait(timeout=60) == 1


def test_a_base_without_a_known_head_is_refused(family: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for file in (family / "base").iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file({"transformer.wte.weight": torch.zeros(448, 64)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"a head, or embeddings called `embed_tokens`, .* but '.*' has neither"):
        VllmEngine(str(tmp_path), VllmOptions())


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="must hold a causal language model with its tokenizer, but: "):
        VllmEngine(str(tmp_path), VllmOptions())
