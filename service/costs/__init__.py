"""What large models will cost, from their configuration alone: memory, seconds, GPUs."""

from __future__ import annotations

from service.costs.bandwidths import Bandwidths
from service.costs.model_plan import ModelPlan, plan_model
from service.costs.planned_workers import PlannedWorkers
from service.costs.speeds import Speeds, measure_speeds

__all__ = ["Bandwidths", "ModelPlan", "PlannedWorkers", "Speeds", "measure_speeds", "plan_model"]
