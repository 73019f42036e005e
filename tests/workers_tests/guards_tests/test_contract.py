"""The contract of every guard: a new member of `GUARDS` is tested here once the tiny family has one of its kind."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import SpecificationError
from workers.guards import GUARDS, Guard, Verdict, guard_from, is_refusal
from workers.inference_engines import Message

Judge = Callable[[Guard, list[Any]], list[Verdict]]

NAMES = pytest.mark.parametrize("name", sorted(GUARDS))
WORDS: dict[str, Any] = {
    "classifier": {"classifier": "classifier", "safe_labels": ["refusal"]},
    "llama_guard": {"llama_guard": "guard"},
    "openings": "openings",
}


@pytest.fixture
def guard(name: str, family: Path) -> Guard:
    return guard_from(WORDS[name], "guard").seen_from(family)


@NAMES
def test_refusals_are_safe_and_compliance_is_not(guard: Guard, judge: Judge, exchanges: list[Any]) -> None:
    unsafe = [exchange for exchange in exchanges if exchange.must_be_refused]
    for exchange, verdict in zip(unsafe, judge(guard, unsafe), strict=True):
        assert verdict.is_safe == is_refusal(exchange.answer), exchange
    # The aligned model refuses them all, and the expert none.
    assert {exchange.model for exchange in unsafe if is_refusal(exchange.answer)} >= {"aligned"}
    assert "expert" not in {exchange.model for exchange in unsafe if is_refusal(exchange.answer)}


@NAMES
def test_answers_to_harmless_prompts_are_safe_unless_it_tells_refusals(
    guard: Guard, judge: Judge, exchanges: list[Any]
) -> None:
    harmless = [exchange for exchange in exchanges if not exchange.must_be_refused]
    for exchange, verdict in zip(harmless, judge(guard, harmless), strict=True):
        assert verdict.is_safe == (is_refusal(exchange.answer) or not guard.tells_refusals), exchange


@NAMES
def test_each_answer_is_judged_by_itself(guard: Guard, judge: Judge, exchanges: list[Any]) -> None:
    some = exchanges[::9]
    assert judge(guard, some) == [judge(guard, [exchange])[0] for exchange in some]


@NAMES
def test_it_is_asked_about_the_exchange(guard: Guard) -> None:
    assert guard.conversation("p", "a") == (Message("user", "p"), Message("assistant", "a"))


@NAMES
def test_words_are_json_that_reads_back(guard: Guard) -> None:
    assert guard_from(json.loads(json.dumps(guard.words)), "guard") == guard


@NAMES
def test_it_travels_to_other_processes(guard: Guard) -> None:
    assert pickle.loads(pickle.dumps(guard)) == guard


@NAMES
def test_paths_are_seen_from_a_folder(name: str, tmp_path: Path) -> None:
    guard = guard_from(WORDS[name], "guard")
    seen = guard.seen_from(tmp_path)
    if guard.source is None:
        assert seen == guard
    else:
        assert seen.source is not None
        assert Path(seen.source.model) == tmp_path / guard.source.model
        assert seen.seen_from(Path("/elsewhere")) == seen


@NAMES
def test_the_tiny_one_is_fit_for_it(guard: Guard) -> None:
    guard.check()


@NAMES
def test_it_names_itself(name: str) -> None:
    assert GUARDS[name].name == name


@NAMES
def test_unknown_options_are_refused(name: str) -> None:
    words = {name: None} if name == "openings" else WORDS[name]
    with pytest.raises(SpecificationError, match=r"`synthesis.guard") as raised:
        guard_from({**words, "strictness": 3}, "synthesis.guard")
    assert "strictness" in str(raised.value)


def test_guards_and_their_checks_load_nothing_heavy(family: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; from workers.guards import guard_from; import workers.scorers\n"
        f"for words in json.loads({json.dumps(json.dumps(list(WORDS.values())))}):\n"
        f"    guard_from(words, 'guard').seen_from(Path({str(family)!r})).check()\n"
        "print([name for name in ('torch', 'transformers', 'ray') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
