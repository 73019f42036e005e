"""Search by gradients: what the trials know, a model of the objectives, and the point that is worth most next."""

from __future__ import annotations

from service.samplers.gradient_search.sampler import GradientSearch

__all__ = ["GradientSearch"]
