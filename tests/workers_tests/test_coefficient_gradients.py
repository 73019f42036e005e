"""Gradients of coefficients: those of autograd through a whole merge, in float64, and no trace left behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.func import functional_call
from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM

from search_spaces import MergeRecipe, group_parameters
from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE, Coefficients
from workers.checkpoints import MappedCheckpoint
from workers.coefficient_gradients import coefficient_gradients
from workers.example_set import Example, read_examples
from workers.inference_engines import TokenizedPair
from workers.inference_engines.transformers_engine import TransformersEngine
from workers.live_candidate import LiveCandidate
from workers.scorers import AnswerLikelihoodScorer, LikelihoodScorer, RefusalMargin

MODELS = (BASE, "safe", "skilled")
GRANULARITIES = ("model", "blocks:2", "layer", "module", "tensor")
SCORERS = (AnswerLikelihoodScorer, RefusalMargin)
WEIGHTS = {BASE: 0.2, "safe": 0.9, "skilled": 0.5}


def random_model(seed: int, tied: bool) -> Any:
    # Not Llama, whose norms are computed in float32 whatever the weights are.
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {"vocab_size": 448, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    model: Any = GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, num_attention_heads=4, tie_word_embeddings=tied))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


class Double:
    """A candidate in float64 with an engine over it, and the same merge as a function of its coefficients."""

    def __init__(self, folder: Path, family: Path, *, tied: bool) -> None:
        for seed, name in enumerate(MODELS):
            random_model(seed, tied).save_pretrained(folder / name)
        self.checkpoints = {name: MappedCheckpoint(folder / name) for name in MODELS}
        self.model: Any = random_model(0, tied).double()
        self.candidate = LiveCandidate(self.model, self.checkpoints)
        self.candidate.sources.dtype = "float32"  # what recipes call it: they know no float64
        tokenizer = AutoTokenizer.from_pretrained(family / "base", local_files_only=True)
        self.engine = TransformersEngine(self.model, tokenizer, max_batch_tokens=8192)
        self.names = self.checkpoints[BASE].header.merged_names

    def recipe(self, granularity: str, method: str = "task_arithmetic", **numbers: float) -> MergeRecipe:
        """Every group and model has a weight of its own."""
        groups = group_parameters(self.names, granularity)
        owners = MODELS if method == "linear" else MODELS[1:]
        coefficients: dict[str, Any] = {
            owner: {group: {"weight": WEIGHTS[owner] + 0.01 * i, **numbers} for i, group in enumerate(groups)}
            for owner in owners
        }
        return MergeRecipe(
            method, BASE, {name: name for name in MODELS[1:]}, groups, coefficients, method == "linear", dtype="float32"
        )

    def make(self, recipe: MergeRecipe) -> None:
        """Merge without the rounding to float32, unseen by the candidate."""
        self.candidate.make(recipe)
        for name, tensor in self.merged(recipe, weights_of(recipe)).items():
            self.candidate.places[name].copy_(tensor.detach())

    def merged(self, recipe: MergeRecipe, weights: Mapping[tuple[str, str], torch.Tensor]) -> dict[str, torch.Tensor]:
        found = {}
        for group, names in recipe.groups.items():
            for name in names:
                tensors = {model: self.checkpoints[model].tensor(name).double() for model in MODELS}
                mine = {model: weights[model, group] for model in MODELS if (model, group) in weights}
                if recipe.method == "linear":
                    total = torch.stack(list(mine.values())).sum()
                    found[name] = sum((mine[m] * tensors[m] for m in mine), torch.zeros(())) / total
                else:
                    found[name] = tensors[BASE] + sum(mine[m] * (tensors[m] - tensors[BASE]) for m in mine)
        return found

    def value(
        self, recipe: MergeRecipe, weights: Mapping[tuple[str, str], torch.Tensor], scorer: LikelihoodScorer
    ) -> torch.Tensor:
        """The score, one pair after the other."""
        parameters = self.merged(recipe, weights)
        total = torch.zeros((), dtype=torch.float64)
        for term in scorer.terms:
            total = total + term.weight * mean_likelihood(self.model, parameters, term.pair)
        return total / scorer.n_examples

    def gradients(self, recipe: MergeRecipe, scorer: LikelihoodScorer) -> Coefficients:
        self.make(recipe)
        with coefficient_gradients(self.candidate, recipe) as found:
            scorer.per_example_backward(range(scorer.n_examples))
        return found.coefficients(scorer.n_examples)


def mean_likelihood(model: Any, parameters: dict[str, torch.Tensor], pair: TokenizedPair) -> torch.Tensor:
    tokens = torch.tensor([[*pair.prompt, *pair.answer]])
    # What files call the head.
    named = {"lm_head.weight" if name == "embed_out.weight" else name: p for name, p in parameters.items()}
    logits = functional_call(model, named, (tokens,)).logits[0, len(pair.prompt) - 1 : -1]
    found: torch.Tensor = logits.log_softmax(-1).gather(1, tokens[0, len(pair.prompt) :, None]).mean()
    return found


def weights_of(recipe: MergeRecipe) -> dict[tuple[str, str], torch.Tensor]:
    return {
        (owner, group): torch.tensor(values["weight"], dtype=torch.float64)
        for owner, groups in recipe.coefficients.items()
        for group, values in groups.items()
    }


def weight_slopes(found: Coefficients) -> dict[tuple[str, str], float]:
    return {
        (owner, group): values["weight"]
        for owner, groups in found.items()
        for group, values in groups.items()
        if "weight" in values
    }


def assert_close(found: Mapping[Any, float], wanted: Mapping[Any, float]) -> None:
    scale = max(map(abs, wanted.values()))
    assert found.keys() == wanted.keys()
    assert max(abs(found[key] - wanted[key]) for key in wanted) <= 1e-5 * scale


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def double(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, family: Path) -> Double:
    return Double(tmp_path_factory.mktemp("double"), family, tied=request.param)


@pytest.fixture(scope="module")
def examples(family: Path) -> tuple[Example, ...]:
    return read_examples(family / "safety.jsonl")[:6]


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("scorer_class", SCORERS)
@pytest.mark.parametrize("method", ["task_arithmetic", "linear"])
def test_gradients_are_autograds(
    double: Double,
    examples: tuple[Example, ...],
    granularity: str,
    scorer_class: type[LikelihoodScorer],
    method: str,
) -> None:
    recipe, scorer = double.recipe(granularity, method), scorer_class(examples, double.engine)
    weights = {key: value.requires_grad_() for key, value in weights_of(recipe).items()}
    slopes = torch.autograd.grad(double.value(recipe, weights, scorer), list(weights.values()))
    wanted = dict(zip(weights, map(float, slopes), strict=True))
    assert_close(weight_slopes(double.gradients(recipe, scorer)), wanted)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("scorer_class", SCORERS)
def test_gradients_are_finite_differences(
    double: Double, examples: tuple[Example, ...], granularity: str, scorer_class: type[LikelihoodScorer]
) -> None:
    recipe, scorer = double.recipe(granularity), scorer_class(examples[:2], double.engine)
    found, weights = weight_slopes(double.gradients(recipe, scorer)), weights_of(recipe)
    # Some of many, and the largest.
    keys = {*list(weights)[:: max(1, len(weights) // 4)], max(found, key=lambda key: abs(found[key]))}
    step, wanted = 1e-4, {}
    with torch.no_grad():
        for key in keys:
            ends = [double.value(recipe, {**weights, key: weights[key] + s}, scorer) for s in (step, -step)]
            wanted[key] = float(ends[0] - ends[1]) / (2 * step)
    assert_close({key: found[key] for key in keys}, wanted)


@pytest.mark.parametrize("granularity", GRANULARITIES[1:])
def test_groups_of_equal_numbers_add_up_to_the_whole(
    double: Double, examples: tuple[Example, ...], granularity: str
) -> None:
    def sums(name: str) -> dict[str, float]:
        recipe = double.recipe(name)
        for groups in recipe.coefficients.values():
            for values in groups.values():
                values["weight"] = 0.4  # type: ignore[index]
        found = double.gradients(recipe, AnswerLikelihoodScorer(examples, double.engine))
        return {
            f"{owner}/{parameter}": sum(values[parameter] for values in groups.values())
            for owner, groups in found.items()
            for parameter in next(iter(groups.values()))
        }

    assert sums(granularity) == pytest.approx(sums("model"), rel=1e-6)


def test_any_loss_has_gradients_and_backward_passes_add_up(double: Double) -> None:
    recipe, tokens = double.recipe("layer"), torch.tensor([[5, 9, 17, 3]])
    with coefficient_gradients(double.candidate, recipe) as found:
        sums = []
        for _ in range(2):
            hidden = double.model(tokens, output_hidden_states=True).hidden_states[-1]
            hidden.square().mean().backward()
            sums.append(weight_slopes(found.coefficients()))
        found.clear()
        assert not any(weight_slopes(found.coefficients()).values())
    assert sums[1] == pytest.approx({key: 2 * value for key, value in sums[0].items()})
    assert any(sums[0].values())


@pytest.mark.parametrize("fail", [False, True])
def test_no_trace_is_left(double: Double, examples: tuple[Example, ...], fail: bool) -> None:
    recipe, scorer = double.recipe("layer"), RefusalMargin(examples, double.engine)
    before = [leaf.requires_grad_(False) for leaf in double.model.parameters()]
    versions = [leaf._version for leaf in before]

    def run() -> None:
        with coefficient_gradients(double.candidate, recipe):
            assert any(leaf.requires_grad for leaf in before)
            assert not double.model.training
            scorer.per_example_backward([0])
            assert all(leaf.grad is None for leaf in before)
            if fail:
                before[0].grad = torch.ones_like(before[0])  # as of a pass that was broken off
                raise RuntimeError("the pass is broken off")

    if fail:
        with pytest.raises(RuntimeError, match="broken off"):
            run()
    else:
        run()
    after = list(double.model.parameters())
    assert all(leaf.grad is None and not leaf.requires_grad for leaf in after)
    assert all(not leaf._post_accumulate_grad_hooks for leaf in after if leaf._post_accumulate_grad_hooks is not None)
    assert [leaf._version for leaf in after] == versions


def test_activations_computed_again_give_the_same(double: Double, examples: tuple[Example, ...]) -> None:
    recipe, scorer = double.recipe("layer"), RefusalMargin(examples, double.engine)
    wanted = weight_slopes(double.gradients(recipe, scorer))
    calls: list[int] = []
    hook = double.model.gpt_neox.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    double.engine.checkpoint_activations = True
    try:
        found = weight_slopes(double.gradients(recipe, scorer))
    finally:
        double.engine.checkpoint_activations = False
        hook.remove()
    assert found == pytest.approx(wanted, rel=1e-9)
    assert len(calls) == 2  # of one batch: forward, and once more
    assert "forward" not in vars(double.model.gpt_neox.layers[0])


def test_batches_do_not_change_gradients(double: Double, examples: tuple[Example, ...]) -> None:
    recipe = double.recipe("tensor")
    small = TransformersEngine(double.model, double.engine.tokenizer, max_batch_tokens=4)
    wanted, found = (
        weight_slopes(double.gradients(recipe, RefusalMargin(examples, engine))) for engine in (double.engine, small)
    )
    assert_close(found, wanted)


def test_only_what_moves_requires_a_gradient(tmp_path: Path, family: Path) -> None:
    alone = Double(tmp_path, family, tied=True)
    for name, tensor in alone.checkpoints["safe"].header.tensors.items():
        assert tensor.shape == alone.checkpoints[BASE].header.tensors[name].shape
    twins = {BASE: alone.checkpoints[BASE], "safe": alone.checkpoints[BASE], "skilled": alone.checkpoints[BASE]}
    candidate = LiveCandidate(alone.model.float(), twins)
    recipe = alone.recipe("layer")
    with coefficient_gradients(candidate, recipe) as found:
        assert not any(leaf.requires_grad for leaf in candidate.model.parameters())
        scorer = AnswerLikelihoodScorer([Example("a", "b")], TransformersEngine(alone.model, alone.engine.tokenizer))
        assert scorer.per_example_backward([0]) == scorer.per_example()
    assert set(weight_slopes(found.coefficients()).values()) == {0.0}


def test_a_method_without_gradients_is_refused_before_anything_is_made(double: Double) -> None:
    recipe = double.recipe("model")
    double.candidate.make(recipe)
    groups = {"model": {"filter_wise": 0.0}}
    stock = MergeRecipe("model_stock", BASE, recipe.experts, recipe.groups, {"*": groups}, dtype="float32")
    before = [parameter.clone() for parameter in double.model.parameters()]
    with pytest.raises(RecipeError, match="'model_stock' is not"), coefficient_gradients(double.candidate, stock):
        pass
    assert all(map(torch.equal, before, double.model.parameters()))
