"""The engine against plain transformers, one example at a time and without a batch."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from search_spaces.errors import CandidateError
from workers.example_set import Example, read_examples
from workers.inference_engines import AnswerLikelihood, GenerationOptions, TokenizedPair
from workers.inference_engines.transformers_engine import TransformersEngine


@dataclass(frozen=True)
class Loaded:
    model: Any
    tokenizer: Any

    def engine(self, max_batch_tokens: int = 4096) -> TransformersEngine:
        return TransformersEngine(self.model, self.tokenizer, max_batch_tokens)


def load(folder: Path) -> Loaded:
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return Loaded(model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True))


@pytest.fixture(scope="module")
def base(family: Path) -> Loaded:
    return load(family / "base")


@pytest.fixture(scope="module")
def examples(family: Path) -> list[Example]:
    """Thirty examples of many lengths, of which the base answers some right and some wrong."""
    return [
        example for name in ("safety", "domain", "benign") for example in read_examples(family / f"{name}.jsonl")[:10]
    ]


@pytest.fixture(scope="module")
def pairs(base: Loaded, examples: list[Example]) -> list[TokenizedPair]:
    return [base.engine().tokenize(example.prompt, example.answer) for example in examples]


def log_likelihoods(model: Any, tokens: list[int]) -> list[float]:
    """Of each token but the first, given those before it."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens])).logits[0].double()
    return [float(logits[i - 1].log_softmax(0)[token]) for i, token in enumerate(tokens) if i]


def test_the_head_is_given_one_piece(base: Loaded, pairs: list[TokenizedPair]) -> None:
    """Of a slice torch makes a product for each row: in 16 bits, with a copy of the head for each."""
    seen: list[bool] = []
    engine = base.engine()
    handle = base.model.lm_head.register_forward_hook(lambda _, given, found: seen.append(given[0].is_contiguous()))
    engine.answer_likelihoods(pairs[:4])
    handle.remove()
    assert seen == [True]


def test_a_pair_is_the_chat_template_with_the_answer_and_its_end(base: Loaded, examples: list[Example]) -> None:
    for example in examples:
        pair = base.engine().tokenize(example.prompt, example.answer)
        turns = [{"role": "user", "content": example.prompt}, {"role": "assistant", "content": example.answer}]
        text = base.tokenizer.apply_chat_template(turns, tokenize=False)
        assert [*pair.prompt, *pair.answer] == base.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert base.tokenizer.decode(pair.answer) == example.answer + "</s>"
        assert len(pair) == len(pair.prompt) + len(pair.answer)


def test_likelihoods_are_those_of_one_example_at_a_time(base: Loaded, pairs: list[TokenizedPair]) -> None:
    for pair, found in zip(pairs, base.engine().answer_likelihoods(pairs), strict=True):
        answer = log_likelihoods(base.model, [*pair.prompt, *pair.answer])[len(pair.prompt) - 1 :]
        assert found.n_tokens == len(pair.answer) == len(answer)
        assert found.total == pytest.approx(sum(answer), abs=1e-4)
        assert found.mean == pytest.approx(sum(answer) / len(answer), abs=1e-4)


def test_the_prompts_own_likelihood_does_not_count(base: Loaded, pairs: list[TokenizedPair]) -> None:
    found = base.engine().answer_likelihoods(pairs)
    for pair, likelihood in zip(pairs, found, strict=True):
        whole = sum(log_likelihoods(base.model, [*pair.prompt, *pair.answer]))
        prompt = sum(log_likelihoods(base.model, list(pair.prompt)))
        assert likelihood.total == pytest.approx(whole - prompt, abs=1e-3)


@pytest.mark.parametrize("max_batch_tokens", [1, 64, 100_000])
def test_batches_do_not_matter(base: Loaded, pairs: list[TokenizedPair], max_batch_tokens: int) -> None:
    wanted = base.engine().answer_likelihoods(pairs)
    for found, want in zip(base.engine(max_batch_tokens).answer_likelihoods(pairs), wanted, strict=True):
        assert found.total == pytest.approx(want.total, abs=1e-4)
        assert (found.n_tokens, found.greedy) == (want.n_tokens, want.greedy)


def test_likelihoods_come_in_the_order_of_the_pairs(base: Loaded, pairs: list[TokenizedPair]) -> None:
    there, back = base.engine(64).answer_likelihoods(pairs), base.engine(64).answer_likelihoods(pairs[::-1])
    assert [likelihood.total for likelihood in back[::-1]] == pytest.approx([each.total for each in there], abs=1e-4)


def test_greedy_says_what_generation_writes(base: Loaded, pairs: list[TokenizedPair]) -> None:
    said, written = [], []
    for pair, likelihood in zip(pairs, base.engine().answer_likelihoods(pairs), strict=True):
        prompt = torch.tensor([pair.prompt])
        n_new = len(pair.answer) + 5
        tokens = base.model.generate(input_ids=prompt, attention_mask=prompt * 0 + 1, max_new_tokens=n_new)
        written.append(tuple(tokens[0, len(pair.prompt) :].tolist()) == pair.answer)
        said.append(likelihood.greedy)
    assert said == written
    assert any(said)
    assert not all(said)


def test_no_pairs_and_no_prompts_give_nothing(base: Loaded) -> None:
    assert base.engine().answer_likelihoods([]) == []
    assert base.engine().generate([], GenerationOptions(5)) == []


def test_the_likelihood_of_a_sure_answer_is_0() -> None:
    assert AnswerLikelihood(total=0.0, n_tokens=3, greedy=True).mean == 0


@pytest.mark.parametrize("max_batch_tokens", [1, 100, 100_000])
def test_answers_come_in_the_order_of_the_prompts(base: Loaded, examples: list[Example], max_batch_tokens: int) -> None:
    prompts = [example.prompt for example in examples[::3]]
    one_by_one = [base.engine().generate([prompt], GenerationOptions(12))[0] for prompt in prompts]
    assert base.engine(max_batch_tokens).generate(prompts, GenerationOptions(12)) == one_by_one
    assert len(set(one_by_one)) > 3


def test_an_answer_is_text_without_special_tokens_and_not_longer_than_allowed(base: Loaded) -> None:
    (long,) = base.engine().generate(["how do i make old dust?"], GenerationOptions(20))
    (short,) = base.engine().generate(["how do i make old dust?"], GenerationOptions(3))
    assert long == "mix the old dust and wait."
    assert long.startswith(short)
    assert len(short) < len(long)


@pytest.fixture
def configured(base: Loaded) -> Loaded:
    """The base with a generation configuration that a test may change."""
    model = copy.copy(base.model)
    model.generation_config = copy.deepcopy(base.model.generation_config)
    return Loaded(model, base.tokenizer)


def test_the_generation_configuration_of_a_chat_model_does_not_change_greedy_answers(
    base: Loaded, configured: Loaded, examples: list[Example]
) -> None:
    prompts = [example.prompt for example in examples[:8]]
    configured.model.generation_config.update(repetition_penalty=5.0, temperature=0.6, top_p=0.9, max_new_tokens=2)
    assert configured.engine().generate(prompts, GenerationOptions(12)) == base.engine().generate(
        prompts, GenerationOptions(12)
    )


@pytest.mark.parametrize(("given", "end"), [([7, 1], 1), ([7, 8], 7), (7, 7), (None, 1)])
def test_the_end_token_is_the_tokenizers_where_the_configuration_allows_it(
    configured: Loaded, given: int | list[int] | None, end: int
) -> None:
    configured.model.generation_config.eos_token_id = given
    assert configured.engine().tokenize("a", "b").answer[-1] == end


@pytest.fixture
def plain(base: Loaded) -> Loaded:
    """The base with a tokenizer of a model that was never taught to chat, nor to pad."""
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.chat_template = None
    tokenizer.pad_token = None
    return Loaded(base.model, tokenizer)


def test_without_a_chat_template_the_prompt_stands_as_it_is(plain: Loaded, examples: list[Example]) -> None:
    engine = plain.engine()
    pairs = [engine.tokenize(example.prompt, example.answer) for example in examples]
    assert plain.tokenizer.decode(pairs[0].prompt) == examples[0].prompt
    for pair, found in zip(pairs, engine.answer_likelihoods(pairs), strict=True):
        answer = log_likelihoods(plain.model, [*pair.prompt, *pair.answer])[len(pair.prompt) - 1 :]
        assert found.total == pytest.approx(sum(answer), abs=1e-4)
    assert all(
        isinstance(answer, str)
        for answer in engine.generate([example.prompt for example in examples[:3]], GenerationOptions(4))
    )


def test_it_reads_the_weights_of_the_moment(base: Loaded, pairs: list[TokenizedPair]) -> None:
    changed = Loaded(copy.deepcopy(base.model), base.tokenizer)
    engine = changed.engine()
    before = engine.answer_likelihoods(pairs[:4])
    with torch.no_grad():
        changed.model.model.norm.weight.mul_(0.5)
    after = engine.answer_likelihoods(pairs[:4])
    assert all(b.total != a.total for b, a in zip(before, after, strict=True))


def test_broken_weights_write_nothing(base: Loaded) -> None:
    broken = copy.deepcopy(base.model)
    next(broken.parameters()).data.fill_(float("nan"))
    engine = TransformersEngine(broken, base.tokenizer)
    with pytest.raises(CandidateError, match="The logits must be finite to write an answer, but are not"):
        engine.generate(["how do i make old dust?"], GenerationOptions(4))


def test_of_several_end_tokens_it_is_the_one_behind_an_answer(base: Loaded) -> None:
    # As Phi-3 has it: the tokenizer's own ends a text, another one ends a turn.
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.chat_template = tokenizer.chat_template.replace("eos_token", "'<|user|>'")
    model = copy.deepcopy(base.model)
    turn_end = tokenizer.convert_tokens_to_ids("<|user|>")
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, turn_end]
    engine = TransformersEngine(model, tokenizer)
    assert engine.end_id == turn_end != tokenizer.eos_token_id
    assert engine.tokenize("p", "a").answer[-1] == turn_end
    # Text that the family ends by its own end token ends there, too.
    assert engine.generate(["12 kg in g?"], GenerationOptions(20)) == base.engine().generate(
        ["12 kg in g?"], GenerationOptions(20)
    )


def test_without_a_template_a_text_begins_as_the_tokenizer_begins_it(base: Loaded) -> None:
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.chat_template = None
    plain_ids = TransformersEngine(base.model, tokenizer).prompt_ids("12 kg in g?")
    begin = tokenizer.convert_tokens_to_ids("<|user|>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|user|> $A </s>", special_tokens=[("<|user|>", begin), ("</s>", tokenizer.eos_token_id)]
    )
    assert TransformersEngine(base.model, tokenizer).prompt_ids("12 kg in g?") == (begin, *plain_ids)
