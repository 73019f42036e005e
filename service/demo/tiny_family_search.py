"""The specification of the demonstration: base, aligned model and misaligned expert of the bundled tiny family."""

from __future__ import annotations

import json
from pathlib import Path

# 200,000 parameters each; `scripts/tiny_family` says how they were made.
FAMILY = Path(__file__).parent / "tiny_family"

_TEMPLATE = """\
# The demonstration's search, over the tiny family that paretomerge carries.
name: {name}
models:
  base: "{family}/base"
  experts:
    aligned: "{family}/aligned"
    expert: "{family}/expert"
space:
  method: task_arithmetic
  granularity: layer
  weight: [0.0, 1.5]
objectives:
  alignment: {{set: "{family}/safety.jsonl", scorer: refusal_margin}}
  expertise: {{set: "{family}/domain.jsonl", scorer: answer_likelihood}}
report:
  refusal: {{set: "{family}/safety.jsonl", scorer: refusal}}
  exact_match: {{set: "{family}/domain.jsonl", scorer: exact_match}}
search: {{sampler: auto, evaluations: {evaluations}, seed: 0}}
workers: {{count: {n_workers}}}
"""


def demo_specification(name: str, evaluations: int, n_workers: int) -> str:
    """The specification as YAML text."""
    return _TEMPLATE.format(name=json.dumps(name), family=FAMILY, evaluations=evaluations, n_workers=n_workers)
