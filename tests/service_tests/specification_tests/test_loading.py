"""Specifications, good and bad: every mistake is told in the words of the file."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_spaces.errors import SpecificationError
from service.demo import demo_specification
from service.specification import Specification, check_specification, load_specification, parse_specification

GOOD = """\
name: llama3-biomed
models:
  base: ./models/base
  experts:
    chat: ../chat
    medical: /models/medical
space:
  method: dare_ties
  granularity: blocks:4
  weight: [0, 1.5]
  density: 0.5
  bounds:
    - {expert: medical, filter: "block.?", weight: [0.2, 0.8]}
objectives:
  alignment: {set: safety.jsonl, scorer: refusal_margin}
  expertise: {set: medical.jsonl, scorer: answer_likelihood}
report:
  refusal: {set: safety.jsonl, scorer: refusal}
search: {sampler: nsga2, evaluations: 300, seed: 7}
workers: {count: 4, gpus_per_worker: 1, dtype: bfloat16, timeout_s: 60}
"""
MODEL = "be a folder, a hub id, or a mapping of `model`, `revision`, `adapter` and `adapter_revision`"
LEAST = """\
name: least
models: {base: base, experts: {expert: expert}}
objectives: {alignment: {set: s.jsonl, scorer: refusal}}
"""


def parse(text: str) -> Specification:
    return parse_specification(text, Path("/searches"))


def with_added(section: str) -> str:
    """The least specification with sections added or replaced."""
    return yaml.safe_dump(yaml.safe_load(LEAST) | yaml.safe_load(section))


def test_says_what_the_file_says() -> None:
    specification = parse(GOOD)
    assert specification.name == "llama3-biomed"
    assert specification.space.weight == (0.0, 1.5)
    assert specification.space.density == 0.5
    assert specification.space.bounds[0].model_dump(exclude_none=True) == {
        "expert": "medical",
        "filter": "block.?",
        "weight": (0.2, 0.8),
    }
    assert list(specification.objectives) == ["alignment", "expertise"]
    assert specification.report["refusal"].scorer == "refusal"
    assert (specification.search.evaluations, specification.search.seed) == (300, 7)
    assert (specification.workers.timeout_s, specification.workers.gpus_per_worker) == (60.0, 1.0)


def test_defaults() -> None:
    specification = parse(LEAST)
    assert specification.space.model_dump(exclude_none=True) == {
        "method": "task_arithmetic",
        "granularity": "layer",
        "task_vectors": True,
        "bounds": (),
    }
    search = {"sampler": "auto", "evaluations": 100, "seed": 0, "landmarks": True, "racing": False, "start": ()}
    search["gradient_share"] = 1.0
    assert specification.search.model_dump() == search
    assert specification.workers.model_dump(exclude_none=True) == {
        "engine": "transformers",
        "pool": "ray",
        "count": 1,
        "address": "local",
        "cpus_per_worker": 1.0,
        "gpus_per_worker": 0.0,
        "dtype": "auto",
        "max_batch_tokens": 4096,
        "tensor_parallel": 1,
        "cache_gib": 4,
        "checkpoint_activations": False,
    }
    assert specification.report == {}


def test_paths_are_seen_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "searches"
    folder.mkdir()
    (folder / "spec.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    specification = load_specification("searches/spec.yaml")
    assert Path(specification.models.notations["base"]) == folder / "models/base"
    assert Path(specification.models.notations["chat"]).resolve() == tmp_path / "chat"
    assert specification.models.experts["medical"] == "/models/medical"
    assert specification.objectives["alignment"].set == str(folder / "safety.jsonl")
    assert specification.report["refusal"].set == str(folder / "safety.jsonl")


def test_survives_json() -> None:
    specification = parse(GOOD)
    assert parse_specification(specification.model_dump_json(), Path("/elsewhere")) == specification


def test_the_demonstration_is_one() -> None:
    assert parse(demo_specification("demo", 240, 2)).search.evaluations == 240


def test_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="Instance is frozen"):
        parse(LEAST).search.seed = 1


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("serch: {}", "`serch` is not a key of a specification; known there: .*Did you mean `search`?"),
        ("zzz: {}", "`zzz` is not a key of a specification; known there: models, name, .*, workers."),
        (
            "objectives: {alignment: {set: s, scorer: x, scorrer: y}}",
            "`objectives.alignment.scorrer` is not a key .*known there: options, scorer, set. Did you mean `scorer`?",
        ),
        (
            "search: {start: [{front_of: x, n: 3}]}",
            "`search.start.0.n` is not a key of a specification; known there: front_of.",
        ),
        (
            "report: {r: {set: s, scorer: x, sets: y}}",
            "`report.r.sets` is not a key .*known there: options, scorer, set. Did you mean `set`?",
        ),
        ("models: {base: b, experts: {e: x}, bass: b}", "`models.bass` is not a key .*Did you mean `base`?"),
        (
            "space: {bounds: [{weight: 1}, {wieght: 1}]}",
            "`space.bounds.1.wieght` is not a key .*known there: alpha, density, .*, weight. .*`weight`?",
        ),
        ("workers: {gpus: 1}", "`workers.gpus` is not a key of a specification; known there: address, cache_gib, .*"),
    ],
)
def test_unknown_key(section: str, message: str) -> None:
    with pytest.raises(SpecificationError, match=f"^{message.replace('?', '[?]')}$"):
        parse(with_added(section))


BOUNDS = "must be a finite number or a pair of them, [low, high], but got"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('space: {weight: "1"}', f'`space.weight` {BOUNDS} "1".'),
        ('space: {weight: ["0", 1]}', f'`space.weight` {BOUNDS} ["0", 1].'),
        ("space: {weight: [1]}", f"`space.weight` {BOUNDS} [1]."),
        ("space: {weight: [0, 1, 2]}", f"`space.weight` {BOUNDS} [0, 1, 2]."),
        ("space: {weight: true}", f"`space.weight` {BOUNDS} true."),
        ("space: {weight: .nan}", f"`space.weight` {BOUNDS} NaN."),
        ("space: {density: [0, .inf]}", f"`space.density` {BOUNDS} [0, Infinity]."),
        ("space: {bounds: [{t: -.inf}]}", f"`space.bounds.0.t` {BOUNDS} -Infinity."),
        ("space: {bounds: {weight: 1}}", '`space.bounds` must be a list, but got {"weight": 1}.'),
        ("search: {start: [3]}", "`search.start.0` must be a mergekit file, or a mapping with `front_of`, but got 3."),
        ("search: {start: [{front_of: 3}]}", "`search.start.0.front_of` must be text, but got 3."),
        ("search: {start: [a, {}]}", "`search.start.1.front_of` must be given, but is missing."),
        ('space: {normalize: "yes"}', '`space.normalize` must be true or false, but got "yes".'),
        ("space: []", "`space` must be a mapping of keys, but got []."),
        ("search: {evaluations: '10'}", '`search.evaluations` must be a whole number, but got "10".'),
        ("search: {evaluations: 10.5}", "`search.evaluations` must be a whole number, but got 10.5."),
        ("search: {evaluations: 0}", "`search.evaluations` must be greater than or equal to 1, but got 0."),
        ("search: {seed: -1}", "`search.seed` must be greater than or equal to 0, but got -1."),
        ("search: {seed: .nan}", "`search.seed` must be a whole number, but got NaN."),
        ("search: {landmarks: 1}", "`search.landmarks` must be true or false, but got 1."),
        ("workers: {count: true}", "`workers.count` must be a whole number, but got true."),
        ("workers: {timeout_s: 0}", "`workers.timeout_s` must be greater than 0, but got 0."),
        ("workers: {cpus_per_worker: .inf}", "`workers.cpus_per_worker` must be a finite number, but got Infinity."),
        (
            "workers: {dtype: float64}",
            "`workers.dtype` must be 'auto', 'float32', 'bfloat16' or 'float16', but got \"float64\".",
        ),
        ("name: 12", "`name` must be text, but got 12."),
        ("name: a/b", '`name` must be a name of letters, digits, `.`, `_` and `-`, 100 at most, but got "a/b".'),
        ("name: ''", '`name` must be a name of letters, digits, `.`, `_` and `-`, 100 at most, but got "".'),
        ("objectives: {}", "`objectives` must hold at least one entry, but got {}."),
        ("objectives: {a: s.jsonl}", '`objectives.a` must be a mapping of keys, but got "s.jsonl".'),
        ("objectives: {a: {set: '', scorer: x}}", '`objectives.a.set` must be text, but got "".'),
        ("objectives: {a: {set: s}}", "`objectives.a.scorer` must be given, but is missing."),
        (
            "objectives: {a/b: {set: s, scorer: x}}",
            '`objectives.a/b` must be a name of letters, digits, `.`, `_` and `-`, 100 at most, but got "a/b".',
        ),
        ("models: {base: b, experts: {}}", "`models.experts` must hold at least one entry, but got {}."),
        ("models: {base: b}", "`models.experts` must be given, but is missing."),
        ("models: {base: b, experts: [a]}", '`models.experts` must be a mapping of keys, but got ["a"].'),
        (
            "models: {base: b, experts: {base: x}}",
            "`models.experts`: no expert may be called 'base': that is the base model's name.",
        ),
        ("models: {base: 1, experts: {e: x}}", f"`models.base` must {MODEL}, but got 1."),
        ("models: {base: b, experts: {e: [x]}}", f'`models.experts.e` must {MODEL}, but got ["x"].'),
        (
            "models: {base: {adapter: ./lora}, experts: {e: x}}",
            "`models.base`: the base must have a `model`, to which an adapter may be added.",
        ),
        (
            "models: {base: b, experts: {e: {revision: main}}}",
            "`models.experts.e`: a model must be named by `model`, by `adapter`, or by both.",
        ),
        (
            "models: {base: b, experts: {e: {adapter: ./lora, revision: main}}}",
            "`models.experts.e`: `revision` is of `model`, which is missing; an adapter's is `adapter_revision`.",
        ),
        (
            "models: {base: b, experts: {e: {model: x, adapter_revision: main}}}",
            "`models.experts.e`: `adapter_revision` is of `adapter`, which is missing.",
        ),
        (
            "models: {base: b, experts: {e: {model: x, adaptor: y}}}",
            "`models.experts.e.adaptor` is not a key of a specification; known there: adapter, adapter_revision, "
            "model, revision. Did you mean `adapter`?",
        ),
        (
            "models: {base: b, experts: {e: {model: ./x, revision: main}}}",
            "`models.experts.e`: Only a hub id has revisions, but './x' is none and got 'main'.",
        ),
        (
            "models: {base: {model: b, adapter: one}, experts: {e: {adapter: two}}}",
            "`models.experts.e`: A model with an adapter must be named without `+`, which stands between the two, but "
            "got 'b+one' and 'two'. Name the folders otherwise, or link to them.",
        ),
        (
            "models: {base: b, experts: {e: x}, tokenizer: f}",
            "`models.tokenizer`: it must be one of base, union, e, but got 'f'.",
        ),
        (
            "report: {alignment: {set: s, scorer: x}}",
            "`report`: a measure is either an objective or a report, but 'alignment' is both.",
        ),
    ],
)
def test_impossible_value(section: str, message: str) -> None:
    with pytest.raises(SpecificationError, match=f"^{re.escape(message)}$"):
        parse(with_added(section))


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(SpecificationError, match=r'^`space.weight` must be .*, but got "xxxx.*x\.\.\.\.$') as caught:
        parse(with_added(f"space: {{weight: {'x' * 500}}}"))
    assert len(str(caught.value)) < 150


def test_every_mistake_has_its_line() -> None:
    with pytest.raises(
        SpecificationError, match=r"`models` must.*\n`space.weight`.*\n`search.seed`.*\n`serch`"
    ) as caught:
        parse("name: x\nobjectives: {a: {set: s, scorer: x}}\nsearch: {seed: '1'}\nserch: 1\nspace: {weight: a}")
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "A specification must be a mapping of keys, but is NoneType."),
        ("# nothing yet", "A specification must be a mapping of keys, but is NoneType."),
        ("- name: x", "A specification must be a mapping of keys, but is list."),
        ("some text", "A specification must be a mapping of keys, but is str."),
        # libyaml and PyYAML's own parser use other words, and see the end of the text in other places.
        ("name: [", "must be YAML, but this cannot be parsed: .* in line [12], column [18]."),
        ("name: x\n\tmodels: y", "cannot be parsed: found .* in line 2, column [12]."),
        ("name: x\x00", "must be YAML, but this cannot be parsed: .*"),
        ("name: !!python/object:os.system x", "must do without tags, but line 1 has .*python/object:os.system'. .*"),
        ("name: !!timestamp x", "must do without tags, but line 1 has .*timestamp'. .*"),
        ("2024-01-01: x", "must hold what JSON can say, but: keys must be str.*"),
        ("name: &a [*a]", r"`\*a` must name an anchor that was given and closed before, but in line 1 it does not."),
        ("name: *a", r"`\*a` must name an anchor that was given and closed before, but in line 1 it does not."),
        ("name: " + "9" * 5000, "must hold numbers and dates that can be, but: .*4300 digits.*"),
        ("name: 2024-13-01", "must hold numbers and dates that can be, but: month must be in 1..12."),
        ("name: " + ":".join(["1"] * 3000) + ".5", "must hold numbers and dates that can be, but: .*"),
        ("[" * 100_000, "must go at most 32 levels deep, but this goes deeper."),
        ("- " * 50_000, "must go at most 32 levels deep, but this goes deeper."),
        ("a: [" + "1," * 60_000 + "]", "must hold at most 50,000 values, .*"),
        ("a" * 1_000_001, "must have at most 1,000,000 characters, but has 1,000,001."),
        ('name: "a\\0"', r"must hold plain text, but holds the character '\\x00'."),
    ],
)
def test_no_specification_at_all(text: str, message: str) -> None:
    with pytest.raises(SpecificationError, match=f"{message}$") as caught:
        parse(text)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"readable YAML file, but '.*nothing.yaml' is not: .*No such file"):
        load_specification(tmp_path / "nothing.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"readable YAML file.*Is a directory"):
        load_specification(tmp_path)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecificationError, match=r"readable YAML file.*can't decode"):
        load_specification(tmp_path / "spec.yaml")


# ---- what only a program or an enemy writes ----


def test_anchors_that_multiply_are_not_followed() -> None:
    """A thousand million values in three hundred characters."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(10))}]" for before, name in pairwise("abcdefghi")
    ]
    with pytest.raises(SpecificationError, match="at most 50,000 values, anchors followed"):
        parse("\n".join(lines))


def test_anchors_and_merged_keys_are_taken(tmp_path: Path) -> None:
    text = """
    name: x
    models: {base: base, experts: {math: math}}
    objectives:
      first: &first {set: set.jsonl, scorer: refusal}
      second: {<<: *first, scorer: compliance}
    """
    measures = parse_specification(text, tmp_path).objectives
    assert measures["second"].set == measures["first"].set == str(tmp_path / "set.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nname: y", "`name` is given twice, in line 2 again: leave one out."),
        ("search:\n  seed: 1\n  seed: 1", "`search.seed` is given twice, in line 3 again: leave one out."),
        ("space: {bounds: [{t: 1}, {t: 1, 't': 2}]}", "`space.bounds.1.t` is given twice, in line 1 again: .*"),
    ],
)
def test_a_key_is_given_once(text: str, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "x", "name": "y"}', "`name` is given twice: leave one out."),
        ('{"name": NaN}', "must hold finite numbers, but got NaN."),
        ('{"name": ' + "9" * 5000 + "}", "numbers of at most 4,300 digits."),
        ("[" * 100_000, "must go at most 32 levels deep, but this goes deeper."),
        ("[" * 40 + "]" * 40, "must go at most 32 levels deep, but this goes deeper."),
        ('{"name": "\\ud800"}', "must hold plain text"),
        ("name: x", "must be JSON, but this cannot be parsed: "),
        ("", "must be JSON, but this cannot be parsed: "),
    ],
)
def test_json_alone(text: str, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        check_specification(text, is_json=True)


def test_numbers_in_options_are_finite() -> None:
    judge = {"model": "m", "endpoint": "http://localhost/v1", "timeout_s": float("inf")}
    values = yaml.safe_load(LEAST) | {
        "objectives": {"a": {"set": "s", "scorer": "llm_judge", "options": {"judge": judge}}}
    }
    with pytest.raises(SpecificationError, match=r"`objectives.a.options.judge.timeout_s` must be a finite number"):
        parse(yaml.safe_dump(values))


@pytest.mark.parametrize(
    ("section", "hint"),
    [
        ({"search": {"evaluations": 10**9}}, "`search.evaluations` must be less than"),
        ({"search": {"seed": 10**400}}, "`search.seed` must be less than"),
        ({"workers": {"count": 10**5}}, "`workers.count` must be less than"),
        ({"space": {"bounds": [{}] * 1001}}, "`space.bounds` must hold fewer entries"),
        ({"models": {"base": "b", "experts": {f"e{i}": "m" for i in range(101)}}}, "must hold fewer entries"),
    ],
)
def test_sizes_have_limits(section: dict[str, Any], hint: str) -> None:
    with pytest.raises(SpecificationError, match=hint):
        parse(yaml.safe_dump(yaml.safe_load(LEAST) | section))
