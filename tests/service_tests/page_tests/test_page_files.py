"""What holds the page together without a build step: its modules find each other and are fetched at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import service.page

PAGE = Path(service.page.__file__).parent
INDEX = (PAGE / "index.html").read_text()
SCRIPTS = sorted(PAGE.glob("*.js"))
# It must be there before the first paint, and so is no module.
PLAIN = "first_theme.js"


def test_every_module_is_fetched_at_once() -> None:
    preloaded = set(re.findall(r'rel="modulepreload" href="/assets/([^"]+)"', INDEX))
    assert preloaded == {path.name for path in SCRIPTS} - {PLAIN, "page.js"}


def test_everything_that_the_page_names_is_there() -> None:
    named = re.findall(r'(?:src|href)="/assets/([^"]+)"', INDEX)
    assert named
    assert [name for name in named if not (PAGE / name).is_file()] == []


def test_page_has_no_inline_script() -> None:
    assert re.findall(r"<script(?![^>]*\bsrc=)", INDEX) == []
    assert re.findall(r"\son\w+=", INDEX) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_module_opens_with_a_sentence_and_imports_what_is_there(path: Path) -> None:
    text = path.read_text()
    assert re.match(r"// [A-Z].*[^,]$|// [a-z].*[^,]$", text.splitlines()[0])
    assert len(text.splitlines()) <= 400
    for names, source in re.findall(r'import \{([^}]*)\} from "\./([^"]+)";', text):
        exporting = (PAGE / source).read_text()
        for name in (name.strip() for name in names.split(",") if name.strip()):
            assert re.search(rf"export (?:async )?(?:function|class|const) {name}\b", exporting), f"{name} of {source}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_module_uses_every_name_that_it_imports(path: Path) -> None:
    text = path.read_text()
    body = re.sub(r"^import .*$", "", text, flags=re.MULTILINE)
    names = [name.strip() for found in re.findall(r"import \{([^}]*)\} from", text) for name in found.split(",")]
    assert [name for name in names if name and not re.search(rf"\b{name}\b", body)] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_text_never_becomes_markup(path: Path) -> None:
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text())
        == []
    )
