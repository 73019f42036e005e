"""References to models, and mergekit's notation of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.errors import SpecificationError
from search_spaces.model_reference import ModelReference, is_hub_id

HUB_IDS = st.sampled_from(("org/name", "meta-llama/Meta-Llama-3-8B", "a/b.c_d"))
PLACES = st.sampled_from(("/models/base", "./base", "../a@b/base", "base"))
REVISIONS = st.one_of(st.none(), st.sampled_from(("main", "v1.0", "refs/pr/3", "a" * 40)))


@st.composite
def parts(draw: st.DrawFn) -> tuple[str, str | None]:
    return draw(st.one_of(st.tuples(HUB_IDS, REVISIONS), st.tuples(PLACES, st.none())))


@given(model=parts(), adapter=st.one_of(st.just((None, None)), parts()))
def test_the_notation_is_read_back(model: tuple[str, str | None], adapter: tuple[str | None, str | None]) -> None:
    reference = ModelReference(*model, *adapter)
    assert ModelReference.parse(reference.notation) == reference


@pytest.mark.parametrize(
    ("notation", "reference"),
    [
        ("org/name", ModelReference("org/name")),
        ("org/name@abc", ModelReference("org/name", "abc")),
        ("org/name@abc+org/lora", ModelReference("org/name", "abc", "org/lora")),
        ("org/name+./lora", ModelReference("org/name", None, "./lora")),
        ("/a/b+org/lora@v1", ModelReference("/a/b", None, "org/lora", "v1")),
        ("/home/me@work/base", ModelReference("/home/me@work/base")),
    ],
)
def test_mergekits_notation(notation: str, reference: ModelReference) -> None:
    assert ModelReference.parse(notation) == reference
    assert reference.notation == notation


@pytest.mark.parametrize("text", ["name", "/org/name", "./name", "~/name", "a/b/c", "org/", "org/na me", "a/..", "é/a"])
def test_what_is_no_hub_id(text: str) -> None:
    assert not is_hub_id(text)


@pytest.mark.parametrize("revision", ["", "a b", "../x", "-x", "/x", "a@b", "x" * 101])
def test_a_revision_must_be_one(revision: str) -> None:
    with pytest.raises(SpecificationError, match="must be a branch, a tag or a commit of the hub"):
        ModelReference("org/name", revision)


def test_a_folder_has_no_revision() -> None:
    with pytest.raises(SpecificationError, match=r"Only a hub id has revisions, but '\./base' is none and got 'main'"):
        ModelReference("./base", "main")


def test_a_plus_stands_between_model_and_adapter() -> None:
    assert ModelReference("/c++/base").notation == "/c++/base"
    with pytest.raises(SpecificationError, match=r"must be named without `\+`"):
        ModelReference("/c++/base", adapter="/lora")


@pytest.mark.parametrize("notation", ["", "+lora", "base+"])
def test_half_a_notation_is_refused(notation: str) -> None:
    with pytest.raises(SpecificationError, match="must be given as `model` or `model\\+adapter`"):
        ModelReference.parse(notation)


def test_the_label_is_short() -> None:
    assert ModelReference("/models/llama/", adapter="org/lora").label == "llama + org/lora"
