"""From a specification to what a synthesis needs; all that can be wrong is found here, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import ExampleSetError, SpecificationError
from service.specification import Specification, SynthesisSection
from service.specification.models_schema import model_key
from service.specification.synthesis_schema import DomainExpertSection, DomainSection, QuestionsSection
from service.synthesis import prompts
from workers.checkpoints.header import read_header
from workers.checkpoints.model_files import read_model_header
from workers.example_set import read_examples
from workers.guards import Guard, guard_from
from workers.inference_engines import ModelSource
from workers.scorers.exact_match import ExactMatchOptions

# As many examples as show what is wanted, and no more than a person writes by hand.
MIN_EXAMPLES, MAX_EXAMPLES = prompts.N_EXAMPLES_SHOWN, 20


@dataclass(frozen=True, slots=True)
class QuestionSettings:
    """How questions are asked for.

    Args:
        rows: that are wanted.
        attempts: questions that may be asked for, per row.
        temperature: of the generator.
        system: what it is told first; "" for nothing.
        prompt: with `{category}`, or `{topic}` and `{examples}`.
    """

    rows: int
    attempts: int
    temperature: float
    system: str
    prompt: str

    @property
    def limit(self) -> int:
        """Questions that may be asked for in all."""
        return self.rows * self.attempts


@dataclass(frozen=True, slots=True)
class SafetySettings(QuestionSettings):
    """Of the safety set; `require_rejected` drops questions with which no model complies."""

    categories: tuple[str, ...]
    require_rejected: bool


@dataclass(frozen=True, slots=True)
class BenignSettings(QuestionSettings):
    """Of the benign set."""

    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DomainExpert:
    """An expert of the pool that makes domain examples.

    Args:
        name: in the specification.
        source: who answers.
        writer: who writes the questions: the expert itself, or the generator.
        topic: for the prompt.
        examples: questions of the user's, at least `MIN_EXAMPLES`.
    """

    name: str
    source: ModelSource
    writer: ModelSource
    topic: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Consistency:
    """How often an answer is sampled again (0: never), and how two are compared; see `extract_answer`."""

    samples: int = 0
    temperature: float = 0.7
    extract: str = "none"
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class DomainSettings(QuestionSettings):
    """Of the domain set."""

    experts: tuple[DomainExpert, ...]
    consistency: Consistency


@dataclass(frozen=True, slots=True)
class SynthesisSettings:
    """All that a synthesis needs.

    Args:
        name: of the specification.
        folder: where the sets go.
        generator: who writes unsafe and borderline questions.
        guard: who tells refusals.
        pool: model name → source, base first.
        seed: of everything that is drawn.
        holdout: share of each set that is held out.
        similarity: from which two questions are duplicates.
        max_new_tokens: of every answer.
        safety, domain, benign: of the sets; None for those that are not made.
    """

    name: str
    folder: Path
    generator: ModelSource
    guard: Guard
    pool: Mapping[str, ModelSource]
    seed: int
    holdout: float
    similarity: float
    max_new_tokens: int
    safety: SafetySettings | None
    domain: DomainSettings | None
    benign: BenignSettings | None


def settings_of(specification: Specification) -> SynthesisSettings:
    """Check everything that a synthesis needs.

    Raises:
        UserError: whatever is wrong with the specification, a model or the examples.
    """
    section = specification.synthesis
    if section is None:
        raise SpecificationError(
            "`synthesis` must say which sets to make and who writes the questions, but is missing. "
            "Its `generator` has no default: an aligned model would refuse to write unsafe questions."
        )
    generator = ModelSource.of(section.generator, "synthesis.generator")
    guard = guard_from(section.guard, "synthesis.guard")
    pool = {name: ModelSource(folder) for name, folder in _folders(specification).items()}
    for source in (generator, *pool.values()):
        if not source.endpoint:
            read_header(source.model)  # refuses what is no checkpoint
    guard.check()
    return SynthesisSettings(
        name=specification.name,
        folder=Path(section.to or f"{specification.name}-sets"),
        generator=generator,
        guard=guard,
        pool=pool,
        seed=section.seed,
        holdout=section.holdout,
        similarity=section.similarity,
        max_new_tokens=section.max_new_tokens,
        safety=_safety(section),
        domain=_domain(section.domain, pool, generator) if section.domain else None,
        benign=_benign(section),
    )


def _folders(specification: Specification) -> dict[str, str]:
    """Model name → folder, base first; of a hub id, in the hub's cache."""
    return {name: _folder(name, text) for name, text in specification.models.notations.items()}


def _folder(name: str, notation: str) -> str:
    header = read_model_header(notation)
    if header.adapter:
        raise SpecificationError(
            f"`{model_key(name)}` must be a whole model where sets are made, for each is asked by itself, but has the "
            f"adapter '{header.adapter.folder}'. Merge it into its base with PEFT's `merge_and_unload()` for that."
        )
    return str(header.folder)


def _safety(section: SynthesisSection) -> SafetySettings | None:
    safety = section.safety
    if safety is None:
        return None
    asked = _asked(safety, prompts.SAFETY_SYSTEM, prompts.SAFETY_PROMPT, "safety", ("{category}",))
    return SafetySettings(*asked, safety.categories or prompts.SAFETY_CATEGORIES, safety.require_rejected)


def _benign(section: SynthesisSection) -> BenignSettings | None:
    benign = section.benign
    if benign is None:
        return None
    asked = _asked(benign, prompts.BENIGN_SYSTEM, prompts.BENIGN_PROMPT, "benign", ("{category}",))
    return BenignSettings(*asked, benign.categories or prompts.SAFETY_CATEGORIES)


def _domain(domain: DomainSection, pool: Mapping[str, ModelSource], generator: ModelSource) -> DomainSettings:
    asked = _asked(domain, prompts.DOMAIN_SYSTEM, prompts.DOMAIN_PROMPT, "domain", ("{examples}",))
    experts = tuple(_expert(name, section, pool, generator) for name, section in domain.experts.items())
    given = domain.consistency
    consistency = Consistency(**given.model_dump()) if given else Consistency()
    _check_extraction(consistency)
    return DomainSettings(*asked, experts, consistency)


def _check_extraction(consistency: Consistency) -> None:
    """As the scorer that extracts answers checks it."""
    try:
        ExactMatchOptions(extract=consistency.extract, pattern=consistency.pattern)
    except SpecificationError as error:
        raise SpecificationError(f"`synthesis.domain.consistency`: {error}") from None


def _asked(
    section: QuestionsSection, system: str, prompt: str, name: str, needed: tuple[str, ...]
) -> tuple[int, int, float, str, str]:
    """The fields of `QuestionSettings`. Who gives a prompt of their own gets no system text that fits ours."""
    if section.prompt is not None:
        missing = [placeholder for placeholder in needed if placeholder not in section.prompt]
        if missing:
            raise SpecificationError(
                f"`synthesis.{name}.prompt` must hold {missing[0]}, which is filled in, but is {section.prompt!r}."
            )
        system, prompt = "", section.prompt
    system = system if section.system is None else section.system
    return section.rows, section.attempts, section.temperature, system, prompt


def _expert(
    name: str, section: DomainExpertSection, pool: Mapping[str, ModelSource], generator: ModelSource
) -> DomainExpert:
    key = f"synthesis.domain.experts.{name}"
    if name not in pool:
        raise SpecificationError(f"`{key}` must be one of the models, {', '.join(pool)}, but is none.")
    examples = _examples(section, key)
    if not MIN_EXAMPLES <= len(examples) <= MAX_EXAMPLES:
        raise SpecificationError(
            f"`{key}.examples` must hold {MIN_EXAMPLES} to {MAX_EXAMPLES} questions, but holds {len(examples)}."
        )
    writer = pool[name] if section.writer == "expert" else generator
    return DomainExpert(name, pool[name], writer, section.topic, examples)


def _examples(section: DomainExpertSection, key: str) -> tuple[str, ...]:
    if not isinstance(section.examples, str):
        return section.examples
    try:
        return tuple(dict.fromkeys(example.prompt for example in read_examples(section.examples)))
    except ExampleSetError as error:
        raise ExampleSetError(f"`{key}.examples`: {error}") from None
