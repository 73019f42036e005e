"""Scorers: one file each, one contract, all registered in `SCORERS`; none imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from workers.scorers._base import Scorer, ScorerOptions
from workers.scorers.answer_likelihood import AnswerLikelihoodScorer
from workers.scorers.classifier import ClassifierScorer
from workers.scorers.compliance import Compliance
from workers.scorers.exact_match import ExactMatch
from workers.scorers.guard import GuardScorer
from workers.scorers.likelihood_terms import LikelihoodScorer, LikelihoodTerm
from workers.scorers.llm_judge import LlmJudge
from workers.scorers.lm_eval import LmEval
from workers.scorers.multiple_choice import MultipleChoice
from workers.scorers.reading_options import read_options
from workers.scorers.refusal import Refusal
from workers.scorers.refusal_margin import RefusalMargin

_SCORERS: tuple[type[Scorer], ...] = (
    AnswerLikelihoodScorer,
    ClassifierScorer,
    Compliance,
    ExactMatch,
    GuardScorer,
    LlmJudge,
    LmEval,
    MultipleChoice,
    Refusal,
    RefusalMargin,
)

SCORERS: Mapping[str, type[Scorer]] = MappingProxyType({scorer.name: scorer for scorer in _SCORERS})

__all__ = [
    "SCORERS",
    "AnswerLikelihoodScorer",
    "ClassifierScorer",
    "Compliance",
    "ExactMatch",
    "GuardScorer",
    "LikelihoodScorer",
    "LikelihoodTerm",
    "LlmJudge",
    "LmEval",
    "MultipleChoice",
    "Refusal",
    "RefusalMargin",
    "Scorer",
    "ScorerOptions",
    "read_options",
]
