"""Our engines as a model of lm-evaluation-harness; needs that package."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

from jinja2.exceptions import TemplateError
from lm_eval.api.model import TemplateLM  # type: ignore[import-untyped]
from lm_eval.models.utils import normalize_gen_kwargs  # type: ignore[import-untyped]
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window  # type: ignore[import-untyped]

from search_spaces.errors import CandidateError, ExampleSetError, SpecificationError
from workers.evaluation import FailureReason
from workers.inference_engines._base import InferenceEngine, TokenizedPair
from workers.inference_engines.conversation import GenerationOptions

# lm-eval's own, for tasks that do not say.
MAX_GEN_TOKS = 256


class EngineLM(TemplateLM):  # type: ignore[misc]
    """What lm-eval asks of a model, answered by an engine on its weights of the moment.

    The model reads the same tokens as in lm-eval's own `hf` model: special tokens where the tokenizer adds them by
    itself, and not twice where a chat template has written them already.

    Two differences in a sequence too long for the model: lm-eval cuts one token less from its left, as it never feeds
    the last one; and a continuation that leaves no room for any context is an error.

    Args:
        engine: over the model. Its `tokenizer`, where it has one of transformers', is asked for special tokens and the
            chat template; without one there are neither.
    """

    def __init__(self, engine: InferenceEngine) -> None:
        super().__init__()
        self.engine = engine
        self.tokenizer: Any = getattr(engine, "tokenizer", None)

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return self.engine.end_id

    @property
    def prefix_token_id(self) -> int:
        """The token before a text without a context."""
        known = (getattr(self.tokenizer, name, None) for name in ("bos_token_id", "eos_token_id"))
        return next((int(token) for token in known if token is not None), self.engine.end_id)

    @property
    def tokenizer_name(self) -> str:
        """In the names of lm-eval's request cache, which is not used."""
        return ""

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids; with the special tokens that the tokenizer adds, unless they are not wanted or there already."""
        if self.tokenizer is None or add_special_tokens is False or self._begins_with_prefix(string):
            return list(self.engine.encode(string))
        return list(self.tokenizer(string)["input_ids"])

    def _begins_with_prefix(self, string: str) -> bool:
        return bool(self._prefix) and string.startswith(self._prefix)

    @cached_property
    def _prefix(self) -> str:
        return str(self.tokenizer.decode([self.prefix_token_id]))

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as the model's chat template writes it.

        Raises:
            SpecificationError: the model has none.
        """
        if not getattr(self.tokenizer, "chat_template", None):
            raise SpecificationError("`apply_chat_template` needs a model with a chat template, but this one has none.")
        try:
            return self._rendered(chat_history, add_generation_prompt)
        except TemplateError:  # some templates refuse a system's message; lm-eval leaves it out then
            return self._rendered([turn for turn in chat_history if turn["role"] != "system"], add_generation_prompt)

    def _rendered(self, turns: list[dict[str, str]], add_generation_prompt: bool) -> str:
        text: str = self.tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether greedy decoding would write it."""
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return found

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        pairs = [self._fitted(context, continuation) for _, context, continuation in requests]
        likelihoods = self.engine.answer_likelihoods(pairs)
        # lm-eval would take the arg max of NaN, which is the first choice.
        if not all(math.isfinite(likelihood.total) for likelihood in likelihoods):
            raise CandidateError(
                FailureReason.NON_FINITE_SCORE, "Every likelihood of a task must be finite, but the weights are broken."
            )
        return [(likelihood.total, likelihood.greedy) for likelihood in likelihoods]

    def _fitted(self, context: list[int], continuation: list[int]) -> TokenizedPair:
        """Cut from the left to what the model takes."""
        room = self.engine.max_tokens - len(continuation)
        if room < 1:
            raise ExampleSetError(
                f"A continuation must leave room for a token of its context, but one of {len(continuation)} tokens "
                f"fills the {self.engine.max_tokens} that the model takes. Leave that task out."
            )
        return TokenizedPair(tuple(context[-room:]), tuple(continuation))

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[float]:
        """Log-likelihood of each whole text, in windows where it is longer than the model takes."""
        windows = [self._windows(text) for (text,) in (request.args for request in requests)]
        found = self._loglikelihood_tokens([(None, *window) for each in windows for window in each])
        totals = [total for total, _ in found]
        ends = accumulate(map(len, windows), initial=0)
        return [math.fsum(totals[start:end]) for start, end in pairwise(ends)]

    def _windows(self, text: str) -> list[tuple[list[int], list[int]]]:
        rolling = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            # Without the token that is predicted last.
            max_seq_len=self.engine.max_tokens - 1,
            context_len=1,
        )
        return [make_disjoint_window(window) for window in rolling]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[str]:
        """What the model writes after each context, up to its stops."""
        together: dict[GenerationOptions, list[int]] = defaultdict(list)
        for i, request in enumerate(requests):
            together[generation_options(request.args[1])].append(i)
        found: dict[int, str] = {}
        for options, indices in together.items():
            room = self.engine.max_tokens - options.max_new_tokens
            prompts = [tuple(self.tok_encode(requests[i].args[0])[-room:]) for i in indices]
            found.update(zip(indices, self.engine.complete(prompts, options), strict=True))
        return [found[i] for i in range(len(requests))]


def generation_options(gen_kwargs: dict[str, Any]) -> GenerationOptions:
    """What a task says of generation, in our words."""
    given: Any = normalize_gen_kwargs(gen_kwargs, MAX_GEN_TOKS)
    return GenerationOptions(
        max_new_tokens=given["max_gen_toks"],
        temperature=float(given.get("temperature") or 0.0),
        # An empty stop ends nothing.
        stop=tuple(stop for stop in given["until"] if stop),
    )
