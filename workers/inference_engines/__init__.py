"""Inference engines: how a live candidate reads and writes text, and how others do; one contract."""

from __future__ import annotations

from workers.inference_engines._base import AnswerLikelihood, InferenceEngine, TextGenerator, TokenizedPair
from workers.inference_engines.conversation import (
    Conversation,
    GenerationOptions,
    Message,
    Prompt,
    conversation_of,
)
from workers.inference_engines.model_source import ModelSource

__all__ = [
    "AnswerLikelihood",
    "Conversation",
    "GenerationOptions",
    "InferenceEngine",
    "Message",
    "ModelSource",
    "Prompt",
    "TextGenerator",
    "TokenizedPair",
    "conversation_of",
]
