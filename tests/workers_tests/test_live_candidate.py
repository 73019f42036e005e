"""The live candidate: merged in place, exactly, and always from the checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces import METHOD_SIGNATURES, MergeRecipe, SearchSpace, SpaceOptions
from search_spaces.errors import CandidateError, CheckpointError, RecipeError
from search_spaces.merge_recipe import BASE
from workers.candidate_worker import CandidateWorker, WorkerSetup
from workers.checkpoints import MappedCheckpoint, read_header
from workers.checkpoints.opening import open_model
from workers.live_candidate import LiveCandidate
from workers.merge_memory import MergeDevice

MakeRecipe = Callable[..., MergeRecipe]

METHODS = sorted(METHOD_SIGNATURES)
NUMBERS = {"weight": 0.4, "density": 0.5, "t": 0.4, "scale": 0.9}


@pytest.fixture(scope="module")
def half(setup: WorkerSetup) -> LiveCandidate:
    """A candidate in the dtype of the family's checkpoints."""
    candidate: LiveCandidate = CandidateWorker(replace(setup, dtype="float16")).candidate
    return candidate


@pytest.fixture
def live(worker: CandidateWorker) -> LiveCandidate:
    candidate: LiveCandidate = worker.candidate
    return candidate


def weights(candidate: LiveCandidate) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in candidate.model.named_parameters()}


def recipe_of(make_recipe: MakeRecipe, method: str, **other: Any) -> MergeRecipe:
    names = [parameter.name for parameter in METHOD_SIGNATURES[method].parameters if parameter.name in NUMBERS]
    return make_recipe(method, **{**{name: NUMBERS[name] for name in names}, **other})


# Whose weight of 1 for a model is that model, and no rounded length and angle or bounded step.
SINGLED_OUT = [n for n in METHODS if METHOD_SIGNATURES[n].leading and n not in ("nearswap", "nuslerp", "multislerp")]


@pytest.mark.parametrize("method", [name for name in SINGLED_OUT if METHOD_SIGNATURES[name].max_experts != 1])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_model_alone_is_its_checkpoint(
    half: LiveCandidate, models: dict[str, str], method: str, normalize: bool
) -> None:
    header = read_header(models[BASE])
    experts = {name: folder for name, folder in models.items() if name != BASE}
    space = SearchSpace(
        models[BASE], experts, header.merged_names, SpaceOptions(method, normalize=normalize, dtype="float16")
    )
    alone = [landmark for landmark in space.landmarks() if landmark.name in models]
    assert len(alone) >= 2
    for landmark in alone:
        half.make(landmark.recipe)
        checkpoint = MappedCheckpoint(models[landmark.name])
        for name, found in weights(half).items():
            assert torch.equal(found, checkpoint.tensor(name)), (landmark.name, name)


@pytest.mark.parametrize("method", [name for name in METHODS if METHOD_SIGNATURES[name].max_experts != 1])
def test_a_recipe_gives_the_same_weights_whatever_was_made_before(
    live: LiveCandidate, make_recipe: MakeRecipe, method: str
) -> None:
    first = recipe_of(make_recipe, method)
    live.make(first)
    wanted = weights(live)
    live.make(make_recipe("task_arithmetic", weight=-1.0))
    assert any(not torch.equal(found, wanted[name]) for name, found in weights(live).items())
    live.make(first)
    assert all(torch.equal(found, wanted[name]) for name, found in weights(live).items())


def test_each_group_has_its_own_numbers(live: LiveCandidate, models: dict[str, str], make_recipe: MakeRecipe) -> None:
    names = read_header(models[BASE]).merged_names
    groups = {"odd": names[1::2], "even": names[::2]}
    by_group = {"odd": {"weight": 0.0}, "even": {"weight": 1.0}}
    coefficients = {"aligned": {group: {"weight": 0.0} for group in groups}, "expert": by_group}
    live.make(replace(make_recipe("task_arithmetic", weight=0.0), groups=groups, coefficients=coefficients))
    for group, model in (("odd", BASE), ("even", "expert")):
        checkpoint = MappedCheckpoint(models[model])
        for name in groups[group]:
            assert torch.equal(weights(live)[name], checkpoint.tensor(name).float())


def test_weights_are_written_in_place(live: LiveCandidate, make_recipe: MakeRecipe) -> None:
    before = {name: parameter.data_ptr() for name, parameter in live.model.named_parameters()}
    live.make(make_recipe("task_arithmetic", weight=0.4))
    assert {name: parameter.data_ptr() for name, parameter in live.model.named_parameters()} == before


def test_tied_embeddings_stay_tied(live: LiveCandidate, make_recipe: MakeRecipe) -> None:
    live.make(make_recipe("task_arithmetic", weight=0.4))
    head, embeddings = live.model.get_output_embeddings().weight, live.model.get_input_embeddings().weight
    assert head.data_ptr() == embeddings.data_ptr()
    assert torch.equal(head, embeddings)


def test_the_files_are_never_written(live: LiveCandidate, models: dict[str, str], make_recipe: MakeRecipe) -> None:
    before = {folder: (Path(folder) / "model.safetensors").read_bytes() for folder in models.values()}
    live.make(make_recipe("ties", weight=1.0, density=0.3))
    assert all((Path(folder) / "model.safetensors").read_bytes() == content for folder, content in before.items())


def test_a_candidate_that_cannot_be_leaves_no_trace_in_the_next(live: LiveCandidate, make_recipe: MakeRecipe) -> None:
    possible = make_recipe("task_arithmetic", weight=0.4)
    live.make(possible)
    wanted = weights(live)
    with pytest.raises(CandidateError, match="must not be 0"):
        live.make(make_recipe("linear", weight=0.0, normalize=True))
    live.make(possible)
    assert all(torch.equal(found, wanted[name]) for name, found in weights(live).items())


def test_a_recipe_of_other_models_is_refused(live: LiveCandidate, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("task_arithmetic", weight=0.4)
    renamed = replace(
        recipe,
        experts={"aligned": "a", "medical": "b"},
        coefficients={**recipe.coefficients, "medical": recipe.coefficients["expert"]},
    )
    with pytest.raises(RecipeError, match="must merge base, aligned, expert, but names base, aligned, medical"):
        live.make(renamed)
    swapped = replace(recipe, experts=dict(reversed(list(recipe.experts.items()))))
    with pytest.raises(RecipeError, match="but names base, expert, aligned"):
        live.make(swapped)


def test_a_recipe_of_other_groups_is_refused(live: LiveCandidate, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("task_arithmetic", weight=0.4)
    (names,) = recipe.groups.values()
    for members in (names[1:], (*names, "lm_head.weight")):
        (odd,) = set(names) ^ set(members)
        with pytest.raises(RecipeError, match=f"must hold the model's tensors, but differ in {odd}"):
            live.make(replace(recipe, groups={"all": members}))


def test_experts_that_do_not_fit_are_refused(family: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    other = family / "expert"
    model: Any = AutoModelForCausalLM.from_pretrained(other, dtype="auto", local_files_only=True)
    model.resize_token_embeddings(300, mean_resizing=False)
    model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"'short' .* model\.embed_tokens\.weight is 300x64 and not 448x64"):
        LiveCandidate(model, {BASE: MappedCheckpoint(other), "short": MappedCheckpoint(tmp_path)})


def test_a_model_with_other_parameters_than_its_checkpoint_is_refused(models: dict[str, str]) -> None:
    checkpoints = {name: MappedCheckpoint(folder) for name, folder in models.items()}
    with pytest.raises(CheckpointError, match=r"every parameter of Linear, but lacks weight, bias"):
        LiveCandidate(torch.nn.Linear(2, 2), checkpoints)


def test_a_recipe_of_another_dtype_is_refused(live: LiveCandidate, make_recipe: MakeRecipe) -> None:
    with pytest.raises(RecipeError, match=r"`dtype` must be the candidate's, float32, but is bfloat16"):
        live.make(make_recipe("task_arithmetic", weight=0.4, dtype="bfloat16"))


def test_an_adapter_alone_is_the_base_with_the_adapter(models: dict[str, str], adapter: Path) -> None:
    notation = f"{models[BASE]}+{adapter}"
    candidate = CandidateWorker(WorkerSetup({BASE: models[BASE], "medical": notation}, {})).candidate
    names = read_header(models[BASE]).merged_names
    space = SearchSpace(models[BASE], {"medical": notation}, names, SpaceOptions("task_arithmetic", dtype="float32"))
    (alone,) = [landmark.recipe for landmark in space.landmarks() if landmark.name == "medical"]
    candidate.make(alone)
    adapted, base = open_model(notation), MappedCheckpoint(models[BASE])
    found = weights(candidate)
    assert all(torch.equal(found[name], adapted.tensor(name).float()) for name in names)
    changed = [name for name in names if not torch.equal(adapted.tensor(name), base.tensor(name))]
    assert changed == ["model.layers.1.mlp.up_proj.weight"]


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("method", [name for name in METHODS if METHOD_SIGNATURES[name].max_experts != 1])
def test_weights_do_not_depend_on_the_number_of_threads(
    live: LiveCandidate, make_recipe: MakeRecipe, method: str
) -> None:
    """One writes tensor after tensor; of two each has its own; of very many, each has a part of the largest."""
    found = []
    for n_threads in (1, 2, 100):
        torch.set_num_threads(n_threads)
        live.forget()
        live.make(recipe_of(make_recipe, method))
        found.append(weights(live))
    for others in found[1:]:
        assert all(torch.equal(found[0][name], other) for name, other in others.items())


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.usefixtures("_threads")
def test_streamed_sources_give_the_same_weights(
    setup: WorkerSetup,
    live: LiveCandidate,
    make_recipe: MakeRecipe,
    monkeypatch: pytest.MonkeyPatch,
    n_threads: int,
) -> None:
    """Two tensors are there at a time, as on a GPU that has no room for more."""
    recipe = recipe_of(make_recipe, "dare_ties")
    live.forget()
    live.make(recipe)
    wanted = weights(live)
    monkeypatch.setattr(MergeDevice, "maps_files", property(lambda _: False))
    torch.set_num_threads(n_threads)
    streamed: LiveCandidate = CandidateWorker(replace(setup, cache_gib=0.0)).candidate
    streamed.make(recipe)
    assert all(torch.equal(found, wanted[name]) for name, found in weights(streamed).items())


def half_changed(recipe: MergeRecipe, weight: float) -> tuple[MergeRecipe, MergeRecipe]:
    """Two recipes that differ in one group's weight, of one tensor."""
    (names,) = recipe.groups.values()
    groups = {"one": names[3:4], "others": names[:3] + names[4:]}
    coefficients = {
        owner: {group: dict(next(iter(given.values()))) for group in groups}
        for owner, given in recipe.coefficients.items()
    }
    first = replace(recipe, groups=groups, coefficients=coefficients)
    changed = {**coefficients["aligned"], "one": {**coefficients["aligned"]["one"], "weight": weight}}
    return first, replace(first, coefficients={**coefficients, "aligned": changed})


@pytest.mark.parametrize("method", ["linear", "ties", "dare_ties"])
def test_only_what_changed_is_written(live: LiveCandidate, make_recipe: MakeRecipe, method: str) -> None:
    first, second = half_changed(recipe_of(make_recipe, method), weight=0.9)
    live.make(first)
    for parameter in live.model.parameters():
        parameter.data.zero_()  # unseen: torch counts writes to parameters only
    live.make(second)
    (name,) = first.groups["one"]
    written = {parameter for parameter, found in weights(live).items() if found.any()}
    live.forget()
    assert written == {name}


@pytest.mark.parametrize("spoil", ["forget", "torch"])
def test_what_others_write_is_overwritten(live: LiveCandidate, make_recipe: MakeRecipe, spoil: str) -> None:
    recipe = recipe_of(make_recipe, "ties")
    live.make(recipe)
    wanted = weights(live)
    with torch.no_grad():
        for parameter in live.model.parameters():
            parameter.data.zero_() if spoil == "forget" else parameter.zero_()
    if spoil == "forget":
        live.forget()
    live.make(recipe)
    assert all(torch.equal(found, wanted[name]) for name, found in weights(live).items())


def test_a_sequence_of_recipes_ends_where_a_fresh_candidate_begins(
    setup: WorkerSetup, live: LiveCandidate, make_recipe: MakeRecipe
) -> None:
    for method in ("ties", "breadcrumbs", "della", "dare_ties", "ties", "linear"):
        first, second = half_changed(recipe_of(make_recipe, method, weight=0.6), weight=0.8)
        for recipe in (first, second, first, replace(second, seed=1)):
            live.make(recipe)
    fresh: LiveCandidate = CandidateWorker(setup).candidate
    fresh.make(recipe)
    wanted = weights(fresh)
    assert all(torch.equal(found, wanted[name]) for name, found in weights(live).items())


@pytest.mark.parametrize("method", ["ties", "breadcrumbs_ties", "della"])
def test_weights_do_not_depend_on_the_cache(
    setup: WorkerSetup,
    live: LiveCandidate,
    make_recipe: MakeRecipe,
    method: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PARETOMERGE_CACHE_DIR", str(tmp_path))
    without: LiveCandidate = CandidateWorker(replace(setup, cache_gib=0)).candidate
    for density in (0.3, 0.7):
        recipe = recipe_of(make_recipe, method, density=density)
        live.make(recipe)
        without.make(recipe)
        wanted = weights(live)
        assert all(torch.equal(found, wanted[name]) for name, found in weights(without).items())
    assert list((tmp_path / "rankings").glob("*.ranking"))
