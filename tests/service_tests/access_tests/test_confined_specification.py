"""Everything in a specification that names a file, a server, a secret or code is confined."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import AccessError, SpecificationError, UserError
from service.access import confined_specification
from service.access.confined_specification import Reach, confine
from service.access.roots import Roots
from service.specification import Specification, check_specification, restore_specification
from service.specification.schema import FrontSection
from workers.scorers import SCORERS, ScorerOptions

FAMILY = Path(__file__).parents[3] / "service" / "demo" / "tiny_family"
ENDPOINT = "http://judge:8000/v1"
# Scorer → options that name a model by some path.
JUDGED: dict[str, Callable[[Any], dict[str, Any]]] = {
    "guard": lambda source: {"guard": {"llama_guard": source}},
    "classifier": lambda source: {"model": source},
    "compliance": lambda source: {"guard": {"classifier": source}},
    "llm_judge": lambda source: {"judge": source},
}

Measured = Callable[..., Specification]


@pytest.fixture(scope="module")
def reach() -> Reach:
    return Reach(Roots((FAMILY,), (FAMILY,)), (ENDPOINT,))


@pytest.fixture
def values() -> dict[str, Any]:
    return {
        "name": "confined",
        "models": {"base": "base", "experts": {"expert": "expert"}},
        "objectives": {"alignment": {"set": "safety.jsonl", "scorer": "refusal"}},
        "report": {"compliance": {"set": "benign.jsonl", "scorer": "compliance"}},
    }


@pytest.fixture
def measured(values: dict[str, Any]) -> Measured:
    """A specification whose objective has another scorer."""

    def measure(scorer: str, options: dict[str, Any], section: str = "objectives") -> Specification:
        values[section] = {"measure": {"set": "safety.jsonl", "scorer": scorer, "options": options}}
        return check_specification(json.dumps(values))

    return measure


def test_paths_become_absolute(values: dict[str, Any], reach: Reach) -> None:
    confined = confine(check_specification(json.dumps(values)), reach)
    assert confined.models.base == str(FAMILY / "base")
    assert confined.models.experts == {"expert": str(FAMILY / "expert")}
    assert confined.objectives["alignment"].set == str(FAMILY / "safety.jsonl")
    assert confined.report["compliance"].set == str(FAMILY / "benign.jsonl")


@pytest.mark.parametrize(
    "place", ["models.base", "models.experts.expert", "objectives.alignment.set", "report.compliance.set"]
)
def test_every_path_is_confined(values: dict[str, Any], reach: Reach, place: str) -> None:
    *parents, key = place.split(".")
    section = values
    for parent in parents:
        section = section[parent]
    section[key] = "/etc/passwd"
    with pytest.raises(AccessError, match=f"`{place}` must lie below a root"):
        confine(check_specification(json.dumps(values)), reach)


@pytest.fixture
def hub_reach() -> Reach:
    return Reach(Roots((FAMILY,), (FAMILY,)), hub_models=True)


def confined_model(values: dict[str, Any], model: object, reach: Reach) -> str:
    """An expert as it is stored, with `~` for the root."""
    values["models"]["experts"]["expert"] = model
    found = confine(check_specification(json.dumps(values)), reach).models.experts["expert"]
    assert isinstance(found, str)
    return found.replace(str(FAMILY), "~")


@pytest.mark.parametrize("model", ["org/name", "org/name@v1", "base+org/lora", {"adapter": "org/lora"}, "etc/ssl"])
def test_hub_ids_are_out_of_reach_unless_the_service_says_so(
    values: dict[str, Any], reach: Reach, hub_reach: Reach, model: object
) -> None:
    with pytest.raises(AccessError, match=r"`models\.experts\.expert(\.adapter)?` must be .* with `--hub-models` only"):
        confined_model(values, model, reach)
    text = model if isinstance(model, str) else "base+org/lora"
    assert confined_model(values, model, hub_reach) == text.replace("base+", "~/base+")


def test_a_hub_id_never_becomes_a_folder_that_is_called_so(values: dict[str, Any], hub_reach: Reach) -> None:
    values["models"]["base"] = "etc/ssl"
    confined = confine(check_specification(json.dumps(values)), hub_reach)
    restored = restore_specification(confined.model_dump(mode="json"))
    assert restored.models.base == "etc/ssl"
    assert Path("/etc/ssl").is_dir()


@pytest.mark.parametrize(
    ("model", "notation"),
    [
        ("base+expert", "~/base+~/expert"),
        ({"adapter": "expert"}, "~/base+~/expert"),
        ({"model": str(FAMILY / "aligned"), "adapter": "expert"}, "~/aligned+~/expert"),
    ],
)
def test_adapters_are_found_below_the_roots(values: dict[str, Any], reach: Reach, model: object, notation: str) -> None:
    assert confined_model(values, model, reach) == notation


@pytest.mark.parametrize("path", ["/etc", "../lora", "~/lora", "/proc/self/cwd", "base/../../lora", "C:/lora"])
@pytest.mark.parametrize("form", ["base+{}", "{}+expert", {"adapter": "{}"}, {"model": "{}", "adapter": "expert"}])
def test_no_part_of_a_model_leads_out_of_the_roots(
    values: dict[str, Any], hub_reach: Reach, form: str | dict[str, str], path: str
) -> None:
    model = form.format(path) if isinstance(form, str) else {key: text.format(path) for key, text in form.items()}
    with pytest.raises(AccessError, match=r"`models\.experts\.expert(\.adapter)?` must"):
        confined_model(values, model, hub_reach)


OUTSIDE = ("/etc", "../expert", "~/guard", {"model": "/etc"}, {"model": "/etc", "endpoint": ""})


@pytest.mark.parametrize(
    ("scorer", "source"),
    # A classifier is a folder alone.
    [(scorer, source) for scorer in JUDGED for source in OUTSIDE if scorer != "classifier" or isinstance(source, str)],
)
def test_models_of_options_are_confined(measured: Measured, reach: Reach, scorer: str, source: Any) -> None:
    with pytest.raises(AccessError, match=r"`objectives\.measure\.options\..* must"):
        confine(measured(scorer, JUDGED[scorer](source)), reach)


@pytest.mark.parametrize(
    ("scorer", "folder"), [("guard", "guard"), ("classifier", "classifier"), ("llm_judge", "guard")]
)
def test_models_of_options_are_found(measured: Measured, reach: Reach, scorer: str, folder: str) -> None:
    confined = confine(measured(scorer, JUDGED[scorer](folder)), reach).objectives["measure"].options
    assert f"'{FAMILY / folder}'" in str(confined)


def test_a_guard_without_a_model_is_kept(measured: Measured, reach: Reach) -> None:
    assert confine(measured("guard", {"guard": "openings"}), reach).objectives["measure"].options["guard"] == "openings"


@pytest.mark.parametrize("scorer", ["guard", "llm_judge"])
def test_known_endpoints_may_be_named(measured: Measured, reach: Reach, scorer: str) -> None:
    source = {"model": "judge", "endpoint": f"{ENDPOINT}/", "api_key_env": "JUDGE_API_KEY"}
    assert "JUDGE_API_KEY" in str(confine(measured(scorer, JUDGED[scorer](source)), reach).objectives)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"endpoint": "http://169.254.169.254/latest"}, "endpoint"),
        ({"endpoint": "http://judge:8000/v1@elsewhere"}, "endpoint"),
        ({"endpoint": "http://judge:8000/v1?x="}, "endpoint"),
        ({"endpoint": "file:///etc/passwd"}, "endpoint"),
        ({"api_key_env": "PARETOMERGE_TOKEN"}, "api_key_env"),
        ({"api_key_env": "PARETOMERGE_DATABASE_URL"}, "api_key_env"),
        ({"api_key_env": "_API_KEY"}, "api_key_env"),
        ({"api_key_env": "X_API_KEY\n"}, "api_key_env"),
        ({"api_key_env": "x_api_key"}, "api_key_env"),
        ({"n_parallel": 100_000}, "n_parallel"),
        ({"timeout_s": 1e9}, "timeout_s"),
        ({"max_retries": 10**9}, "max_retries"),
    ],
)
@pytest.mark.parametrize("scorer", ["guard", "llm_judge"])
@pytest.mark.parametrize("section", ["objectives", "report"])
def test_what_an_endpoint_may_not_be(
    measured: Measured, reach: Reach, scorer: str, section: str, change: dict[str, Any], hint: str
) -> None:
    source = {"model": "judge", "endpoint": ENDPOINT} | change
    with pytest.raises(UserError, match=rf"`{section}\.measure\.options\..*\.{hint}` must"):
        confine(measured(scorer, JUDGED[scorer](source), section), reach)


def test_replies_are_kept_where_the_service_keeps_them(measured: Measured, reach: Reach) -> None:
    with pytest.raises(AccessError, match=r"options\.cache` must be left out"):
        confine(measured("llm_judge", {"judge": "guard", "cache": "here"}), reach)


def test_tasks_that_run_python_are_refused(values: dict[str, Any], reach: Reach) -> None:
    options = {"tasks": ["mine"], "include_path": "tasks"}
    values["objectives"] = {"mine": {"scorer": "lm_eval", "options": options}}
    with pytest.raises(AccessError, match=r"`objectives\.mine\.options\.include_path` must be left out"):
        confine(check_specification(json.dumps(values)), reach)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"synthesis": {"generator": "base", "safety": {}}}, "`synthesis` must be left out.*paretomerge synthesize"),
        ({"workers": {"pool": "in_process"}}, "`workers.pool` must be ray"),
        ({"workers": {"address": "10.0.0.1:6379"}}, "`workers.address` must be left out"),
    ],
)
def test_what_the_service_does_not_do(values: dict[str, Any], reach: Reach, change: dict[str, Any], hint: str) -> None:
    with pytest.raises(SpecificationError, match=hint):
        confine(check_specification(json.dumps(values | change)), reach)


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_whose_options_name_files_is_confined(name: str) -> None:
    """A new scorer that names files is refused until it is confined here, too."""
    names_files = SCORERS[name].options_type.seen_from is not ScorerOptions.seen_from
    assert not names_files or name in confined_specification._CONFINED


def test_a_scorer_that_is_not_confined_is_refused(
    measured: Measured, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confined_specification, "_CONFINED", {})
    with pytest.raises(AccessError, match="it does not run 'classifier'"):
        confine(measured("classifier", {"model": "classifier"}), reach)


def test_options_without_files_are_kept(measured: Measured, reach: Reach) -> None:
    options = {"extract": "last_number", "max_new_tokens": 32}
    confined = confine(measured("exact_match", options), reach).objectives["measure"].options
    assert confined | options == confined


@pytest.fixture
def recipes(tmp_path: Path) -> Reach:
    """A root of recipes beside the family, with what is no recipe in it."""
    for name in ("mine.yaml", "secret.txt"):
        (tmp_path / name).write_text("merge_method: linear")
    (tmp_path / "out.yaml").symlink_to("/etc/passwd")
    return Reach(Roots((FAMILY, tmp_path), (FAMILY,)))


def test_recipes_to_start_from_are_found(values: dict[str, Any], recipes: Reach, tmp_path: Path) -> None:
    values["search"] = {"start": ["mine.yaml", {"front_of": "likelihoods"}]}
    confined = confine(check_specification(json.dumps(values)), recipes)
    assert confined.search.start == (str(tmp_path / "mine.yaml"), FrontSection(front_of="likelihoods"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("/etc/passwd", r"`search\.start\.0` must lie below a root"),
        ("../mine.yaml", r"`search\.start\.0` must be a path downwards"),
        ("out.yaml", r"`search\.start\.0` must lie below a root"),
        ("secret.txt", r"`search\.start\.0` must be a \.yaml or \.yml file"),
        ("base", r"`search\.start\.0` must be a \.yaml or \.yml file"),
        ("nowhere.yaml", r"`search\.start\.0` must be a mergekit file below .* none there"),
    ],
)
def test_recipes_to_start_from_are_confined(values: dict[str, Any], recipes: Reach, given: str, message: str) -> None:
    values["search"] = {"start": [given]}
    with pytest.raises(UserError, match=message):
        confine(check_specification(json.dumps(values)), recipes)
