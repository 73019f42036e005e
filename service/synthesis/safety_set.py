"""The safety set: unsafe questions, each with a refusal of some model and the answer of one that complies.

After Hammoud et al. 2024 (arXiv:2406.14563, section 4.2): a generator writes questions, every model of the pool answers
greedily, a guard marks the refusals, one of them is kept at random, and a question that nobody refuses is dropped. The
compliant answer of the least safe model is kept beside it, so that a margin between the two can be scored.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.errors import SynthesisError
from service.synthesis.dispatch import Dispatcher
from service.synthesis.judging import judge
from service.synthesis.near_duplicates import KnownQuestions
from service.synthesis.prompts import SAFETY_EXAMPLE, by_category
from service.synthesis.question_writer import QuestionWriter, Writer
from service.synthesis.rows import Question, Row, SynthesizedSet
from service.synthesis.settings import SafetySettings, SynthesisSettings
from workers.guards import Verdict
from workers.inference_engines import GenerationOptions

# Fewer questions without a refusal may be chance.
_ENOUGH_TO_JUDGE = 32


@dataclass(frozen=True, slots=True)
class _Answered:
    """A question, and each model's answer with the guard's verdict on it."""

    question: Question
    answers: Mapping[str, str]
    verdicts: Mapping[str, Verdict]

    @property
    def refusing(self) -> list[str]:
        return [model for model, verdict in self.verdicts.items() if verdict.is_safe and self.says_something(model)]

    @property
    def complying(self) -> list[str]:
        return [model for model, verdict in self.verdicts.items() if not verdict.is_safe and self.says_something(model)]

    def says_something(self, model: str) -> bool:
        return bool(self.answers[model].strip())

    @property
    def is_clear(self) -> bool:
        return all(verdict.is_clear for verdict in self.verdicts.values())


class SafetySynthesis:
    """Makes the safety set.

    Args:
        settings: of the whole synthesis.
        safety: of this set.
        dispatcher: who carries questions and answers.
    """

    def __init__(self, settings: SynthesisSettings, safety: SafetySettings, dispatcher: Dispatcher) -> None:
        self._settings = settings
        self._safety = safety
        self._dispatcher = dispatcher
        self._counts: Counter[str] = Counter(asked=0, unparsable=0, duplicate=0)
        self._answered: list[_Answered] = []

    def run(self) -> SynthesizedSet:
        """Ask, answer, judge, until there are rows enough or no more may be asked.

        Raises:
            SynthesisError: the generator writes no questions, or no model refuses any.
            GenerationError: a model gives no answers.
        """
        questions = self._question_writer()
        while (missing := self._safety.rows - len(self._usable())) > 0 and (written := questions.write(missing)):
            self._answered += self._answer(written)
            self._check_alignment()
        shares = self._refusal_shares()
        rows = tuple(self._row(answered, shares) for answered in self._usable()[: self._safety.rows])
        return SynthesizedSet("safety", self._safety.rows, rows, self._all_counts(), shares)

    def _question_writer(self) -> QuestionWriter:
        settings, safety = self._settings, self._safety
        options = GenerationOptions(settings.max_new_tokens, safety.temperature, settings.seed)
        writer = Writer("generator", settings.generator, options, safety.limit)
        requests = by_category(safety.system, safety.prompt, safety.categories, settings.seed)
        known = KnownQuestions(settings.similarity, [SAFETY_EXAMPLE])
        return QuestionWriter(self._dispatcher, writer, requests, known, self._counts, "safety")

    def _answer(self, questions: list[Question]) -> list[_Answered]:
        prompts = [question.text for question in questions]
        greedy = GenerationOptions(self._settings.max_new_tokens)
        answers = {
            model: self._dispatcher.ask(source, prompts, greedy, f"safety: answers of {model}")
            for model, source in self._settings.pool.items()
        }
        verdicts = {
            model: judge(self._dispatcher, self._settings.guard, prompts, given, f"safety: verdicts on {model}")
            for model, given in answers.items()
        }
        return [
            _Answered(
                question,
                {model: given[i] for model, given in answers.items()},
                {model: given[i] for model, given in verdicts.items()},
            )
            for i, question in enumerate(questions)
        ]

    def _check_alignment(self) -> None:
        exhausted = self._counts["asked"] >= self._safety.limit
        if (exhausted or len(self._answered) >= _ENOUGH_TO_JUDGE) and not any(
            answered.refusing for answered in self._answered
        ):
            raise SynthesisError(
                f"No model in the pool refuses: nothing aligned to preserve. {', '.join(self._settings.pool)} answered "
                f"{len(self._answered)} unsafe questions, and the guard '{self._settings.guard.name}' found no "
                "refusal. Add an aligned model to `models.experts`, or choose another `synthesis.guard`."
            )

    def _usable(self) -> list[_Answered]:
        return [
            answered
            for answered in self._answered
            if answered.is_clear and answered.refusing and (answered.complying or not self._safety.require_rejected)
        ]

    def _row(self, answered: _Answered, shares: Mapping[str, float]) -> Row:
        question = answered.question
        # Of the question alone: the same in whatever round it was asked.
        rng = random.Random(f"{self._settings.seed} {question.text}")
        refusing = rng.choice(answered.refusing)
        complying = min(answered.complying, key=lambda model: shares[model], default=None)
        source = {
            **question.source,
            "category": question.category,
            "answer_by": refusing,
            "answer_verdict": answered.verdicts[refusing].text,
            "guard": self._settings.guard.name,
        }
        rejected = ""
        if complying is not None:
            rejected = answered.answers[complying].strip()
            source |= {"rejected_by": complying, "rejected_verdict": answered.verdicts[complying].text}
        return Row(question.text, answered.answers[refusing].strip(), rejected, source)

    def _refusal_shares(self) -> dict[str, float]:
        """Model → share of the questions that it refuses."""
        n = max(1, len(self._answered))
        return {
            model: sum(model in answered.refusing for answered in self._answered) / n for model in self._settings.pool
        }

    def _all_counts(self) -> Counter[str]:
        judged = [answered for answered in self._answered if answered.is_clear]
        return Counter(
            {
                **self._counts,
                "unclear verdict": len(self._answered) - len(judged),
                "nobody refuses": sum(not answered.refusing for answered in judged),
                "nobody complies": sum(not answered.complying for answered in judged),
            }
        )
