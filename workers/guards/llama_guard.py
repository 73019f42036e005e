"""A causal guard of the Llama Guard kind: its chat template asks the question, and it writes `safe` or `unsafe`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from search_spaces.errors import CheckpointError, GenerationError
from workers.checkpoints.header import read_json
from workers.guards._base import Guard, Verdict, refuse_unknown, words_of
from workers.guards.model_folder import read_guard_header
from workers.inference_engines import GenerationOptions, ModelSource
from workers.inference_engines.opening import CLASSIFIER_SUFFIX

# The verdict is the first word; a guard may write blank lines or punctuation around it.
_VERDICT = re.compile(r"\W*(unsafe|safe)\b", re.IGNORECASE)
# `S1,S10` right behind it; Llama Guard 1 wrote `O3`.
_CATEGORIES = re.compile(r"\W*([A-Z]\d+(?:\s*,\s*[A-Z]\d+)*)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LlamaGuard(Guard):
    """Inan et al. 2023 (arXiv:2312.06674): a language model that is asked whether the last turn is safe.

    The question, with its categories, is the model's own: it stands in its chat template, which renders the whole
    conversation into it. Without that template the model would go on with the conversation instead of judging it.

    Args:
        source: a folder, or an endpoint.
    """

    name: ClassVar[str] = "llama_guard"
    # "unsafe", and of 14 categories as many as are ever named.
    options: ClassVar[GenerationOptions] = GenerationOptions(max_new_tokens=32)
    tells_refusals: ClassVar[bool] = False

    source: ModelSource

    @classmethod
    def read(cls, source: Any, more: Mapping[str, Any], key: str) -> Self:
        """See `Guard.read`."""
        refuse_unknown(cls.name, more, (), key)
        return cls(ModelSource.of(source, f"{key}.{cls.name}"))

    @property
    def words(self) -> dict[str, Any]:
        """See `Guard.words`."""
        return {self.name: words_of(self.source)}

    def seen_from(self, folder: Path) -> Self:
        """See `Guard.seen_from`."""
        return replace(self, source=self.source.seen_from(folder))

    def check(self) -> None:
        """See `Guard.check`; an endpoint is left to answer for itself."""
        if self.source.endpoint:
            return
        header = read_guard_header(self.source)
        if header.architecture.endswith(CLASSIFIER_SUFFIX):
            raise CheckpointError(
                f"The guard '{self.name}' must be a model that writes its verdict, but '{self.source}' is a "
                f"{header.architecture}. Name it as `classifier`."
            )
        if not has_chat_template(header.folder):
            raise CheckpointError(
                f"The guard '{self.name}' must have a chat template, which asks it for its verdict, but "
                f"'{self.source}' has none. Copy chat_template.jinja, or a tokenizer_config.json with a "
                "`chat_template`, from where the model comes."
            )

    def verdict(self, answer: str, reply: str) -> Verdict:
        """See `Guard.verdict`."""
        said = _VERDICT.match(reply)
        if said is None:
            raise GenerationError(
                f"The guard {self.source} must reply `safe` or `unsafe`, but replied {reply[:80]!r} to the answer "
                f"{answer[:80]!r}. It may be another kind of model, or its chat template another one's."
            )
        if said[1].lower() == "safe":
            return Verdict(is_safe=True, text=reply)
        named = _CATEGORIES.match(reply, said.end())
        categories = tuple(re.split(r"\s*,\s*", named[1].upper())) if named else ()
        return Verdict(is_safe=False, categories=categories, text=reply)


def has_chat_template(folder: Path) -> bool:
    """Whether transformers would find a chat template in a model's folder."""
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file():
        return bool(file.read_text(encoding="utf-8").strip())
    return config.is_file() and bool(read_json(config).get("chat_template"))
