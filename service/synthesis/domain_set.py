"""The domain set: questions that an expert asks itself, and its answers.

After Hammoud et al. 2024 (arXiv:2406.14563, section 4.3): shown three examples of the user's, an expert writes another
question and answers it greedily; every expert writes as many. What it answers differently each time, it does not know:
such questions can be left out.
"""

from __future__ import annotations

import zlib
from collections import Counter

from service.synthesis.dispatch import Dispatcher
from service.synthesis.near_duplicates import KnownQuestions
from service.synthesis.prompts import by_examples
from service.synthesis.question_writer import QuestionWriter, Writer
from service.synthesis.rows import Question, Row, SynthesizedSet
from service.synthesis.settings import DomainExpert, DomainSettings, SynthesisSettings
from workers.inference_engines import GenerationOptions
from workers.scorers.answer_extraction import extract_answer, same_answer


class DomainSynthesis:
    """Makes the domain set.

    Args:
        settings: of the whole synthesis.
        domain: of this set.
        dispatcher: who carries questions and answers.
    """

    def __init__(self, settings: SynthesisSettings, domain: DomainSettings, dispatcher: Dispatcher) -> None:
        self._settings = settings
        self._domain = domain
        self._dispatcher = dispatcher
        self._counts: Counter[str] = Counter(asked=0, unparsable=0, duplicate=0)
        # One for all: two experts may ask the same.
        examples = (example for expert in domain.experts for example in expert.examples)
        self._known = KnownQuestions(settings.similarity, examples)

    def run(self) -> SynthesizedSet:
        """Let each expert ask and answer its share.

        Raises:
            SynthesisError: an expert writes no questions.
            GenerationError: an expert gives no answers.
        """
        n_experts = len(self._domain.experts)
        rows: list[Row] = []
        for position, expert in enumerate(self._domain.experts):
            # The first ones take what does not divide.
            share = self._domain.rows // n_experts + (position < self._domain.rows % n_experts)
            rows += self._rows_of(expert, share)
        return SynthesizedSet("domain", self._domain.rows, tuple(rows), self._counts)

    def _rows_of(self, expert: DomainExpert, wanted: int) -> list[Row]:
        counts: Counter[str] = Counter()  # of this expert, for what is said if it fails
        questions = self._question_writer(expert, wanted, counts)
        rows: list[Row] = []
        while len(rows) < wanted and (written := questions.write(wanted - len(rows))):
            rows += self._answer(expert, written)
        self._counts.update(counts)
        return rows[:wanted]

    def _question_writer(self, expert: DomainExpert, wanted: int, counts: Counter[str]) -> QuestionWriter:
        domain = self._domain
        # Of its own: two experts of one subject must not get the same questions of one generator.
        seed = zlib.crc32(f"{self._settings.seed} {expert.name}".encode())
        options = GenerationOptions(self._settings.max_new_tokens, domain.temperature, seed)
        name = expert.name if expert.writer == expert.source else "generator"
        writer = Writer(name, expert.writer, options, wanted * domain.attempts)
        requests = by_examples(domain.system, domain.prompt, expert.topic, expert.examples, seed)
        return QuestionWriter(self._dispatcher, writer, requests, self._known, counts, "domain")

    def _answer(self, expert: DomainExpert, questions: list[Question]) -> list[Row]:
        prompts = [question.text for question in questions]
        greedy = GenerationOptions(self._settings.max_new_tokens)
        answers = self._dispatcher.ask(expert.source, prompts, greedy, f"domain: answers of {expert.name}")
        agreed = self._agreement(expert, prompts, answers)
        rows = []
        for question, answer, agrees in zip(questions, answers, agreed, strict=True):
            if not answer.strip():
                self._counts["unanswered"] += 1
            elif not agrees:
                self._counts["inconsistent"] += 1
            else:
                source = {**question.source, "answer_by": expert.name, "topic": expert.topic}
                rows.append(Row(question.text, answer.strip(), "", source))
        return rows

    def _agreement(self, expert: DomainExpert, prompts: list[str], answers: list[str]) -> list[bool]:
        """Whether every sampled answer to a question says the same as the greedy one."""
        consistency = self._domain.consistency
        agreed = [True] * len(prompts)
        for sample in range(consistency.samples):
            # Far apart: no task of one sample shares its seed with one of another.
            seed = self._settings.seed + (sample + 1) * 1_000_003
            options = GenerationOptions(self._settings.max_new_tokens, consistency.temperature, seed)
            stage = f"domain: sample {sample + 1} of {expert.name}"
            sampled = self._dispatcher.ask(expert.source, prompts, options, stage)
            agreed = [
                so_far and self._same(first, second)
                for so_far, first, second in zip(agreed, answers, sampled, strict=True)
            ]
        return agreed

    def _same(self, first: str, second: str) -> bool:
        consistency = self._domain.consistency
        values = [extract_answer(text, consistency.extract, consistency.pattern) for text in (first, second)]
        return None not in values and same_answer(str(values[0]), str(values[1]))
