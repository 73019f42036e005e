"""What clients may name: paths below the roots, and nothing that tells of what is outside."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from search_spaces.errors import AccessError, SpecificationError, UserError
from service.access.listing import models_below, sets_below
from service.access.roots import Roots
from tests.traversals import TRAVERSALS, filled, lay_traps

FAMILY = Path(__file__).parents[3] / "service" / "demo" / "tiny_family"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`sets` and `models`, which are roots, and `outside`, to which links in them lead."""
    lay_traps(tmp_path)
    shutil.copytree(FAMILY / "base", tmp_path / "models" / "base")
    return tmp_path


@pytest.fixture
def roots(folder: Path) -> Roots:
    return Roots((folder / "models",), (folder / "sets",), bundled=(FAMILY,))


@pytest.mark.parametrize("path", TRAVERSALS.values(), ids=TRAVERSALS.keys())
@pytest.mark.parametrize("kind", ["model", "set"])
def test_traversal_is_refused(roots: Roots, folder: Path, kind: str, path: str) -> None:
    with pytest.raises(UserError, match=r"`models\.base` must") as caught:
        getattr(roots, kind)(filled(path, folder), "models.base")
    assert isinstance(caught.value, AccessError | SpecificationError)


@pytest.mark.parametrize(
    "path", ["linked/{}", "twice/{}", "{outside}/{}", "../outside/{}", "loop/{}", "sub/../../outside/{}"]
)
def test_whether_something_is_outside_is_not_told(roots: Roots, folder: Path, path: str) -> None:
    told = []
    for name in ("secret.jsonl", "nothing.jsonl"):
        with pytest.raises(UserError, match="must") as caught:
            roots.set(filled(path, folder).replace("{}", name), "set")
        told.append((type(caught.value), str(caught.value).replace(name, "")))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "path", ["safety.jsonl", "sub/deep.jsonl", "inner.jsonl", "./safety.jsonl", "{sets}/safety.jsonl"]
)
def test_what_is_inside_is_found(roots: Roots, folder: Path, path: str) -> None:
    found = Path(roots.set(filled(path, folder), "set"))
    assert found.is_file()
    assert found == found.resolve()
    assert found.is_relative_to(folder / "sets")


def test_the_first_root_that_has_it_is_taken(folder: Path) -> None:
    first, second = folder / "models", folder / "sets"
    (first / "safety.jsonl").write_text("{}")
    assert Roots((first,), (second,)).set("safety.jsonl", "set") == str(second / "safety.jsonl")
    assert Roots((), (first, second)).set("safety.jsonl", "set") == str(first / "safety.jsonl")
    assert Roots((), (first, second)).set("sub/deep.jsonl", "set") == str(second / "sub" / "deep.jsonl")


def test_a_root_may_be_a_link(folder: Path) -> None:
    (folder / "root").symlink_to("sets")
    assert Roots((), (folder / "root",)).set("safety.jsonl", "set") == str(folder / "sets" / "safety.jsonl")


def test_without_roots_nothing_is_found() -> None:
    with pytest.raises(SpecificationError, match="`--sets`"):
        Roots((), ()).set("safety.jsonl", "set")


def test_a_root_need_not_be_there_yet(tmp_path: Path) -> None:
    roots = Roots((tmp_path / "models",), (tmp_path / "sets",))
    with pytest.raises(SpecificationError, match="none there"):
        roots.model("base", "models.base")
    assert (models_below(roots), sets_below(roots)) == ([], [])


# ---- models ----


def test_the_bundled_family_is_named_absolutely(roots: Roots) -> None:
    assert roots.model(str(FAMILY / "expert"), "models.base") == str(FAMILY / "expert")
    with pytest.raises(SpecificationError, match="none there"):
        roots.model("expert", "models.base")


@pytest.mark.parametrize("path", ["sub", ".", ""])
def test_a_folder_is_no_set(roots: Roots, path: str) -> None:
    with pytest.raises(SpecificationError, match="must be a JSONL file"):
        roots.set(path, "set")


def test_a_file_is_no_model(roots: Roots) -> None:
    with pytest.raises(SpecificationError, match="must be the folder of a model"):
        roots.model("base/config.json", "models.base")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer/deep.json"])
def test_a_models_files_may_not_lead_outside(roots: Roots, folder: Path, name: str) -> None:
    path = folder / "models" / "base" / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(folder / "outside" / "secret.jsonl")
    with pytest.raises(AccessError, match=f"'{path.name}' in 'base' is none"):
        roots.model("base", "models.base")


def test_a_models_files_may_lead_inside(roots: Roots, folder: Path) -> None:
    """As in the cache of huggingface_hub, where snapshots are links to blobs."""
    snapshot = folder / "models" / "snapshot"
    snapshot.mkdir()
    for path in (folder / "models" / "base").iterdir():
        (snapshot / path.name).symlink_to(Path("..") / "base" / path.name)
    assert roots.model("snapshot", "models.base") == str(snapshot)


def test_a_pipe_in_a_models_folder_is_not_waited_for(roots: Roots, folder: Path) -> None:
    (folder / "models" / "base" / "config.json").unlink()
    os.mkfifo(folder / "models" / "base" / "config.json")
    with pytest.raises(AccessError, match=r"'config.json' in 'base'"):
        roots.model("base", "models.base")


def test_a_root_full_of_files_is_no_model(roots: Roots, folder: Path) -> None:
    for number in range(2001):
        (folder / "models" / "base" / f"{number}.json").touch()
    with pytest.raises(SpecificationError, match="more than 2000 files"):
        roots.model("base", "models.base")


# ---- what can be chosen ----


def test_what_is_listed_can_be_named(roots: Roots, folder: Path) -> None:
    shutil.copytree(FAMILY / "expert", folder / "models" / "organisation" / "expert")
    (folder / "models" / ".hidden").symlink_to("base")
    (folder / "models" / "linked").symlink_to(FAMILY / "aligned")
    (folder / "models" / "outside").symlink_to(folder / "outside")
    assert models_below(roots) == ["base", "linked", "organisation/expert"]
    assert sets_below(roots) == ["inner.jsonl", "safety.jsonl", "sub/deep.jsonl"]
    for path in models_below(roots):
        assert Path(roots.model(path, "models.base")).is_dir()


def test_what_another_root_hides_is_named_absolutely(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "safety.jsonl").touch()
    roots = Roots((), (folder / "sets", folder / "more"))
    assert str(folder / "more" / "safety.jsonl") in sets_below(roots)
