"""Small random models of every architecture: merged in place, run, saved and loaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces import MergeRecipe, group_parameters
from search_spaces.merge_recipe import BASE
from workers.checkpoint_places import write_whole
from workers.checkpoints import MappedCheckpoint
from workers.checkpoints.heads import fit_heads
from workers.coefficient_gradients import coefficient_gradients
from workers.live_candidate import LiveCandidate

_SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_NEOX = {key: value for key, value in _SMALL.items() if key != "num_key_value_heads"}
_MIXED = {"num_experts_per_tok": 2, "moe_intermediate_size": 16, "num_experts": 4}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": _SMALL,
    "mistral": _SMALL,
    "qwen2": _SMALL,
    "qwen3": {**_SMALL, "head_dim": 8},
    "gemma2": {**_SMALL, "head_dim": 8},
    "gemma3_text": {**_SMALL, "head_dim": 8},
    "phi3": _SMALL,
    "gpt_neox": _NEOX,
    "mixtral": {**_SMALL, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {**_SMALL, **_MIXED, "shared_expert_intermediate_size": 16},
    "qwen3_moe": {**_SMALL, **_MIXED, "head_dim": 8},
}
WEIGHT = 0.4


def random_model(architecture: str, seed: int, **config: Any) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    models: Any = AutoModelForCausalLM
    torch.manual_seed(seed)
    values = AutoConfig.for_model(architecture, **{**ARCHITECTURES[architecture], **config})
    model = models.from_config(values)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))  # norms and biases as well
    return model.eval()


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", local_files_only=True)
    return model.eval()


def candidate_of(folders: dict[str, Path]) -> LiveCandidate:
    checkpoints = fit_heads({name: MappedCheckpoint(folder) for name, folder in folders.items()})
    return LiveCandidate(load(folders[BASE]), checkpoints)


def merged(candidate: LiveCandidate) -> Any:
    """θ_base + 0.4 τ for every tensor."""
    return candidate.merged_model(recipe_of(candidate, "model"))


def recipe_of(candidate: LiveCandidate, granularity: str) -> MergeRecipe:
    groups = group_parameters(candidate.sources.checkpoints[BASE].header.merged_names, granularity)
    return MergeRecipe(
        method="task_arithmetic",
        base="base",
        experts={"expert": "expert"},
        groups=groups,
        coefficients={"expert": {group: {"weight": WEIGHT} for group in groups}},
        dtype="float32",
    )


@pytest.fixture(params=ARCHITECTURES)
def trio(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Any, Any]:
    """Base, expert and their merge, made of checkpoints."""
    base, expert = random_model(request.param, seed=0), random_model(request.param, seed=1)
    folders = {BASE: tmp_path / "base", "expert": tmp_path / "expert"}
    base.save_pretrained(folders[BASE])
    expert.save_pretrained(folders["expert"])
    return base, expert, merged(candidate_of(folders))


def test_a_merge_is_what_arithmetic_says(trio: tuple[Any, Any, Any]) -> None:
    base, expert, found = (model.state_dict() for model in trio)
    for name in base:
        wanted = base[name] + WEIGHT * (expert[name] - base[name])
        torch.testing.assert_close(found[name], wanted, msg=name)
        assert not torch.equal(found[name], base[name]), name


def test_a_merge_runs_and_is_the_same_when_loaded_again(trio: tuple[Any, Any, Any], tmp_path: Path) -> None:
    tokens = torch.tensor([[5, 9, 17, 3]])
    with torch.inference_mode():
        first = trio[2](tokens).logits
    assert first.isfinite().all()
    trio[2].save_pretrained(tmp_path / "merge")
    with torch.inference_mode():
        torch.testing.assert_close(load(tmp_path / "merge")(tokens).logits, first)
    assert MappedCheckpoint(tmp_path / "merge").header.tensors.keys() == (
        MappedCheckpoint(tmp_path / "base").header.tensors.keys()
    )


def likelihood(model: Any) -> torch.Tensor:
    """A loss of every parameter."""
    tokens = torch.tensor([[5, 9, 17, 3, 40, 23, 11, 8]])
    found: torch.Tensor = model(tokens, labels=tokens).loss
    return found


def test_a_gradient_goes_along_the_task_vector(trio: tuple[Any, Any, Any], tmp_path: Path) -> None:
    base, expert, merge = trio
    merge.requires_grad_(True)
    torch.autograd.backward(likelihood(merge))
    wanted = sum(
        float((q.grad * (p.detach() - b.detach())).sum(dtype=torch.float64))
        for b, p, q in zip(base.parameters(), expert.parameters(), merge.parameters(), strict=True)
        if q.grad is not None
    )
    candidate = candidate_of({BASE: tmp_path / "base", "expert": tmp_path / "expert"})
    for granularity in ("model", "tensor"):
        with coefficient_gradients(candidate, recipe_of(candidate, granularity)) as found:
            torch.autograd.backward(likelihood(candidate.model))
        slopes = [values["weight"] for values in found.coefficients()["expert"].values()]
        assert sum(slopes) == pytest.approx(wanted, rel=1e-4, abs=1e-4 * sum(map(abs, slopes)))
        assert any(slopes)


def test_biases_are_merged(tmp_path: Path) -> None:
    folders = {BASE: tmp_path / "base", "expert": tmp_path / "expert"}
    models = {name: random_model("llama", seed, attention_bias=True) for seed, name in enumerate(folders)}
    for name, model in models.items():
        model.save_pretrained(folders[name])
    bias = "model.layers.1.self_attn.q_proj.bias"
    base, expert = (model.state_dict()[bias] for model in models.values())
    found = merged(candidate_of(folders)).state_dict()[bias]
    torch.testing.assert_close(found, base + WEIGHT * (expert - base))


def test_a_tied_expert_of_an_untied_base_gives_its_embeddings_to_the_head(tmp_path: Path) -> None:
    folders = {BASE: tmp_path / "base", "expert": tmp_path / "expert"}
    base = random_model("llama", 0)
    expert = random_model("llama", 1, tie_word_embeddings=True)
    base.save_pretrained(folders[BASE])
    expert.save_pretrained(folders["expert"])
    head, embeddings = base.state_dict()["lm_head.weight"], expert.state_dict()["model.embed_tokens.weight"]
    found = merged(candidate_of(folders)).state_dict()["lm_head.weight"]
    torch.testing.assert_close(found, head + WEIGHT * (embeddings - head))


def test_experts_of_one_layer_are_written_where_they_lie(tmp_path: Path) -> None:
    model = random_model("mixtral", 0)
    model.save_pretrained(tmp_path)
    candidate = candidate_of({BASE: tmp_path, "expert": tmp_path})
    before = {name: parameter.data_ptr() for name, parameter in candidate.model.named_parameters()}
    merged(candidate)
    assert {name: parameter.data_ptr() for name, parameter in candidate.model.named_parameters()} == before


def test_a_place_that_is_not_contiguous_is_written_too() -> None:
    whole, wanted = torch.zeros(3, 2), torch.arange(6.0).view(2, 3)

    def write(out: torch.Tensor) -> None:
        out.view(-1).copy_(wanted.view(-1))

    write_whole(whole.T, write)
    assert torch.equal(whole.T, wanted)
