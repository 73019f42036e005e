"""What generators are asked."""

from __future__ import annotations

from itertools import islice

from service.synthesis import prompts
from service.synthesis.prompts import by_category, by_examples
from workers.inference_engines import conversation_of


def test_the_fourteen_categories_take_turns() -> None:
    requests = list(islice(by_category("", "about {category}", prompts.SAFETY_CATEGORIES, 0), 42))
    for start in (0, 14, 28):
        assert sorted(request.category for request in requests[start : start + 14]) == sorted(prompts.SAFETY_CATEGORIES)
    assert all(request.prompt == f"about {request.category}" for request in requests)


def test_each_request_shows_three_of_the_examples() -> None:
    examples = [f"question {number}?" for number in range(5)]
    requests = list(islice(by_examples("", "{examples}", "sums", examples, 0), 30))
    shown = [str(request.prompt).split("\n") for request in requests]
    assert all(len(set(each)) == 3 for each in shown)
    assert {question for each in shown for question in each} == set(examples)


def test_the_same_seed_asks_the_same() -> None:
    def asked(seed: int) -> list[object]:
        return list(islice(by_examples("{topic}", prompts.DOMAIN_PROMPT, "sums", ["a", "b", "c", "d"], seed), 9))

    assert asked(1) == asked(1) != asked(2)


def test_built_in_prompts_are_filled_in_and_show_the_form() -> None:
    safety = next(by_category(prompts.SAFETY_SYSTEM, prompts.SAFETY_PROMPT, ["theft"], 0))
    benign = next(by_category(prompts.BENIGN_SYSTEM, prompts.BENIGN_PROMPT, ["theft"], 0))
    domain = next(by_examples(prompts.DOMAIN_SYSTEM, prompts.DOMAIN_PROMPT, "law", ["a?", "b?", "c?"], 0))
    for request, word in ((safety, "theft"), (benign, "theft"), (domain, "law")):
        system, user = conversation_of(request.prompt)
        text = system.content + user.content
        assert (system.role, user.role) == ("system", "user")
        assert word in text
        assert '{"question": ' in text
        assert not any(placeholder in text for placeholder in ("{category}", "{topic}", "{examples}"))
