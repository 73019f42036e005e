"""Results are read without a console, without HTTP, and without what makes candidates."""

from __future__ import annotations

import subprocess
import sys

import pytest

NEVER = ("rich", "fastapi", "starlette", "matplotlib", "plotly", "torch", "ray", "transformers")


@pytest.mark.parametrize("package", ["service.results", "service.study_views"])
def test_loads_nothing_that_it_does_not_need(package: str) -> None:
    code = f"import sys, {package}; print([name for name in {NEVER} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
