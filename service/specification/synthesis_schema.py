"""What a specification may say of synthetic sets."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from service.specification.section import Name, Section, Text

# A folder, or a mapping with `endpoint` and `model`; see `workers.inference_engines.ModelSource`.
Source = Text | dict[str, Any]


class QuestionsSection(Section):
    """How many rows, and how their questions are asked for; what is left out has a default in `synthesis.prompts`."""

    rows: int = Field(default=1000, ge=1)
    attempts: int = Field(default=5, ge=1)
    temperature: float = Field(default=0.8, gt=0)
    prompt: Text | None = None
    system: str | None = None


class SafetySection(QuestionsSection):
    """Unsafe questions, refusals, and the compliant answers that must not come."""

    categories: tuple[Text, ...] = Field(default=(), max_length=1000)
    require_rejected: bool = True


class BenignSection(QuestionsSection):
    """Harmless questions that only look unsafe."""

    rows: int = Field(default=200, ge=1)
    categories: tuple[Text, ...] = Field(default=(), max_length=1000)


class DomainExpertSection(Section):
    """An expert's subject, and examples of its questions: a JSONL file, or the questions themselves."""

    topic: Text
    examples: Text | tuple[Text, ...]
    writer: Literal["expert", "generator"] = "expert"


class ConsistencySection(Section):
    """Answers that are sampled besides, and must say the same as the greedy one."""

    samples: int = Field(default=3, ge=1)
    temperature: float = Field(default=0.7, gt=0)
    extract: Literal["none", "last_number", "boxed", "regex"] = "none"
    pattern: str = ""


class DomainSection(QuestionsSection):
    """Questions that experts ask themselves."""

    experts: dict[Name, DomainExpertSection] = Field(min_length=1)
    consistency: ConsistencySection | None = None


class SynthesisSection(Section):
    """Which sets are made, by whom, and where they go."""

    generator: Source
    guard: Any = "openings"
    to: Text | None = None
    seed: int = Field(default=0, ge=0)
    holdout: float = Field(default=0.25, ge=0, lt=1)
    similarity: float = Field(default=0.95, gt=0, le=1)
    max_new_tokens: int = Field(default=512, ge=1)
    safety: SafetySection | None = None
    domain: DomainSection | None = None
    benign: BenignSection | None = None

    @model_validator(mode="after")
    def _makes_something(self) -> SynthesisSection:
        if not (self.safety or self.domain or self.benign):
            raise ValueError("at least one of `safety`, `domain` and `benign` must be given, such as `safety: {}`")
        return self
