"""Everything that a pointer does can be done by keys, and is said to those who do not see it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser_tests.conftest import Service

pytestmark = pytest.mark.browser


@pytest.fixture
def search(page: Page, service: Service, finished_demo: str) -> Page:
    """A finished search, drawn."""
    page.goto(f"{service.url}/#/searches/{finished_demo}")
    expect(page.locator(".graph-waiting")).to_have_count(0)
    expect(page.locator(".front-table tbody tr").first).to_be_visible()
    return page


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus; each element on the way must show that it has it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError("The target cannot be reached by the Tab key.")


def test_skip_link_leads_to_the_content(search: Page) -> None:
    search.keyboard.press("Tab")
    expect(search.get_by_role("link", name="Skip to the content")).to_be_focused()
    search.keyboard.press("Enter")
    expect(search.locator("main")).to_be_focused()


def test_arrow_keys_go_along_the_front(search: Page, service: Service, finished_demo: str) -> None:
    plot = search.locator(".plot-box").first
    tab_to(search, plot)
    assert plot.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    front = service.call(f"/v1/searches/{finished_demo}/front")["front"]
    search.keyboard.press("Home")
    worst = front[-1]
    expect(search.locator(".selected-title")).to_have_text(worst["landmark"] or f"trial {worst['trial']}")
    search.keyboard.press("ArrowRight")
    better = front[-2]
    expect(search.locator(".selected-title")).to_have_text(better["landmark"] or f"trial {better['trial']}")
    expect(search.locator("#announcer")).to_contain_text("Selected:")
    expect(search.locator("#announcer")).to_contain_text("alignment")


def test_select_in_the_table_and_export_without_a_pointer(search: Page, service: Service) -> None:
    tab_to(search, search.locator(".row-choice").first)
    search.keyboard.press("ArrowDown")
    chosen = search.locator(".row-choice").nth(1)
    expect(chosen).to_be_focused()
    expect(chosen).to_have_attribute("aria-pressed", "true")
    search.keyboard.press("Home")
    search.locator("main").focus()
    tab_to(search, search.get_by_label("Export to the folder"))
    search.keyboard.type("by-keys")
    search.keyboard.press("Enter")
    expect(search.locator(".latest-export")).to_contain_text("trial")
    expect(search.locator("#announcer")).to_contain_text("queued")
    expect(search.locator(".latest-export [data-state=finished]")).to_be_visible(timeout=200_000)
    assert (service.folder / "merges" / "by-keys" / "config.json").is_file()


def test_slider_selects_the_best_merge_that_satisfies_it(search: Page, service: Service, finished_demo: str) -> None:
    slider = search.get_by_role("slider", name="alignment")
    tab_to(search, slider)
    search.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("at least"))
    best = service.call(f"/v1/searches/{finished_demo}/front")["front"][0]
    expect(search.locator(".selected-title")).to_have_text(best["landmark"] or f"trial {best['trial']}")
    search.get_by_role("button", name="Clear").click()
    expect(search.locator(".selected-line")).to_contain_text("knee")


def test_click_on_a_point_selects_it(search: Page) -> None:
    point = search.locator(".graph .scatterlayer .trace").nth(2).locator(".point").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    assert box is not None
    search.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(search.locator(".graph .hoverlayer .hovertext")).to_be_visible()
    search.mouse.down()
    search.mouse.up()
    expect(search.locator(".selected-line")).to_contain_text("your choice")


def test_held_out_examples_are_another_picture(search: Page, service: Service, finished_demo: str) -> None:
    tab_to(search, search.get_by_role("radio", name="Search"))
    search.keyboard.press("ArrowRight")
    expect(search.get_by_role("radio", name="Held out")).to_be_checked()
    front = service.call(f"/v1/searches/{finished_demo}/front?split=holdout")["front"]
    expect(search.locator(".front-table tbody tr")).to_have_count(len(front))
    first = f"{front[0]['values']['alignment']:.3f}".replace("-", "\N{MINUS SIGN}")
    expect(search.locator(".front-table tbody td").first).to_contain_text(first)


def test_completions_stand_side_by_side(search: Page) -> None:
    search.get_by_role("button", name="Ask the models").click()
    heads = search.locator(".completions thead th")
    expect(heads).to_have_count(5, timeout=200_000)
    assert heads.all_inner_texts()[2:] == ["base", "aligned", "expert"]
    expect(search.locator(".completions tbody tr")).to_have_count(3)
