"""What a mergekit file calls a model: found from the file, then from here, and told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.errors import CheckpointError, SpecificationError
from service.mergekit.model_notation import located, meant_by


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file beside the folder `near`, called from beside the folder `far`; `org/both` is in both places."""
    for folder in ("files/near", "files/org/both", "here/far", "here/org/both", "files/a+b", "files/one/same"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "files" / "recipe.yaml"


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ("near", "{root}/files/near"),
        ("./far", "{root}/here/far"),
        ("org/both", "{root}/files/org/both"),
        ("a+b", "{root}/files/a+b"),
        ("near+far", "{root}/files/near+{root}/here/far"),
        ("org/model", "org/model"),
        ("org/model@v2+near", "org/model@v2+{root}/files/near"),
        ("org/both@v2", "org/both@v2"),
    ],
)
def test_a_model_is_located(file: Path, named: str, place: str) -> None:
    assert located(named, file) == place.format(root=file.parents[1])


@pytest.mark.parametrize(
    ("named", "error"), [("nowhere", CheckpointError), ("near+nowhere", CheckpointError), ("near+", SpecificationError)]
)
def test_what_is_not_there_is_refused(file: Path, named: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"nowhere|model\+adapter"):
        located(named, file)


@pytest.mark.parametrize(
    ("named", "names"),
    [
        ("near", ("tuned",)),
        ("tuned", ("tuned",)),
        ("elsewhere/near", ("tuned",)),
        ("org/model", ("hub",)),
        ("org/model@COMMIT", ("hub",)),
        ("near+org/lora", ("adapted",)),
        ("files/near+other/lora", ("adapted",)),
        ("org/other", ()),
        ("same", ()),
        ("one/same", ("one",)),
    ],
)
def test_a_name_means_one_model(file: Path, named: str, names: tuple[str, ...]) -> None:
    near = str(file.parent / "near")
    models = {"tuned": near, "adapted": f"{near}+org/lora", "hub": "org/model@COMMIT"}
    twins = {name: str(file.parent / name / "same") for name in ("one", "two")}
    assert meant_by(named, file, models | twins) == names


def test_one_model_may_have_two_names(file: Path) -> None:
    near = str(file.parent / "near")
    assert meant_by("near", file, {"base": near, "again": near}) == ("base", "again")
