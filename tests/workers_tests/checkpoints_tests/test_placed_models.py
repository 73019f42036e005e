"""Models of a search where a node has them, and errors where it has not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from search_spaces.errors import MisplacedModelError
from workers.checkpoints import read_header
from workers.checkpoints.content_digest import content_digest
from workers.checkpoints.model_files import read_model_header
from workers.checkpoints.model_roots import ROOTS_VARIABLE, on_this_node
from workers.checkpoints.placed_models import check_placed


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    found = tmp_path / "first", tmp_path / "second"
    for folder in (found[0] / "base", found[1] / "llama" / "base"):
        folder.mkdir(parents=True)
    monkeypatch.setenv(ROOTS_VARIABLE, os.pathsep.join(map(str, found)))
    return found


def test_the_longest_end_of_a_path_that_a_root_has_counts(roots: tuple[Path, Path]) -> None:
    first, second = roots
    assert on_this_node("/models/llama/base") == second / "llama" / "base"
    assert on_this_node("/models/mistral/base/") == first / "base"
    assert on_this_node("/models/../base") == first / "base"


def test_what_is_there_or_nowhere_stays_as_it_is(roots: tuple[Path, Path], tmp_path: Path) -> None:
    own = tmp_path / "elsewhere" / "base"
    own.mkdir(parents=True)
    assert on_this_node(own) == own
    assert on_this_node("/models/llama/chat") == Path("/models/llama/chat")


def test_a_model_is_read_where_the_node_has_it(roots: tuple[Path, Path], family: Path) -> None:
    shutil.copytree(family / "expert", roots[1] / "expert")
    assert read_model_header("/models/expert").folder == roots[1] / "expert"


def test_the_searchs_files_pass(family: Path) -> None:
    folder = str(family / "base")
    check_placed({"base": folder, "expert": "/unchecked"}, {"base": content_digest(read_header(folder))})


def test_other_files_are_told_with_folder_and_both_digests(family: Path) -> None:
    digests = {name: content_digest(read_header(family / name)) for name in ("base", "expert")}
    with pytest.raises(
        MisplacedModelError,
        match=rf"files of the model 'base', but those in '{family}/expert' are others: their digest is "
        rf"{digests['expert'][:12]}, the search's {digests['base'][:12]}\. Copy them there anew",
    ):
        check_placed({"base": str(family / "expert")}, {"base": digests["base"]})


def test_missing_files_are_told_with_what_to_do() -> None:
    with pytest.raises(
        MisplacedModelError,
        match=rf"must have the model 'base', but has not: .*'/models/base' is not there.* `{ROOTS_VARIABLE}`, or",
    ):
        check_placed({"base": "/models/base"}, {"base": "0"})
