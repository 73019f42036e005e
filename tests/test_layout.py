"""The tree is the architecture: what may import what, and how every file begins."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# Each may import itself and those before it.
PACKAGES = ("search_spaces", "workers", "service")
HEAVY = ("torch", "ray", "transformers")
# What a search space must never need.
IMPURE = (*HEAVY, "sqlalchemy", "psycopg")
VAGUE = ("utils", "util", "helpers", "helper", "common", "manager", "managers")
SHIPPED = tuple(sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")))
EVERY_FILE = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(REPOSITORY)))


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Top-level package and number of leading dots of every import, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0], node.level


def package_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).parts[0]


@EVERY_FILE
def test_imports_point_one_way(path: Path) -> None:
    allowed = PACKAGES[: PACKAGES.index(package_of(path)) + 1]
    found = {name for name, _ in imported(path)} & set(PACKAGES)
    assert found <= set(allowed)


@EVERY_FILE
def test_imports_are_absolute(path: Path) -> None:
    assert not [name for name, level in imported(path) if level]


@EVERY_FILE
def test_module_begins_with_a_docstring_and_annotations(path: Path) -> None:
    module = ast.parse(path.read_text())
    docstring, *rest = module.body
    assert ast.get_docstring(module)
    assert isinstance(docstring, ast.Expr)
    assert not rest or ast.unparse(rest[0]) == "from __future__ import annotations"


@pytest.mark.parametrize("path", [p for p in SHIPPED if package_of(p) == "search_spaces"], ids=lambda path: path.stem)
def test_search_spaces_are_pure(path: Path) -> None:
    assert not {name for name, _ in imported(path)} & set(IMPURE)


def test_search_spaces_load_nothing_heavy() -> None:
    code = f"import sys, search_spaces; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_has_a_vague_name() -> None:
    names = {part for path in SHIPPED for part in (*path.relative_to(REPOSITORY).parts[:-1], path.stem)}
    assert not names & set(VAGUE)


def test_nothing_shadows_the_docker_package() -> None:
    assert not list((REPOSITORY / "docker").rglob("*.py"))


def test_no_test_folder_shadows_a_package() -> None:
    assert not list((REPOSITORY / "tests").rglob("__init__.py"))


def test_wheel_holds_the_three_packages() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(packages) == sorted(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_typed(package: str) -> None:
    assert (REPOSITORY / package / "__init__.py").is_file()
    assert (REPOSITORY / package / "py.typed").is_file()
