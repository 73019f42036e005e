"""Synthetic sets: safety, domain and benign examples, made from the models of a search."""

from __future__ import annotations

from service.synthesis.dispatch import StageProgress
from service.synthesis.rows import SynthesizedSet
from service.synthesis.settings import SynthesisSettings, settings_of
from service.synthesis.synthesis import Synthesis, Synthesized

__all__ = ["StageProgress", "Synthesis", "SynthesisSettings", "Synthesized", "SynthesizedSet", "settings_of"]
