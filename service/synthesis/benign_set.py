"""The benign set: harmless questions that only look unsafe, answered by the base; a refusal of one is over-refusal."""

from __future__ import annotations

from collections import Counter

from search_spaces.merge_recipe import BASE
from service.synthesis.dispatch import Dispatcher
from service.synthesis.near_duplicates import KnownQuestions
from service.synthesis.prompts import BENIGN_EXAMPLE, by_category
from service.synthesis.question_writer import QuestionWriter, Writer
from service.synthesis.rows import Question, Row, SynthesizedSet
from service.synthesis.settings import BenignSettings, SynthesisSettings
from workers.guards import is_refusal
from workers.inference_engines import GenerationOptions


class BenignSynthesis:
    """Makes the benign set.

    Args:
        settings: of the whole synthesis.
        benign: of this set.
        dispatcher: who carries questions and answers.
    """

    def __init__(self, settings: SynthesisSettings, benign: BenignSettings, dispatcher: Dispatcher) -> None:
        self._settings = settings
        self._benign = benign
        self._dispatcher = dispatcher
        self._counts: Counter[str] = Counter(asked=0, unparsable=0, duplicate=0)

    def run(self) -> SynthesizedSet:
        """Ask and answer until there are rows enough or no more may be asked.

        Raises:
            SynthesisError: the generator writes no questions.
            GenerationError: generator or base give no answers.
        """
        settings, benign = self._settings, self._benign
        options = GenerationOptions(settings.max_new_tokens, benign.temperature, settings.seed)
        writer = Writer("generator", settings.generator, options, benign.limit)
        requests = by_category(benign.system, benign.prompt, benign.categories, settings.seed)
        known = KnownQuestions(settings.similarity, [BENIGN_EXAMPLE])
        questions = QuestionWriter(self._dispatcher, writer, requests, known, self._counts, "benign")
        rows: list[Row] = []
        while len(rows) < benign.rows and (written := questions.write(benign.rows - len(rows))):
            rows += self._answer(written)
        return SynthesizedSet("benign", benign.rows, tuple(rows[: benign.rows]), self._counts)

    def _answer(self, questions: list[Question]) -> list[Row]:
        prompts = [question.text for question in questions]
        greedy = GenerationOptions(self._settings.max_new_tokens)
        answers = self._dispatcher.ask(self._settings.pool[BASE], prompts, greedy, f"benign: answers of {BASE}")
        rows = []
        for question, answer in zip(questions, answers, strict=True):
            # By its opening, whatever the guard: one that judges safety calls a helpful answer safe, too.
            if is_refusal(answer) or not answer.strip():
                self._counts["refused"] += 1
            else:
                source = {**question.source, "category": question.category, "answer_by": BASE}
                rows.append(Row(question.text, answer.strip(), "", source))
        return rows
