"""mergekit files over the bundled family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.demo import FAMILY

WriteFile = Callable[..., Path]


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    """Write keys as a YAML file; `base`, `aligned` and `expert` become the family's folders wherever they stand."""

    def write(values: Any, name: str = "recipe.yaml") -> Path:
        path = tmp_path / name
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(_placed(values), sort_keys=False))
        return path

    return write


def _placed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _placed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_placed(inner) for inner in value]
    return str(FAMILY / value) if value in ("base", "aligned", "expert") else value


@pytest.fixture
def sets() -> dict[str, Path]:
    """The family's sets, as an import is told of them."""
    return {"safety": FAMILY / "safety.jsonl", "domain": FAMILY / "domain.jsonl"}
