"""The engine over an endpoint, against a real one that misbehaves on demand."""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from search_spaces.errors import GenerationError
from tests.openai_server import Answer, OpenAIServer
from workers.inference_engines import GenerationOptions, Message, ModelSource
from workers.inference_engines.openai_engine import OpenAIEngine
from workers.inference_engines.opening import open_generator

MakeEngine = Callable[..., OpenAIEngine]

KEY_VARIABLE = "PARETOMERGE_TEST_KEY"
KEY = "sk-do-not-tell-0123456789"
GREEDY = GenerationOptions(max_new_tokens=7)
SAMPLED = GenerationOptions(max_new_tokens=7, temperature=0.9, seed=3)


@pytest.fixture
def make_engine(openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> MakeEngine:
    """An engine over the test's server; keywords replace fields of its source."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)

    def make(**changes: Any) -> OpenAIEngine:
        fields: dict[str, Any] = {
            "endpoint": openai_server.url,
            "api_key_env": KEY_VARIABLE,
            "max_retries": 2,
            "timeout_s": 20.0,
        }
        return OpenAIEngine(ModelSource("some-model", **(fields | changes)))

    return make


def answer_in_turn(server: OpenAIServer, *answers: Answer) -> None:
    """The first request gets the first answer; the last one is given from then on."""
    coming = itertools.chain(answers, itertools.repeat(answers[-1]))
    server.answer = lambda messages, request: next(coming)


def refusal_of(engine: OpenAIEngine) -> str:
    """What it says when it gets no answer."""
    with pytest.raises(GenerationError, match=r"The endpoint http://127\.0\.0\.1") as caught:
        engine.generate(["hello"], GREEDY)
    return str(caught.value)


def test_a_source_with_an_endpoint_opens_it(openai_server: OpenAIServer) -> None:
    engine = open_generator(ModelSource("some-model", openai_server.url))
    assert isinstance(engine, OpenAIEngine)
    assert engine.generate(["hello"], GREEDY) == ["an answer"]


def test_answers_keep_the_order_of_the_prompts(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    prompts = [f"question {i}" for i in range(12)]

    def answer(messages: list[dict[str, str]], request: dict[str, Any]) -> str:
        time.sleep(0.02 * (int(messages[0]["content"].split()[1]) % 3))  # later ones overtake
        return f"to {messages[0]['content']}"

    openai_server.answer = answer
    assert make_engine(n_parallel=5).generate(prompts, GREEDY) == [f"to {prompt}" for prompt in prompts]


@pytest.mark.parametrize("n_parallel", [1, 3])
def test_as_many_requests_at_once_as_allowed(
    make_engine: MakeEngine, openai_server: OpenAIServer, n_parallel: int
) -> None:
    # Each request waits for as many others: with fewer at a time the barrier would break.
    together = threading.Barrier(n_parallel)
    under_way: list[int] = []
    most: list[int] = []

    def answer(messages: list[dict[str, str]], request: dict[str, Any]) -> str:
        under_way.append(1)
        together.wait(timeout=10)
        most.append(len(under_way))
        under_way.pop()
        return "yes"

    openai_server.answer = answer
    assert make_engine(n_parallel=n_parallel).generate(["hello"] * 6, GREEDY) == ["yes"] * 6
    assert max(most) <= n_parallel


def test_no_prompts_no_requests(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    assert make_engine().generate([], GREEDY) == []
    assert not openai_server.requests


def test_options_and_conversations_are_passed_on(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    conversation = (Message("system", "be brief"), Message("user", "hello"))
    make_engine().generate([conversation], GenerationOptions(7, temperature=0.9, seed=3, stop=("\n", "END")))
    [request] = openai_server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json == {
        "model": "some-model",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        "max_tokens": 7,
        "temperature": 0.9,
        "seed": 3,
        "stop": ["\n", "END"],
    }


def test_without_stops_none_are_sent(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    make_engine().generate(["hello"], GREEDY)
    assert "stop" not in openai_server.requests[0].json


def seeds_of(server: OpenAIServer, engine: OpenAIEngine, options: GenerationOptions) -> list[int]:
    server.requests.clear()
    engine.generate(["twice", "once", "twice"], options)
    return sorted(request.json["seed"] for request in server.requests)


def test_a_repeated_prompt_is_sampled_anew(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    engine = make_engine()
    seeds = seeds_of(openai_server, engine, SAMPLED)
    assert seeds[:2] == [3, 3]
    assert seeds[2] > 3
    assert seeds_of(openai_server, engine, SAMPLED) == seeds
    assert seeds_of(openai_server, engine, GREEDY) == [0, 0, 0]


def test_no_content_is_an_empty_answer(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    answer_in_turn(openai_server, None)
    assert make_engine().generate(["hello"], GREEDY) == [""]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_passes_is_tried_again(make_engine: MakeEngine, openai_server: OpenAIServer, status: int) -> None:
    failure = openai_server.failure(status)
    answer_in_turn(openai_server, failure, failure, "at last")
    assert make_engine().generate(["hello"], GREEDY) == ["at last"]
    assert len(openai_server.requests) == 3


def test_a_rate_limit_is_waited_out_as_long_as_it_says(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    answer_in_turn(openai_server, openai_server.failure(429, pause_s=0.9), "at last")
    started = time.monotonic()
    assert make_engine().generate(["hello"], GREEDY) == ["at last"]
    assert time.monotonic() - started >= 0.9  # the client's own first pause is at most half a second


def test_a_failing_server_is_given_up_on(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    answer_in_turn(openai_server, openai_server.failure(500, "the model fell over"))
    message = refusal_of(make_engine())
    assert len(openai_server.requests) == 3
    assert re.search("tried 3 times: status 500, the model fell over. Nothing is lost: run the same again", message)
    assert openai_server.url in message
    assert "'some-model'" in message


def test_what_waits_is_not_sent_after_a_failure(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    answer_in_turn(openai_server, openai_server.failure(500))
    with pytest.raises(GenerationError, match="tried once: status 500"):
        make_engine(n_parallel=1, max_retries=0).generate(["hello"] * 50, GREEDY)
    assert len(openai_server.requests) < 10


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, f"variable `{KEY_VARIABLE}`, which is set, but to none that it takes"),
        (403, f"variable `{KEY_VARIABLE}`, which is set, but to none that it takes"),
        (404, "Check that it has a `model` of this name"),
        (400, "It will not answer until what it names is changed"),
    ],
)
def test_what_does_not_pass_is_not_tried_again(
    make_engine: MakeEngine, openai_server: OpenAIServer, status: int, said: str
) -> None:
    answer_in_turn(openai_server, openai_server.failure(status, "no, because"))
    message = refusal_of(make_engine())
    assert f"tried once: status {status}, no, because. " in message
    assert said in message
    assert len(openai_server.requests) == 1


def test_a_lost_connection_is_tried_again(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    def answer(messages: list[dict[str, str]], request: dict[str, Any]) -> str:
        if len(openai_server.requests) == 1:
            raise ConnectionAbortedError
        return "at last"

    openai_server.answer = answer
    assert make_engine(max_retries=1).generate(["hello"], GREEDY) == ["at last"]


def test_a_torn_response_is_given_up_on(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    answer_in_turn(openai_server, (200, {"Content-Length": "1000", "Connection": "close"}, '{"choices": ['))
    assert "tried 2 times: Connection error. " in refusal_of(make_engine(max_retries=1, timeout_s=0.3))


def test_a_silent_server_is_given_up_on(make_engine: MakeEngine, openai_server: OpenAIServer) -> None:
    openai_server.answer = lambda messages, request: openai_server.hang()
    assert "tried once: Request timed out." in refusal_of(make_engine(max_retries=0, timeout_s=0.2))


def test_a_server_that_is_down_is_not_waited_for(make_engine: MakeEngine) -> None:
    started = time.monotonic()
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens
        message = refusal_of(make_engine(endpoint=f"http://127.0.0.1:{unheard.getsockname()[1]}/v1", max_retries=1))
    assert re.search("tried 2 times: Connection error. .* refused. Nothing is lost: run the same again", message)
    assert time.monotonic() - started < 60  # where an answer is waited for it is two minutes, twice


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ((200, {}, json.dumps({"object": "chat.completion", "choices": []})), "replied: no choices"),
        ((200, {}, json.dumps({"error": {"message": "no credit"}})), "no credit"),
        ((200, {"Content-Type": "text/html"}, "<html>\n<p>Welcome " + "x" * 500), "<html> <p>Welcome x"),
        ((200, {}, '{"choices": ['), "Expecting value"),
    ],
)
def test_what_is_no_completion_is_shown(
    make_engine: MakeEngine, openai_server: OpenAIServer, response: Answer, said: str
) -> None:
    answer_in_turn(openai_server, response)
    message = refusal_of(make_engine())
    assert said in message
    assert len(message) < 700
    assert "run the same again" in message


def test_without_a_key_any_will_do(
    make_engine: MakeEngine, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    engine = make_engine()
    assert engine.generate(["hello"], GREEDY) == ["an answer"]
    answer_in_turn(openai_server, openai_server.failure(401))
    assert f"variable `{KEY_VARIABLE}`, which is not set" in refusal_of(engine)


def test_a_key_may_end_with_a_line(
    make_engine: MakeEngine, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\n")
    make_engine().generate(["hello"], GREEDY)
    assert openai_server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_key_that_cannot_be_sent_is_refused_untold(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "schlüssel")
    with pytest.raises(GenerationError, match=f"`{KEY_VARIABLE}` must hold a key of plain characters") as caught:
        make_engine()
    assert "schl" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_the_key_is_in_no_message(make_engine: MakeEngine, openai_server: OpenAIServer, status: int) -> None:
    answer_in_turn(openai_server, openai_server.failure(status, f"{'x' * 290} bad key {KEY}, I say: {KEY}"))
    engine = make_engine()
    assert KEY[:8] not in refusal_of(engine) + repr(engine) + str(vars(engine)["_source"])


@pytest.mark.parametrize(
    "endpoint", ["localhost:8000/v1", "http://", "http://host:port/v1", "http://a\nb/v1", "ftp://a"]
)
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(GenerationError, match="`endpoint` must be an address up to `/v1`"):
        open_generator(ModelSource("some-model", endpoint))
