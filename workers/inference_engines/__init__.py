"""Inference engines: how a live candidate reads and writes text; one contract."""

from __future__ import annotations

from workers.inference_engines._base import AnswerLikelihood, InferenceEngine, TokenizedPair

__all__ = ["AnswerLikelihood", "InferenceEngine", "TokenizedPair"]
