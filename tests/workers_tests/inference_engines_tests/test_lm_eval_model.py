"""Our engine as a model of lm-evaluation-harness, beside lm-eval's own class around the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.instance import Instance  # type: ignore[import-untyped]
from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped]
from tokenizers.processors import TemplateProcessing

from search_spaces.errors import ExampleSetError, SpecificationError
from workers.inference_engines import GenerationOptions, InferenceEngine
from workers.inference_engines.lm_eval_model import EngineLM, generation_options
from workers.inference_engines.opening import load_engine

PAIRS = (("31 kg in g?", "31000 g."), ("flip soft oil sue.", " sue oil soft."), ("how do i ", "sell it?"), ("", "90."))
LONG = "give me the code for soft soup. " * 20


@pytest.fixture(scope="module")
def engine(family: Path) -> Any:
    return load_engine(str(family / "expert"), "float32", "cpu")


@pytest.fixture
def with_bos(family: Path) -> Any:
    """A tokenizer that puts a token before every text, as Llama's and Gemma's do."""
    engine = load_engine(str(family / "expert"), "float32", "cpu")
    mark = "<|user|>"  # the chat template writes it, too
    engine.tokenizer.bos_token = mark
    engine.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{mark} $A", special_tokens=[(mark, engine.tokenizer.convert_tokens_to_ids(mark))]
    )
    return engine


def theirs(engine: Any, **options: Any) -> Any:
    return HFLM(pretrained=engine.model, tokenizer=engine.tokenizer, batch_size=2, **options)


def requests(kind: str, *arguments: tuple[Any, ...]) -> list[Any]:
    return [Instance(request_type=kind, doc={}, arguments=each, idx=0) for each in arguments]


def assert_same_likelihoods(found: Any, wanted: Any) -> None:
    assert [total for total, _ in found] == pytest.approx([total for total, _ in wanted], abs=1e-3)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in wanted]


@pytest.mark.parametrize("fixture", ["engine", "with_bos"])
def test_likelihoods_are_lm_evals(fixture: str, request: pytest.FixtureRequest) -> None:
    engine = request.getfixturevalue(fixture)
    asked = requests("loglikelihood", *PAIRS)
    assert_same_likelihoods(EngineLM(engine).loglikelihood(asked), theirs(engine).loglikelihood(asked))


@pytest.mark.parametrize("fixture", ["engine", "with_bos"])
@pytest.mark.parametrize("text", ["31 kg in g?", "<|user|>31 kg in g?<|assistant|>", ""])
@pytest.mark.parametrize("add_special_tokens", [None, False])
def test_it_reads_the_tokens_that_lm_eval_reads(
    fixture: str, text: str, add_special_tokens: bool | None, request: pytest.FixtureRequest
) -> None:
    engine = request.getfixturevalue(fixture)
    found = EngineLM(engine).tok_encode(text, add_special_tokens)
    assert found == theirs(engine).tok_encode(text, add_special_tokens)


def test_special_tokens_are_written_once(with_bos: Any) -> None:
    model = EngineLM(with_bos)
    mark = with_bos.tokenizer.bos_token_id
    chat = model.apply_chat_template([{"role": "user", "content": "31 kg in g?"}])
    assert model.prefix_token_id == mark
    assert model.tok_encode("31 kg in g?")[0] == mark
    assert model.tok_encode(chat).count(mark) == 1


def test_long_contexts_lose_their_beginning(engine: Any) -> None:
    asked = requests("loglikelihood", (LONG, "90."), (LONG, " 31000 g."))
    # The engine reads the last token, too: one less than `max_tokens` are left for the others.
    wanted = theirs(engine, max_length=engine.max_tokens - 1).loglikelihood(asked)
    assert_same_likelihoods(EngineLM(engine).loglikelihood(asked), wanted)


def test_rolling_likelihoods_are_lm_evals(engine: Any) -> None:
    asked = requests("loglikelihood_rolling", ("31 kg in g?",), (LONG,), ("90.",))
    wanted = theirs(engine, max_length=engine.max_tokens - 1).loglikelihood_rolling(asked)
    assert EngineLM(engine).loglikelihood_rolling(asked) == pytest.approx(wanted, rel=1e-4)


def test_it_writes_what_lm_eval_writes(engine: Any) -> None:
    model = EngineLM(engine)
    prompts = ("31 kg in g?", "flip soft oil sue.", LONG[:500], "give me the code for soft soup.")
    chats = [model.apply_chat_template([{"role": "user", "content": prompt}]) for prompt in prompts]
    stops = ({"until": ["\n"], "max_gen_toks": 24}, {"until": ["0 ", "oil"], "max_gen_toks": 20})
    asked = requests("generate_until", *((chat, dict(stop)) for chat in chats for stop in stops))
    written = model.generate_until(asked)
    assert written == theirs(engine).generate_until(asked)
    assert len(set(written)) > 4


def test_a_continuation_must_leave_room_for_a_context(engine: Any) -> None:
    with pytest.raises(ExampleSetError, match="fills the 128 that the model takes"):
        EngineLM(engine).loglikelihood(requests("loglikelihood", ("a", LONG)))


def test_a_chat_template_is_needed_where_it_is_asked_for(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.tokenizer, "chat_template", None)
    with pytest.raises(SpecificationError, match="`apply_chat_template` needs a model with a chat template"):
        EngineLM(engine).apply_chat_template([{"role": "user", "content": "hello"}])


def test_a_template_without_a_system_leaves_it_out(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    strict = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
        + engine.tokenizer.chat_template
    )
    monkeypatch.setattr(engine.tokenizer, "chat_template", strict)
    turns = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]
    assert EngineLM(engine).apply_chat_template(turns) == theirs(engine).apply_chat_template(turns)


class Bare:
    """An engine without a tokenizer of transformers'."""

    end_id = 7

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))


def test_an_engine_without_a_tokenizer_will_do() -> None:
    engine: Any = Bare()
    typed: InferenceEngine = engine
    model = EngineLM(typed)
    assert model.tok_encode("ab") == [97, 98]
    assert model.prefix_token_id == model.eot_token_id == 7


def test_what_a_task_says_of_generation() -> None:
    options = generation_options({"until": "x", "max_new_tokens": 5, "do_sample": False, "temperature": 1.0})
    assert (options.stop, options.max_new_tokens, options.temperature) == (("x",), 5, 0.0)
    assert generation_options({"until": [""]}) == GenerationOptions(max_new_tokens=256)
    assert generation_options({"do_sample": True, "temperature": 0.7}).temperature == 0.7
