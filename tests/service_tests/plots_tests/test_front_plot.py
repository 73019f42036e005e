"""The files of `plot_front`: each format, any number of objectives, any names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from search_spaces.errors import SpecificationError, UserError
from service.pareto import non_dominated
from service.plots import PlottedPoint, plot_front

OBJECTIVES = ("alignment", "expertise", "restraint", "brevity")
LOADED = "import sys, service.plots; print(sorted({'matplotlib', 'plotly', 'torch'} & set(sys.modules)))"


def candidates(n_objectives: int, n_points: int = 30) -> list[PlottedPoint]:
    values = np.random.default_rng(0).normal(size=(n_points, n_objectives))
    front = non_dominated(values)
    errors = (0.1,) * (n_objectives - 1) + (None,)
    points = [
        PlottedPoint(f"trial {i}", tuple(row), errors, "front" if front[i] else "dominated")
        for i, row in enumerate(values.tolist())
    ]
    points.append(PlottedPoint("trial 30", (1.0,) * n_objectives, errors, "selected"))
    points += [PlottedPoint(name, (0.0,) * n_objectives, errors, "landmark") for name in ("base", "uniform average")]
    return points


def drawn(path: Path, points: list[PlottedPoint], n_objectives: int, title: str = "a search") -> bytes:
    plot_front(points, OBJECTIVES[:n_objectives], path, title)
    return path.read_bytes()


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
class TestEveryNumberOfObjectives:
    def test_png(self, tmp_path: Path, n_objectives: int) -> None:
        content = drawn(tmp_path / "front.png", candidates(n_objectives), n_objectives)
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert content.rstrip().endswith(b"IEND\xaeB`\x82")

    def test_svg(self, tmp_path: Path, n_objectives: int) -> None:
        content = drawn(tmp_path / "front.svg", candidates(n_objectives), n_objectives)
        assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"

    def test_html_names_everything(self, tmp_path: Path, n_objectives: int) -> None:
        page = drawn(tmp_path / "front.html", candidates(n_objectives), n_objectives).decode()
        figure = page[page.rindex("Plotly.newPlot") :]
        assert "<title>a search</title>" in page
        assert all(word in figure for word in ("a search", "uniform average", "trial 30", "trial 7"))
        assert all(objective in figure for objective in OBJECTIVES[:n_objectives])

    @pytest.mark.parametrize("n_points", [0, 1])
    @pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
    def test_few_points(self, tmp_path: Path, n_objectives: int, n_points: int, suffix: str) -> None:
        points = candidates(n_objectives)[:n_points]
        assert drawn(tmp_path / f"front{suffix}", points, n_objectives)


def test_html_needs_no_network(tmp_path: Path) -> None:
    page = drawn(tmp_path / "front.html", candidates(2), 2).decode()
    assert re.findall(r"<script[^>]*\bsrc\s*=", page) == []
    assert re.findall(r"<link\b", page) == []
    assert "Plotly.newPlot" in page
    assert len(page) > 3_000_000


def test_axes_say_that_higher_is_better(tmp_path: Path) -> None:
    page = drawn(tmp_path / "front.html", candidates(2), 2).decode()
    assert "alignment  (higher is better)" in page
    assert "expertise  (higher is better)" in page


def test_capital_suffixes_are_the_same(tmp_path: Path) -> None:
    assert drawn(tmp_path / "front.PNG", candidates(2), 2) == drawn(tmp_path / "front.png", candidates(2), 2)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_the_same_picture_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    first, again = (drawn(tmp_path / f"{name}{suffix}", candidates(3), 3) for name in ("first", "again"))
    assert first == again


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_names_are_only_names(tmp_path: Path, suffix: str) -> None:
    name = "</script><script>alert(1)</script> $\\frac$ & {x} <b>"
    points = [PlottedPoint(name, (0.0, 1.0, 2.0, 3.0), (None,) * 4, "landmark")]
    path = tmp_path / f"front{suffix}"
    plot_front(points, [f"{name} {i}" for i in range(4)], path, name)
    assert b"<script>alert" not in path.read_bytes()


@pytest.mark.parametrize("name", ["front.pdf", "front", "front.html.gz"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecificationError, match=rf"must end in \.png, \.svg, \.html, but got '.*{name}'") as caught:
        plot_front([], OBJECTIVES, tmp_path / name, "")
    assert isinstance(caught.value, UserError)
    assert not list(tmp_path.iterdir())


def test_a_point_of_other_objectives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one for each of alignment, expertise, but got 3 for 'trial 0'"):
        plot_front(candidates(3), OBJECTIVES[:2], tmp_path / "front.png", "")


def test_import_loads_no_drawing_library() -> None:
    command = [sys.executable, "-W", "error", "-c", LOADED]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert loaded.stdout.strip() == "[]"
