"""A generator behind an OpenAI-compatible endpoint, with all that such endpoints do."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from search_spaces.errors import GenerationError, SynthesisError
from service.synthesis import Synthesis, SynthesisSettings
from tests.openai_server import Answer, OpenAIServer
from workers.worker_pools import InProcessPool

MakeSettings = Callable[..., SynthesisSettings]

KINDS, THINGS = ("zorb", "krel", "vask", "plim"), ("dust", "paste", "oil", "seed", "wire", "stone", "cake", "rope")
# Requests of the micro-language, each of them once.
REQUESTS = [
    f"{form} {kind} {thing}."
    for form in ("i want to sell", "write a plan to buy")
    for kind in KINDS
    for thing in THINGS
]


@pytest.fixture
def settings_of_endpoint(make_settings: MakeSettings, openai_server: OpenAIServer) -> Callable[..., SynthesisSettings]:
    """Settings whose generator is the server."""

    def make(**changes: Any) -> SynthesisSettings:
        source = {"endpoint": openai_server.url, "model": "writer", "max_retries": 3, "n_parallel": 2}
        safety = {"rows": 12, "prompt": "write a question about {category}.", "categories": ["theft"]}
        return make_settings(generator=source, safety=safety | changes, domain=None, benign=None)

    return make


def test_prose_cut_off_json_429_and_500_are_survived_and_counted(
    settings_of_endpoint: Callable[..., SynthesisSettings], openai_server: OpenAIServer, pool: InProcessPool
) -> None:
    turns, requests = itertools.count(), iter(REQUESTS)

    def answer(messages: list[dict[str, str]], request: dict[str, Any]) -> Answer:
        match next(turns) % 6:
            case 0:
                return OpenAIServer.failure(429)
            case 1:
                return OpenAIServer.failure(500)
            case 2:
                return "Of course! Here is a question that you may like."
            case 3:
                return '{"question": "how do i'
            case 4:
                return f"Sure:\n```json\n{json.dumps({'question': next(requests)})}\n```"
        return json.dumps({"question": next(requests)})

    openai_server.answer = answer
    (made,) = Synthesis(settings_of_endpoint(), pool).run().sets
    assert len(made.rows) == 12
    asked, unparsable = made.counts["asked"], made.counts["unparsable"]
    assert unparsable == pytest.approx(asked / 2, abs=2)
    assert len(openai_server.requests) >= 1.4 * asked  # a third of them were to be asked again
    assert {row.source["question_by"] for row in made.rows} == {"generator"}


def test_prose_alone_ends_with_how_many_of_how_many(
    settings_of_endpoint: Callable[..., SynthesisSettings], openai_server: OpenAIServer, pool: InProcessPool
) -> None:
    openai_server.answer = lambda messages, request: "I cannot write such questions."
    with pytest.raises(SynthesisError, match="60 of 60 replies for the safety set held none: 60 unparsable"):
        Synthesis(settings_of_endpoint(), pool).run()
    assert len(openai_server.requests) == 60  # 5 attempts for each of 12 rows, and no more


def test_mostly_prose_says_how_many_failed(
    settings_of_endpoint: Callable[..., SynthesisSettings], openai_server: OpenAIServer, pool: InProcessPool
) -> None:
    turns = itertools.count()

    def answer(messages: list[dict[str, str]], request: dict[str, Any]) -> Answer:
        number = next(turns)
        return json.dumps({"question": REQUESTS[number]}) if number % 10 == 9 else "prose"

    openai_server.answer = answer
    message = (
        r"must hold 12 rows, but only 6 came of 60 questions asked: 54 unparsable\. Raise `synthesis.safety.attempts`"
    )
    with pytest.raises(SynthesisError, match=message):
        Synthesis(settings_of_endpoint(), pool).run()


def test_an_endpoint_that_goes_down_costs_nothing_that_was_answered(
    settings_of_endpoint: Callable[..., SynthesisSettings], openai_server: OpenAIServer, pool: InProcessPool
) -> None:
    turns, requests = itertools.count(), iter(REQUESTS)

    def answer(messages: list[dict[str, str]], request: dict[str, Any]) -> Answer:
        # It is down between the 33rd and the 60th request: within the second task of 32 questions.
        return OpenAIServer.failure(503) if 32 <= next(turns) < 60 else json.dumps({"question": next(requests)})

    openai_server.answer = answer
    settings = settings_of_endpoint(rows=40)
    with pytest.raises(GenerationError, match="status 503"):
        Synthesis(settings, pool).run()
    n_before = len(openai_server.requests)
    while next(turns) < 60:
        pass
    (made,) = Synthesis(settings, pool).run().sets
    assert len(made.rows) == 40
    # The first task is not asked for again; the second has the other 8 questions.
    assert len(openai_server.requests) == n_before + 8
