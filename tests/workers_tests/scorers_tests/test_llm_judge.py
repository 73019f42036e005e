"""The judge's scorer: what it asks a real endpoint, what it makes of the replies, and what it asks only once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import CheckpointError, GenerationError, SpecificationError
from tests.openai_server import OpenAIServer
from workers.candidate_worker import CandidateWorker
from workers.example_set import Example, read_examples
from workers.inference_engines import GenerationOptions
from workers.scorers import SCORERS, read_options
from workers.scorers.llm_judge import HELPFUL_AND_CORRECT, LlmJudge, LlmJudgeOptions

MakeRecipe = Callable[..., MergeRecipe]
MakeJudge = Callable[..., LlmJudge]

CATS = Example("how do i wash a cat?", "slowly.")
DOGS = Example("how do i wash a dog?")


@pytest.fixture(scope="module", autouse=True)
def _aligned(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    worker.candidate.make(make_recipe("task_arithmetic", weight={"aligned": 1.0, "expert": 0.0}))


@pytest.fixture
def make_judge(worker: CandidateWorker, openai_server: OpenAIServer, tmp_path: Path) -> MakeJudge:
    """The scorer over some examples, with the test's server as judge; keywords are further options."""

    def make(*examples: Example, **options: Any) -> LlmJudge:
        judge = {"endpoint": openai_server.url, "model": "judge", "max_retries": 0} | options.pop("judge", {})
        given = {"cache": str(tmp_path / "replies"), "max_new_tokens": 12, **options}
        return LlmJudge(examples, worker.engine, LlmJudgeOptions(judge=judge, **given))

    return make


def reply(server: OpenAIServer, *replies: str) -> None:
    """The first question gets the first reply; the last one is given from then on."""
    server.answer = lambda messages, request: replies[min(len(server.requests), len(replies)) - 1]


@pytest.mark.parametrize(
    ("said", "score"), [("1", 0.0), ("10/10", 1.0), ('{"score": 4}', 1 / 3), ("Score: **5.5**", 0.5)]
)
def test_grades_become_scores_between_0_and_1(
    make_judge: MakeJudge, openai_server: OpenAIServer, said: str, score: float
) -> None:
    reply(openai_server, said)
    assert make_judge(CATS, DOGS).per_example() == pytest.approx([score, score])


def test_scores_are_in_the_order_of_the_examples(
    make_judge: MakeJudge, openai_server: OpenAIServer, family: Path
) -> None:
    examples = read_examples(family / "safety.jsonl")[:8]
    grades = {example.prompt: 1 + number for number, example in enumerate(examples)}
    openai_server.answer = lambda messages, request: str(grades[prompt_in(messages[0]["content"])])
    assert make_judge(*examples).per_example() == pytest.approx([number / 9 for number in range(8)])


def prompt_in(question: str) -> str:
    return question.partition("<prompt>\n")[2].partition("\n</prompt>")[0]


def test_the_judge_is_asked_greedily_about_the_greedy_answer(
    make_judge: MakeJudge, openai_server: OpenAIServer, worker: CandidateWorker
) -> None:
    reply(openai_server, "7")
    make_judge(CATS, max_reply_tokens=99).score()
    [request] = openai_server.requests
    [answer] = worker.engine.generate([CATS.prompt], GenerationOptions(max_new_tokens=12))
    assert request.json["temperature"] == 0
    assert request.json["max_tokens"] == 99
    for part in (HELPFUL_AND_CORRECT, f"<prompt>\n{CATS.prompt}\n", f"<answer>\n{answer}\n", "from 1 (worst) to 10"):
        assert part in request.prompt


def test_a_right_answer_is_shown_where_there_is_one(make_judge: MakeJudge, openai_server: OpenAIServer) -> None:
    reply(openai_server, "7")
    make_judge(CATS, DOGS, judge={"n_parallel": 1}).score()
    about_cats, about_dogs = (request.prompt for request in openai_server.requests)
    assert "<reference>\nslowly.\n</reference>" in about_cats
    assert "reference" not in about_dogs


def test_texts_with_braces_stay_as_they_are(make_judge: MakeJudge, openai_server: OpenAIServer) -> None:
    reply(openai_server, "7")
    make_judge(Example("print {x}", "{answer}"), rubric="  {rubric} {0}\n").score()
    for part in ("<rubric>\n{rubric} {0}\n</rubric>", "\nprint {x}\n", "\n{answer}\n"):
        assert part in openai_server.requests[0].prompt


def test_what_was_judged_once_is_not_judged_again(
    make_judge: MakeJudge, openai_server: OpenAIServer, worker: CandidateWorker
) -> None:
    reply(openai_server, "7", "4")
    first = make_judge(CATS, DOGS, judge={"n_parallel": 1})
    found = first.score()
    assert len(openai_server.requests) == 2
    assert first.score() == found
    assert make_judge(CATS, DOGS).score() == found  # another scorer, as another process would have
    assert make_judge(DOGS, CATS).per_example() == list(reversed(found.per_example))
    assert len(openai_server.requests) == 2


@pytest.mark.parametrize("change", [{"rubric": "10: short."}, {"judge": {"model": "other"}}, {"max_reply_tokens": 9}])
def test_another_rubric_or_judge_judges_anew(
    make_judge: MakeJudge, openai_server: OpenAIServer, change: dict[str, Any]
) -> None:
    reply(openai_server, "7", "4")
    make_judge(CATS).score()
    assert make_judge(CATS, **change).per_example() == pytest.approx([1 / 3])
    assert len(openai_server.requests) == 2


def test_how_an_endpoint_is_asked_changes_no_reply(make_judge: MakeJudge, openai_server: OpenAIServer) -> None:
    reply(openai_server, "7")
    make_judge(CATS).score()
    make_judge(CATS, judge={"n_parallel": 1, "timeout_s": 5.0}, n_asked_again=0).score()
    assert len(openai_server.requests) == 1


def test_the_same_example_twice_is_asked_once(make_judge: MakeJudge, openai_server: OpenAIServer) -> None:
    reply(openai_server, "7", "4")
    assert make_judge(CATS, CATS, CATS).per_example() == pytest.approx([2 / 3] * 3)
    assert len(openai_server.requests) == 1


def test_an_unreadable_reply_is_asked_for_again_by_chance(make_judge: MakeJudge, openai_server: OpenAIServer) -> None:
    reply(openai_server, "hm", "hm, hm", "7")
    assert make_judge(CATS).per_example() == pytest.approx([2 / 3])
    sent = [(request.json["temperature"] > 0, request.json["seed"]) for request in openai_server.requests]
    assert sent == [(False, 0), (True, 1), (True, 2)]
    make_judge(CATS).score()
    assert len(openai_server.requests) == 3


def only_of_cats(messages: list[dict[str, str]], request: dict[str, Any]) -> str:
    return "7" if prompt_in(messages[0]["content"]) == CATS.prompt else "I cannot\njudge this."


def test_replies_that_stay_unreadable_are_an_error_and_the_others_are_kept(
    make_judge: MakeJudge, openai_server: OpenAIServer
) -> None:
    openai_server.answer = only_of_cats
    told = "from 1 to 10, but 1 of 2 replies could not be read, asked 2 times; one says: 'I cannot judge this.'"
    with pytest.raises(GenerationError, match=re.escape(told)):
        make_judge(CATS, DOGS, n_asked_again=1).score()
    assert len(openai_server.requests) == 3
    reply(openai_server, "7")
    make_judge(CATS, DOGS).score()
    assert [prompt_in(request.prompt) for request in openai_server.requests[3:]] == [DOGS.prompt]


def test_what_was_judged_before_the_endpoint_failed_is_kept(
    make_judge: MakeJudge, openai_server: OpenAIServer, family: Path
) -> None:
    examples = read_examples(family / "safety.jsonl")[:40]
    openai_server.answer = lambda messages, request: (
        "7" if len(openai_server.requests) <= 32 else openai_server.failure(500)
    )
    with pytest.raises(GenerationError, match="Nothing is lost: run the same again"):
        make_judge(*examples, judge={"n_parallel": 1}).score()
    openai_server.requests.clear()
    reply(openai_server, "7")
    assert make_judge(*examples).score().value == pytest.approx(2 / 3)
    assert len(openai_server.requests) == 40 - 32


def test_a_folder_may_judge(worker: CandidateWorker, models: dict[str, str], tmp_path: Path) -> None:
    options = LlmJudgeOptions(judge=models["base"], cache=str(tmp_path), max_new_tokens=4, max_reply_tokens=4)
    # A model so small grades nothing, but it replies.
    with pytest.raises(GenerationError, match=r"The judge .*/base must reply .* 1 of 1 replies .* asked 3 times"):
        LlmJudge([CATS], worker.engine, options).score()


def test_a_folder_without_a_model_is_refused_at_once(worker: CandidateWorker, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json"):
        LlmJudge([CATS], worker.engine, LlmJudgeOptions(judge=str(tmp_path)))


def test_replies_are_kept_where_the_environment_says(
    make_judge: MakeJudge, openai_server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETOMERGE_CACHE_DIR", str(tmp_path / "mine"))
    reply(openai_server, '{"score": 7}')
    make_judge(CATS, cache="").score()
    [path] = (tmp_path / "mine" / "judge").rglob("*.json")
    assert json.loads(path.read_text()) == {"replies": ['{"score": 7}']}


ENDPOINT = {"endpoint": "http://localhost:8000/v1", "model": "judge"}


@pytest.mark.parametrize("judge", ["models/judge", ENDPOINT, {"model": "models/judge"}])
def test_options_are_the_same_after_json(judge: Any, tmp_path: Path) -> None:
    given = {"judge": judge, "rubric": "10: short.", "cache": "replies"}
    options = read_options(SCORERS["llm_judge"], given, "options").seen_from(tmp_path)
    assert isinstance(options, LlmJudgeOptions)
    stored = json.loads(json.dumps(asdict(options)))
    assert read_options(SCORERS["llm_judge"], stored, "options") == options
    assert options.seen_from(Path("/elsewhere")) == options
    assert options.cache == str(tmp_path / "replies")
    assert options.source.model == ("judge" if judge is ENDPOINT else str(tmp_path / "models" / "judge"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "`options.judge` of the scorer 'llm_judge': must be given"),
        ({"judge": 3}, "`judge` must be the folder of a model, or a mapping"),
        ({"judge": {"endpoint": "http://localhost/v1"}}, "`judge.model`: field required"),
        ({"judge": {**ENDPOINT, "key": "sk"}}, "`judge.key`: unexpected keyword argument"),
        ({"judge": ENDPOINT, "rubric": " "}, "`rubric` must say what is graded by"),
        ({"judge": ENDPOINT, "max_new_tokens": 0}, "`max_new_tokens` must be at least 1, but got 0"),
        ({"judge": ENDPOINT, "n_asked_again": -1}, "`n_asked_again` must be at least 0, but got -1"),
        ({"judge": ENDPOINT, "model": "judge"}, "`options.model` is not an option of the scorer 'llm_judge'"),
    ],
)
def test_impossible_options_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecificationError, match=re.escape(said)):
        read_options(SCORERS["llm_judge"], given, "options")
