"""From the first click on the demonstration to a merge that transformers loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser_tests.conftest import Service, running_service, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


N_LANDMARKS_DRAWN = "document.querySelector('.graph').data?.[3].x.length"


def n_spent(page: Page) -> int:
    """Of the evaluations, as the head of a search says."""
    text = page.locator(".numbers dd").first.inner_text()
    return int(re.match(r"[\d,]+", text)[0].replace(",", "")) if text[0].isdigit() else 0  # type: ignore[index]


def test_demo_is_launched_watched_and_exported(page: Page) -> None:
    # A service that has no search yet shows the first step.
    with running_service() as service:
        launch(page, service)
        watch(page)
        export(page, service)
        # Else it would complain that the service has gone.
        page.goto("about:blank")


def launch(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.get_by_role("link", name="Try the demo").click()
    expect(page.get_by_label("Base model")).to_have_value(re.compile("tiny_family/base$"))
    page.get_by_label("Evaluations").fill("40")
    page.get_by_role("button", name="Launch the search").click()
    expect(page.get_by_role("heading", level=1, name="demo")).to_be_visible()


def watch(page: Page) -> None:
    page.evaluate("window.isTheSamePage = true")
    first = until(lambda: n_spent(page) or None, 200, "a first candidate is shown")
    more = until(lambda: n if (n := n_spent(page)) > first else None, 100, "more candidates are shown")
    drawn = until(lambda: page.evaluate(N_LANDMARKS_DRAWN) or None, 60, "it is drawn")
    assert 1 <= first < more
    assert drawn >= 1
    expect(page.locator(".search-header .badge")).to_have_text("finished", timeout=300_000)
    assert n_spent(page) == 40
    assert page.evaluate("window.isTheSamePage") is True


def export(page: Page, service: Service) -> None:
    page.get_by_role("button", name="Knee").click()
    knee = service.call("/v1/searches/demo/front")["selected"]
    expect(page.get_by_role("heading", level=3, name=f"trial {knee}", exact=True)).to_be_visible()
    page.get_by_label("Export to the folder").fill("my-merge")
    page.get_by_role("button", name=f"Export trial {knee}").click()
    expect(page.locator(".latest-export [data-state=finished]")).to_be_visible(timeout=200_000)
    folder = Path(page.locator(".latest-export .path").inner_text())
    assert folder == service.folder / "merges" / "my-merge"
    load(folder)


def load(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokens = AutoTokenizer.from_pretrained(folder)("12 kg in g?", return_tensors="pt")
    assert model(**tokens).logits.isfinite().all()
