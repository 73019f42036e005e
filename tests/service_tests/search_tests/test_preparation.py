"""From a specification to a search: all that can be wrong is found before any weight is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import (
    CheckpointError,
    ExampleSetError,
    IncompatibleModelsError,
    RecipeError,
    SpecificationError,
    UserError,
)
from service.demo import FAMILY
from service.exports.provenance import file_digest
from service.samplers import SAMPLERS
from service.search import PreparedSearch
from workers.evaluation import Assignment
from workers.scorers import SCORERS
from workers.worker_pools import InProcessPool

Prepare = Callable[..., PreparedSearch]
WriteSet = Callable[..., str]

ROW = {"prompt": "q", "answer": "a", "rejected": "r"}


def copied(model: str, to: Path) -> Path:
    return Path(shutil.copytree(FAMILY / model, to / model))


def models(**experts: Path | str) -> dict[str, Any]:
    return {"base": str(FAMILY / "base"), "experts": {name: str(folder) for name, folder in experts.items()}}


def test_what_was_prepared(prepare: Prepare) -> None:
    prepared = prepare(report={"refusal": {"set": str(FAMILY / "safety.jsonl"), "scorer": "refusal"}})
    assert prepared.objectives == ("alignment", "expertise")
    assert list(prepared.models) == ["base", "aligned", "expert"]
    assert prepared.holdout_measures == ("alignment@holdout", "expertise@holdout", "refusal@holdout")
    assert set(prepared.measures) == {*prepared.objectives, *prepared.holdout_measures}
    assert {e.split for e in prepared.measures["alignment"].examples} == {"search"}
    assert {e.split for e in prepared.measures["alignment@holdout"].examples} == {"holdout"}
    assert prepared.space.n_dims == 2 * len(prepared.space.groups)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"search": {"sampler": "annealing"}}, SpecificationError, "`search.sampler` must be one of auto, random, .*"),
        ({"space": {"method": "blend"}}, SpecificationError, "`space.method` must be one of linear, .* got 'blend'"),
        ({"space": {"granularity": "head"}}, SpecificationError, "`.*granularity` must be one of model, .* got 'head'"),
        ({"space": {"weight": [1.5, 0]}}, SpecificationError, r"`.*weight` must be \[low, high\] .*got \[1.5, 0\]"),
        ({"space": {"bounds": [{"weight": [2, 1]}]}}, SpecificationError, r"`.*weight` must be \[low, high\]"),
        ({"space": {"weight": [0, 99]}}, SpecificationError, r"must lie in \[-10, 10\], but got \[0, 99\]"),
        ({"space": {"weight": 0.5}}, SpecificationError, "must leave something to search, but every bound fixes"),
        ({"space": {"density": 0.5}}, SpecificationError, "'task_arithmetic' takes weight, lambda, but .* `density`"),
        ({"space": {"bounds": [{"expert": "x", "weight": 1}]}}, SpecificationError, "one of aligned, expert, .*'x'"),
        ({"space": {"bounds": [{"filter": "z*", "weight": 1}]}}, SpecificationError, r"filter: z\*` matches no"),
        (
            {"objectives": {"alignment": {"set": str(FAMILY / "safety.jsonl"), "scorer": "margin"}}},
            SpecificationError,
            "`objectives.alignment.scorer` must be one of answer_likelihood, .* got 'margin'",
        ),
        (
            {"report": {"tone": {"set": str(FAMILY / "safety.jsonl"), "scorer": "tone"}}},
            SpecificationError,
            "`report.tone.scorer` must be one of .* got 'tone'",
        ),
        (
            {"objectives": {"alignment": {"set": "/nowhere.jsonl", "scorer": "refusal"}}},
            ExampleSetError,
            "'/nowhere.jsonl' is not: .*No such file",
        ),
        (
            {"objectives": {"alignment": {"set": str(FAMILY / "domain.jsonl"), "scorer": "refusal_margin"}}},
            ExampleSetError,
            "'refusal_margin' needs `rejected` in every example, but .*domain.jsonl' lacks it in ",
        ),
        ({"models": models(expert="/nowhere")}, CheckpointError, "A model must be a folder, but '/nowhere'"),
        ({"models": models(expert=FAMILY)}, CheckpointError, "must hold config.json"),
    ],
)
def test_a_mistake_is_found(changes: dict[str, Any], error: type[UserError], message: str, prepare: Prepare) -> None:
    with pytest.raises(error, match=message):
        prepare(**changes)


def test_models_that_do_not_fit_are_refused(prepare: Prepare, tmp_path: Path) -> None:
    config = copied("expert", tmp_path) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"architectures": ["GPT2LMHeadModel"]}))
    with pytest.raises(IncompatibleModelsError, match="expert 'expert' is GPT2LMHeadModel"):
        prepare(models=models(expert=config.parent))


def test_an_expert_that_is_the_base_is_left_out(prepare: Prepare, tmp_path: Path) -> None:
    given = models(same=FAMILY / "base", expert=FAMILY / "expert", copy=copied("base", tmp_path))
    rules = [{"expert": "copy", "weight": 1}, {"expert": "expert", "weight": [0.2, 0.8]}]
    for method in ("task_arithmetic", "linear", "ties"):
        bounds = {"bounds": rules} if method == "linear" else {}
        prepared = prepare(models=given, space={"method": method, "weight": None, **bounds})
        assert list(prepared.models) == ["base", "expert"]
        assert prepared.left_out == ("same", "copy")
        assert prepared.notes[0] == "'same' is the base itself: its task vector is zero, and it is left out."
    alone = prepare(models=models(expert=FAMILY / "expert"))
    assert alone.notes == ()
    assert prepare(models=given).identity.fixed == alone.identity.fixed


def test_a_pair_of_which_one_is_the_base_stays_a_pair(prepare: Prepare) -> None:
    given = models(expert=FAMILY / "expert", same=FAMILY / "base")
    prepared = prepare(models=given, space={"method": "slerp", "weight": None})
    assert list(prepared.models) == ["base", "expert", "same"]
    assert prepared.notes == ()


def test_a_model_that_lies_elsewhere_here_is_told(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOMERGE_MODEL_ROOTS", str(FAMILY))
    prepared = prepare(models={"base": str(FAMILY / "base"), "experts": {"expert": "/models/expert"}})
    assert prepared.models["expert"] == "/models/expert"  # which other machines may have
    assert prepared.notes == (f"'expert' is taken from '{FAMILY}/expert': '/models/expert' is not on this machine.",)


def test_other_tokens_need_a_base_that_is_merged(prepare: Prepare) -> None:
    given = models(expert=FAMILY / "expert", aligned=FAMILY / "aligned") | {"tokenizer": "union"}
    with pytest.raises(
        SpecificationError, match=r"`models\.tokenizer` needs a base that is merged .* 'slerp' it has no"
    ):
        prepare(models=given, space={"method": "slerp", "weight": None})


def test_an_expert_that_is_the_base_is_no_search(prepare: Prepare) -> None:
    with pytest.raises(SpecificationError, match="must hold a model that differs from the base, but same is the base"):
        prepare(models=models(same=FAMILY / "base"))


def test_an_adapter_is_an_expert(prepare: Prepare, adapter: Path) -> None:
    prepared = prepare(models={"base": str(FAMILY / "base"), "experts": {"medical": {"adapter": str(adapter)}}})
    notation = f"{FAMILY / 'base'}+{adapter}"
    assert prepared.models["medical"] == prepared.recipe({**prepared.encoded_landmarks["base"]}).experts["medical"]
    assert prepared.models["medical"] == notation
    assert prepared.worker_setup().models["medical"] == notation
    again = prepare(models={"base": str(FAMILY / "base"), "experts": {"medical": notation}})
    assert again.identity.fixed == prepared.identity.fixed


def with_another_token(to: Path) -> Path:
    folder = copied("expert", to)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    last = max(vocabulary, key=lambda token: vocabulary[token])
    vocabulary["☃"] = vocabulary.pop(last)
    tokenizer["model"]["merges"] = [pair for pair in tokenizer["model"]["merges"] if last not in ("".join(pair), *pair)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def test_differing_vocabularies_need_a_tokenizer(prepare: Prepare, tmp_path: Path) -> None:
    given = models(expert=with_another_token(tmp_path))
    with pytest.raises(
        IncompatibleModelsError, match=r"must have the base's vocabulary.*`models\.tokenizer` says which"
    ):
        prepare(models=given)
    for tokenizer, n_rows in (("base", 448), ("expert", 448), ("union", 449)):
        prepared = prepare(models=given | {"tokenizer": tokenizer})
        shapes = {header.tensors["model.embed_tokens.weight"].shape for header in prepared.headers.values()}
        assert shapes == {(n_rows, 64)}
        assert prepared.worker_setup().tokenizer == tokenizer
        assert prepared.recipe(dict.fromkeys(prepared.space.distributions(), 0.5)).tokenizer_source == tokenizer
        assert prepared.identity.fixed["models.tokenizer"] == tokenizer


def test_a_union_is_scored(prepare: Prepare, tmp_path: Path) -> None:
    prepared = prepare(models=models(expert=with_another_token(tmp_path)) | {"tokenizer": "union"})
    with InProcessPool(prepared.worker_setup()) as pool:
        recipe = prepared.recipe(dict.fromkeys(prepared.space.distributions(), 0.5))
        assert pool.evaluate(Assignment(recipe, prepared.objectives)).scores.keys() == set(prepared.objectives)


def test_vllm_keeps_the_tokens_that_it_has(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.search.preparation.find_spec", lambda name: object())
    given = models(expert=FAMILY / "expert") | {"tokenizer": "base"}
    with pytest.raises(SpecificationError, match=r"`models\.tokenizer` needs `workers\.engine: transformers`"):
        prepare(models=given, workers={"pool": "in_process", "engine": "vllm"})


def test_an_objective_needs_examples_to_search_by(prepare: Prepare, write_set: WriteSet) -> None:
    given = {"set": write_set(ROW | {"split": "holdout"}), "scorer": "refusal_margin"}
    with pytest.raises(SpecificationError, match=r"`objectives.alignment.set` must hold examples of split `search`"):
        prepare(objectives={"alignment": given})


def test_a_set_without_holdout_has_no_holdout_measure(prepare: Prepare, write_set: WriteSet) -> None:
    prepared = prepare(objectives={"alignment": {"set": write_set(ROW), "scorer": "refusal_margin"}})
    assert prepared.holdout_measures == ("expertise@holdout",)


def test_a_report_on_no_examples_is_refused(prepare: Prepare, write_set: WriteSet) -> None:
    with pytest.raises(SpecificationError, match=r"`report.refusal.set` must hold examples of split `holdout`"):
        prepare(report={"refusal": {"set": write_set(ROW), "scorer": "refusal"}})


def test_a_malformed_line_is_named(prepare: Prepare, write_set: WriteSet) -> None:
    path = write_set(ROW, {"answer": "a"})
    with pytest.raises(ExampleSetError, match=r"set.jsonl, line 2 has none"):
        prepare(objectives={"alignment": {"set": path, "scorer": "refusal"}})


def test_every_scorer_and_sampler_may_be_named(
    prepare: Prepare, write_set: WriteSet, write_task: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_set(ROW | {"choices": ["a", "r"], "label": "a"})
    tasks = write_task(tmp_path, "echo", [ROW], output_type="loglikelihood", doc_to_target="{{answer}}")
    options: dict[str, Any] = {
        "classifier": {"model": str(FAMILY / "classifier")},
        "guard": {"guard": {"llama_guard": str(FAMILY / "guard")}},
        "llm_judge": {"judge": str(FAMILY / "base")},
        "lm_eval": {"tasks": ["echo"], "include_path": str(tasks)},
    }
    for name, scorer in SCORERS.items():
        given = {"scorer": name, "options": options.get(name, {})} | ({} if scorer.brings_examples else {"set": path})
        assert prepare(objectives={"alignment": given}).measures["alignment"].scorer == name
    for sampler in SAMPLERS:
        assert prepare(search={"sampler": sampler}).choose_sampler() == (sampler, "named in the specification.")


def test_auto_chooses_by_the_shape(prepare: Prepare) -> None:
    prepared = prepare(search={"evaluations": 300, "sampler": "auto"}, workers={"count": 3})
    assert (prepared.shape.n_dims, prepared.shape.n_objectives) == (prepared.space.n_dims, 2)
    assert (prepared.shape.evaluations, prepared.shape.n_workers) == (300, 3)
    name, reason = prepared.choose_sampler()
    assert name in SAMPLERS
    assert f"{prepared.space.n_dims} dimensions" in reason


def test_landmarks_come_back_from_their_parameters(prepare: Prepare) -> None:
    prepared = prepare()
    recipes = {landmark.name: landmark.recipe for landmark in prepared.space.landmarks()}
    assert {"base", "aligned", "expert", "uniform average"} <= prepared.encoded_landmarks.keys()
    for name, params in prepared.encoded_landmarks.items():
        assert prepared.recipe(params) == recipes[name]
    assert prepared.landmarks_outside == []


def test_landmarks_outside_the_bounds_are_told(prepare: Prepare) -> None:
    prepared = prepare(space={"weight": [0.2, 0.6]})
    assert {landmark.name for landmark in prepared.landmarks_outside} == {"base", "aligned", "expert"}
    assert "uniform average" in prepared.encoded_landmarks


def test_landmarks_may_be_left_out(prepare: Prepare) -> None:
    assert prepare(search={"landmarks": False}).plan().landmarks == {}


def test_the_plan_is_the_specifications(prepare: Prepare) -> None:
    prepared = prepare()
    plan = prepared.plan()
    assert (plan.budget, plan.landmarks) == (8, prepared.encoded_landmarks)
    assert dict(plan.distributions) == prepared.space.distributions()


@pytest.mark.parametrize(
    ("given", "n_gpus", "of_the_base", "expected"),
    [
        ("auto", 0, "bfloat16", "float32"),
        ("auto", 1, "bfloat16", "bfloat16"),
        ("auto", 1, "float16", "float16"),
        ("auto", 1, "float8", "bfloat16"),
        ("float16", 0, "bfloat16", "float16"),
        ("float32", 1, "bfloat16", "float32"),
    ],
)
def test_dtype(given: str, n_gpus: int, of_the_base: str, expected: str, prepare: Prepare, tmp_path: Path) -> None:
    base = copied("base", tmp_path)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"dtype": of_the_base}))
    changed = models(expert=FAMILY / "expert") | {"base": str(base)}
    prepared = prepare(models=changed, workers={"dtype": given, "gpus_per_worker": n_gpus})
    assert prepared.space.options.dtype == prepared.worker_setup().dtype == expected
    assert prepared.worker_setup().device == ("cuda" if n_gpus else "cpu")


def test_budget_sampler_workers_and_report_may_change(prepare: Prepare) -> None:
    other = prepare(
        search={"evaluations": 99, "sampler": "random", "landmarks": False},
        workers={"count": 7, "pool": "ray"},
        report={"refusal": {"set": str(FAMILY / "safety.jsonl"), "scorer": "refusal"}},
    )
    assert other.identity.fixed == prepare().identity.fixed


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"search": {"seed": 1}}, "search.seed"),
        ({"space": {"weight": [0, 1]}}, "space"),
        ({"workers": {"dtype": "bfloat16"}}, "workers.dtype"),
        (
            {"objectives": {"alignment": {"set": str(FAMILY / "safety.jsonl"), "scorer": "refusal"}}},
            "objectives.alignment",
        ),
    ],
)
def test_what_must_not_change(changes: dict[str, Any], key: str, prepare: Prepare) -> None:
    ours, theirs = prepare().identity.fixed, prepare(**changes).identity.fixed
    assert [name for name in ours if ours[name] != theirs[name]] == [key]


def test_a_set_is_known_by_its_content(prepare: Prepare, write_set: WriteSet) -> None:
    def digest(*rows: dict[str, str]) -> Any:
        given = {"alignment": {"set": write_set(*rows), "scorer": "refusal_margin"}}
        return prepare(objectives=given).identity.fixed["objectives.alignment"]

    assert digest(ROW) == digest(ROW | {"source": "elsewhere"})
    assert digest(ROW) == digest(ROW, ROW | {"prompt": "held out", "split": "holdout"})
    assert len({str(digest(row)) for row in (ROW, ROW | {"answer": "b"}, ROW | {"prompt": "p"})}) == 3


def test_how_a_judge_is_asked_is_no_part_of_the_search(prepare: Prepare, write_set: WriteSet) -> None:
    def fixed(**changes: Any) -> Any:
        judge = {"endpoint": "http://127.0.0.1:9/v1", "model": "judge"} | changes.pop("judge", {})
        options = {"judge": judge} | changes
        given = {"alignment": {"set": write_set(ROW), "scorer": "llm_judge", "options": options}}
        return prepare(objectives=given).identity.fixed["objectives.alignment"]

    assert fixed() == fixed(judge={"n_parallel": 9, "timeout_s": 9.0, "max_retries": 9}) == fixed(n_asked_again=5)
    assert fixed() != fixed(judge={"model": "another"})
    assert fixed() != fixed(rubric="Be brief.")


def test_a_model_is_known_by_its_content(prepare: Prepare, tmp_path: Path) -> None:
    moved = prepare(models=models(aligned=copied("aligned", tmp_path), expert=FAMILY / "expert")).identity.fixed
    swapped = prepare(models=models(aligned=FAMILY / "expert", expert=FAMILY / "expert")).identity.fixed
    ours = prepare().identity.fixed
    assert moved == ours
    assert [name for name in ours if ours[name] != swapped[name]] == ["models.aligned"]


def test_identity_is_json(prepare: Prepare) -> None:
    identity = prepare().identity
    for values in (identity.fixed, identity.specification):
        assert json.loads(json.dumps(values)) == values


def test_params_of_another_space_are_refused(prepare: Prepare) -> None:
    with pytest.raises(RecipeError, match="differ in nobody/nothing/weight"):
        prepare().recipe(prepare().encoded_landmarks["base"] | {"nobody/nothing/weight": 1.0})


def test_opens_the_pool_that_is_asked_for(prepare: Prepare) -> None:
    with prepare().open_pool() as pool:
        assert isinstance(pool, InProcessPool)


def test_file_digest(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_digest(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
