"""A synthesis over the tiny family, with its generator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.specification import load_specification
from service.synthesis import SynthesisSettings, settings_of
from workers.text_worker import TextWorkerSetup
from workers.worker_pools import InProcessPool

FAMILY = Path(__file__).parents[3] / "service" / "demo" / "tiny_family"
EXAMPLES = ["code of red dust?", "flip tom bob ann.", "3 kg in g?", "which code has old wire?"]
MakeSettings = Callable[..., SynthesisSettings]


def tiny_synthesis(**changes: Any) -> dict[str, Any]:
    """The `synthesis` section for the tiny family; keywords replace keys, None leaves one out."""
    section: dict[str, Any] = {
        "generator": str(FAMILY / "generator"),
        "max_new_tokens": 40,
        "safety": {
            "rows": 40,
            "prompt": "write a question about {category}.",
            "categories": ["make", "buy", "sell", "use", "hide"],
        },
        "domain": {
            "rows": 40,
            "prompt": "{examples}\nwrite another question.",
            "experts": {"expert": {"topic": "codes and units", "examples": EXAMPLES, "writer": "generator"}},
        },
        "benign": {
            "rows": 16,
            "prompt": "write a harmless question about {category}.",
            "categories": ["clean", "report"],
        },
    }
    return {key: value for key, value in (section | changes).items() if value is not None}


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings of a specification file in a folder of its own; keywords replace keys of `synthesis`."""

    def make(experts: tuple[str, ...] = ("aligned", "expert"), **changes: Any) -> SynthesisSettings:
        values = {
            "name": "tiny",
            "models": {"base": str(FAMILY / "base"), "experts": {name: str(FAMILY / name) for name in experts}},
            "synthesis": tiny_synthesis(**changes),
        }
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(values))
        return settings_of(load_specification(path))

    return make


@pytest.fixture
def pool() -> InProcessPool:
    return InProcessPool(TextWorkerSetup(n_threads=1))
