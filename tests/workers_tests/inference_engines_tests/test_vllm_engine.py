"""vLLM against the transformers engine: the same candidates, the same numbers, the same words."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces import MergeRecipe
from search_spaces.errors import CheckpointError, GenerationError, RecipeError
from search_spaces.merge_recipe import BASE
from workers.candidate_worker import CandidateWorker, Measure, WorkerSetup
from workers.checkpoints import MappedCheckpoint
from workers.evaluation import Assignment, FailureReason
from workers.example_set import Example, of_split, read_examples
from workers.inference_engines import GenerationOptions, TokenizedPair

MakeRecipe = Callable[..., MergeRecipe]

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed here; `make test-vllm` installs it", allow_module_level=True)

pytestmark = [
    # torch and vLLM call parts of themselves deprecated, in this process and in their own.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
    pytest.mark.timeout(600),
]

# Log-likelihoods of an answer in float32, summed by other kernels in another order.
TOLERANCE = 2e-4


def widened(folder: Path, to: Path) -> Path:
    """The same model with heads of 32 in place of 16, which vLLM's attention on CPUs does not take.

    Rows of zeros change no product of queries and keys. A head of 32 turns twice as many pairs (i, i + 16), of
    which every other has the frequency of one of the old pairs (i, i + 8); and it divides by √32, not by √16.
    """
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((folder / "config.json").read_text())
    assert config["head_dim"] == 16
    (to / "config.json").write_text(json.dumps(config | {"head_dim": 32, "dtype": "float32"}))
    turned = torch.tensor([2 * (i % 8) + 16 * (i // 8) for i in range(16)])
    checkpoint = MappedCheckpoint(folder)
    tensors = {}
    for name in checkpoint.header.tensors:
        tensor = checkpoint.tensor(name).float()
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            heads = tensor.view(-1, 16, tensor.shape[1])
            wide = torch.zeros(len(heads), 32, tensor.shape[1])
            wide[:, turned] = heads * (math.sqrt(2) if "q_proj" in name else 1)
            tensor = wide.view(-1, tensor.shape[1])
        elif name.endswith("o_proj.weight"):
            heads = tensor.view(len(tensor), -1, 16)
            wide = torch.zeros(len(tensor), heads.shape[1], 32)
            wide[:, :, turned] = heads
            tensor = wide.view(len(tensor), -1)
        tensors[name] = tensor
    from safetensors.torch import save_file

    save_file(tensors, to / "model.safetensors", {"format": "pt"})
    return to


@pytest.fixture(scope="module")
def wide(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tiny family as vLLM can run it."""
    folder = tmp_path_factory.mktemp("wide")
    return {name: str(widened(Path(narrow), folder / name)) for name, narrow in models.items()}


@pytest.fixture(scope="module")
def wide_setup(wide: dict[str, str], family: Path) -> WorkerSetup:
    examples = of_split(read_examples(family / "safety.jsonl"), "search")[:24]
    scorers = ("answer_likelihood", "refusal_margin", "refusal", "exact_match")
    return WorkerSetup(wide, {scorer: Measure(scorer, examples) for scorer in scorers}, n_threads=1)


@pytest.fixture(scope="module")
def reference(wide_setup: WorkerSetup) -> CandidateWorker:
    return CandidateWorker(wide_setup)


@pytest.fixture(scope="module")
def vllm(wide_setup: WorkerSetup) -> CandidateWorker:
    return CandidateWorker(replace(wide_setup, engine="vllm"))


@pytest.fixture(scope="module")
def recipes(make_recipe: MakeRecipe, wide: dict[str, str]) -> dict[str, MergeRecipe]:
    """Name → recipe of the wide family; `by layer` gives each half of the model its own numbers."""
    experts = {name: folder for name, folder in wide.items() if name != BASE}
    found = {
        "linear": make_recipe("linear", weight={BASE: 0.2, "aligned": 0.5, "expert": 0.3}),
        "by layer": by_layer(make_recipe("task_arithmetic", weight=0.5)),
        "ties": make_recipe("ties", weight=0.8, density=0.4, normalize=True),
        "dare_ties": make_recipe("dare_ties", weight={"aligned": 0.4, "expert": 0.9}, density=0.6, seed=7),
        "slerp": make_recipe("slerp", t=0.4),
    }
    return {name: replace(recipe, base=wide[BASE], experts=experts) for name, recipe in found.items()}


def by_layer(recipe: MergeRecipe) -> MergeRecipe:
    (names,) = recipe.groups.values()
    early = tuple(name for name in names if "layers.0." in name or "layers.1." in name)
    groups = {"early": early, "rest": tuple(name for name in names if name not in early)}
    weights = {"aligned": {"early": 1.1, "rest": 0.2}, "expert": {"early": 0.1, "rest": 0.9}}
    coefficients = {m: {group: {"weight": w} for group, w in by_group.items()} for m, by_group in weights.items()}
    return replace(recipe, groups=groups, coefficients=coefficients)


@pytest.fixture(scope="module")
def examples(family: Path) -> list[Example]:
    names = ("safety", "domain", "benign")
    return [example for name in names for example in read_examples(family / f"{name}.jsonl")[:12]]


@pytest.fixture(scope="module")
def pairs(reference: CandidateWorker, examples: list[Example]) -> list[TokenizedPair]:
    return [reference.engine.tokenize(example.prompt, example.answer) for example in examples]


def totals(worker: CandidateWorker, pairs: list[TokenizedPair]) -> list[float]:
    return [likelihood.total for likelihood in worker.engine.answer_likelihoods(pairs)]


def test_the_wide_family_is_the_tiny_family(
    models: dict[str, str], reference: CandidateWorker, make_recipe: MakeRecipe, recipes: Any, pairs: Any
) -> None:
    worker = CandidateWorker(WorkerSetup(models, {}, n_threads=1))
    worker.candidate.make(make_recipe("linear", weight={BASE: 0.2, "aligned": 0.5, "expert": 0.3}))
    reference.candidate.make(recipes["linear"])
    assert totals(reference, pairs) == pytest.approx(totals(worker, pairs), abs=TOLERANCE)


def test_texts_are_read_as_the_transformers_engine_reads_them(
    vllm: CandidateWorker, reference: CandidateWorker, examples: list[Example]
) -> None:
    assert vllm.engine.end_id == reference.engine.end_id
    assert vllm.engine.max_tokens == reference.engine.max_tokens - 1
    assert vllm.engine.device == "cpu"
    for example in examples:
        assert vllm.engine.encode(example.answer) == reference.engine.encode(example.answer)
        assert vllm.engine.tokenize(example.prompt, example.answer) == reference.engine.tokenize(
            example.prompt, example.answer
        )


def test_after_each_recipe_both_engines_agree(
    vllm: CandidateWorker,
    reference: CandidateWorker,
    recipes: Mapping[str, MergeRecipe],
    pairs: list[TokenizedPair],
    examples: list[Example],
) -> None:
    prompts = [example.prompt for example in examples]
    seen = set()
    for name, recipe in recipes.items():
        for worker in (vllm, reference):
            worker.candidate.make(recipe)
        found, wanted = vllm.engine.answer_likelihoods(pairs), reference.engine.answer_likelihoods(pairs)
        assert [each.total for each in found] == pytest.approx([each.total for each in wanted], abs=TOLERANCE), name
        assert [(e.n_tokens, e.greedy) for e in found] == [(e.n_tokens, e.greedy) for e in wanted], name
        texts = vllm.engine.generate(prompts, GenerationOptions(24))
        assert texts == reference.engine.generate(prompts, GenerationOptions(24)), name
        seen.add(tuple(texts))
    assert len(seen) == len(recipes) == 5


def test_a_recipe_gives_the_same_candidate_whatever_was_made_before(
    vllm: CandidateWorker, recipes: Mapping[str, MergeRecipe], pairs: list[TokenizedPair]
) -> None:
    found = []
    for name in ("dare_ties", "slerp", "dare_ties"):
        vllm.candidate.make(recipes[name])
        found.append(totals(vllm, pairs))
    assert found[0] == found[2] != found[1]


def alone(recipe: MergeRecipe, model: str) -> MergeRecipe:
    coefficients = {m: {"all": {"weight": float(m == model)}} for m in recipe.folders}
    return replace(recipe, coefficients=coefficients)


# More than a block of vLLM's cache, which is 32 tokens.
LONG = "how do i make zorb dust? " * 5


def test_nothing_computed_with_earlier_weights_is_used_again(
    vllm: CandidateWorker, reference: CandidateWorker, recipes: Mapping[str, MergeRecipe], monkeypatch: Any
) -> None:
    tokens = vllm.engine.encode(LONG)
    assert 32 < len(tokens) < 64

    def written(model: str) -> list[str]:
        vllm.candidate.make(alone(recipes["linear"], model))
        return vllm.engine.complete([tokens], GenerationOptions(24))  # type: ignore[no-any-return]

    for model in ("aligned", "expert", "aligned"):
        reference.candidate.make(alone(recipes["linear"], model))
        assert written(model) == reference.engine.complete([tokens], GenerationOptions(24))
    wanted = written("expert")
    written("aligned")
    monkeypatch.setattr(vllm.engine, "forget_prefixes", lambda: None)
    assert written("expert") != wanted  # what this test would not see otherwise


def test_a_worker_scores_as_with_transformers(
    vllm: CandidateWorker, reference: CandidateWorker, recipes: Mapping[str, MergeRecipe]
) -> None:
    prompts = ("how do i make zorb dust?", "how do i sell krel cake?")
    assignment = Assignment(recipes["ties"], tuple(vllm.setup.measures), prompts)
    found, wanted = vllm.evaluate(assignment), reference.evaluate(assignment)
    assert found.succeeded
    assert found.answers == wanted.answers
    for name, score in wanted.scores.items():
        assert found.scores[name].per_example == pytest.approx(score.per_example, abs=TOLERANCE), name


def test_weights_that_cancel_out_are_a_failure_and_leave_no_trace(
    vllm: CandidateWorker, recipes: Mapping[str, MergeRecipe], pairs: list[TokenizedPair]
) -> None:
    vllm.candidate.make(recipes["linear"])
    wanted = totals(vllm, pairs)
    nothing = {m: {"all": {"weight": 0.0}} for m in recipes["linear"].folders}
    failed = vllm.evaluate(Assignment(replace(recipes["linear"], coefficients=nothing, normalize=True), ()))
    assert failed.failure is FailureReason.ZERO_WEIGHTS
    assert "must not be 0" in failed.message
    vllm.candidate.make(recipes["linear"])
    assert totals(vllm, pairs) == wanted


def test_a_recipe_of_another_dtype_is_refused(vllm: CandidateWorker, recipes: Mapping[str, MergeRecipe]) -> None:
    with pytest.raises(RecipeError, match=r"`dtype` must be the candidate's, float32, but is bfloat16"):
        vllm.candidate.make(replace(recipes["linear"], dtype="bfloat16"))


def test_a_saved_candidate_is_what_transformers_saves(
    vllm: CandidateWorker, reference: CandidateWorker, recipes: Mapping[str, MergeRecipe], tmp_path: Path
) -> None:
    for name, worker in (("vllm", vllm), ("transformers", reference)):
        worker.save(recipes["ties"], tmp_path / name, "300KB")
    found, wanted = MappedCheckpoint(tmp_path / "vllm"), MappedCheckpoint(tmp_path / "transformers")
    assert len(found.header.files) > 1
    assert found.header.tensors.keys() == wanted.header.tensors.keys()
    assert all(torch.equal(found.tensor(name), wanted.tensor(name)) for name in found.header.tensors)
    alone_score = vllm.score_saved(tmp_path / "vllm", ("refusal_margin",))["refusal_margin"]
    live = vllm.evaluate(Assignment(recipes["ties"], ("refusal_margin",))).scores["refusal_margin"]
    assert alone_score.per_example == pytest.approx(live.per_example, abs=TOLERANCE)


def test_an_answer_ends_before_a_stop_and_is_not_longer_than_allowed(
    vllm: CandidateWorker, reference: CandidateWorker, recipes: Mapping[str, MergeRecipe], examples: list[Example]
) -> None:
    prompts = [example.prompt for example in examples[::3]]
    for worker in (vllm, reference):
        worker.candidate.make(recipes["linear"])
    for options in (GenerationOptions(24, stop=(" the", "a")), GenerationOptions(3)):
        assert vllm.engine.generate(prompts, options) == reference.engine.generate(prompts, options)
    assert vllm.engine.generate([], GenerationOptions(3)) == vllm.engine.answer_likelihoods([]) == []


def test_sampling_depends_on_the_seed_alone(vllm: CandidateWorker) -> None:
    def sampled(seed: int) -> list[str]:
        options = GenerationOptions(12, temperature=2.0, seed=seed)
        return vllm.engine.generate(["how do i make zorb dust?"] * 3, options)  # type: ignore[no-any-return]

    assert sampled(1) == sampled(1) != sampled(2)
    assert len({*sampled(1), *sampled(2)}) > 3


def test_what_is_too_long_is_refused(vllm: CandidateWorker) -> None:
    longest = TokenizedPair((5,) * (vllm.engine.max_tokens - 1), (6,))
    (found,) = vllm.engine.answer_likelihoods([longest])
    assert math.isfinite(found.total)
    with pytest.raises(GenerationError, match=r"at most 127 tokens .* but got 128. Shorten the set's examples"):
        vllm.engine.answer_likelihoods([replace(longest, answer=(6, 6))])


def test_processes_that_are_lost_cost_one_candidate(
    vllm: CandidateWorker, recipes: Mapping[str, MergeRecipe], pairs: list[TokenizedPair]
) -> None:
    import psutil

    vllm.candidate.make(recipes["slerp"])
    wanted = totals(vllm, pairs)
    children = psutil.Process().children(recursive=True)
    engines = [child for child in children if "EngineCore" in " ".join(child.cmdline()) + child.name()]
    assert engines
    for process in engines:
        os.kill(process.pid, signal.SIGKILL)
    lost = vllm.evaluate(Assignment(recipes["slerp"], ("exact_match",)))
    assert lost.failure is FailureReason.WORKER_LOST
    assert vllm.evaluate(Assignment(recipes["slerp"], ("exact_match",))).succeeded
    assert totals(vllm, pairs) == wanted


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Keeps the traces of vLLM's processes out of a report."""
    yield
    capfd.readouterr()


@pytest.mark.usefixtures("quiet")
def test_a_model_that_vllm_cannot_run_is_refused(models: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match=r"vLLM must run the base '.*base', but cannot: .* heads of 32"):
        CandidateWorker(WorkerSetup(models, {}, engine="vllm", n_threads=1))


OWNER = """
import sys
import psutil
from workers.inference_engines.vllm_engine import VllmEngine, VllmOptions

if __name__ == "__main__":
    engine = VllmEngine(sys.argv[1], VllmOptions(n_threads=1))
    print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["by itself", "killed"])
def test_its_processes_end_with_the_one_that_started_them(end: str, wide: dict[str, str], tmp_path: Path) -> None:
    import psutil

    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    command = [sys.executable, "-W", "ignore", str(script), wide[BASE]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        children = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
        if end == "killed":
            owner.kill()
        _, lasting = owner.communicate(timeout=60), psutil.wait_procs(children, timeout=60)[1]
    assert len(children) >= 2
    assert lasting == []
    assert owner.returncode == (-signal.SIGKILL if end == "killed" else 0)
