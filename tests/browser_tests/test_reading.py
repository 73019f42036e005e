"""The page on narrow screens, in the dark, and after a reload."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser_tests.conftest import Faults, Service

pytestmark = pytest.mark.browser
ROUTES = ("#/", "#/new", "#/searches/finished")


@pytest.mark.parametrize("route", ROUTES)
def test_page_is_never_wider_than_a_narrow_screen(
    open_page: Callable[..., Page], service: Service, finished_demo: str, route: str
) -> None:
    page = open_page(viewport={"width": 400, "height": 800})
    page.goto(f"{service.url}/{route}")
    wait_until_shown(page, route)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    clipped = page.evaluate(
        "() => [...document.querySelectorAll('button, input, select, h1, h2, h3, th, td')]"
        ".filter(e => e.offsetParent && e.getBoundingClientRect().width > 1 && e.getBoundingClientRect().right > 400)"
        ".map(e => e.outerHTML.slice(0, 120))"
    )
    assert clipped == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("route", ROUTES)
def test_text_has_contrast(
    open_page: Callable[..., Page], service: Service, finished_demo: str, route: str, scheme: str
) -> None:
    page = open_page(color_scheme=scheme)
    page.goto(f"{service.url}/{route}")
    wait_until_shown(page, route)
    assert page.evaluate(CONTRAST) == []


def test_dark_follows_the_system_until_a_person_chooses(open_page: Callable[..., Page], service: Service) -> None:
    page = open_page(color_scheme="dark")
    page.goto(service.url)
    assert lightness(page) < 0.2
    page.get_by_role("button", name="Dark colours").click()
    assert lightness(page) > 0.8
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert lightness(page) > 0.8


def test_reload_keeps_search_and_selection(page: Page, service: Service, finished_demo: str) -> None:
    page.goto(f"{service.url}/#/searches/{finished_demo}")
    page.get_by_role("button", name="expert", exact=True).click()
    expect(page.get_by_role("heading", level=3, name="expert")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", level=3, name="expert")).to_be_visible()
    page.get_by_role("link", name="← Searches").click()
    page.go_back()
    expect(page.get_by_role("heading", level=1, name=finished_demo)).to_be_visible()


def test_unknown_search_is_said_to_be_unknown(page: Page, service: Service, faults: Faults) -> None:
    faults.expected.append("404")
    page.goto(f"{service.url}/#/searches/nobody")
    expect(page.get_by_role("alert")).to_contain_text("nobody")


def wait_until_shown(page: Page, route: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if route == "#/new":
        expect(page.get_by_role("button", name="Fill in the demo")).to_be_enabled()
        page.get_by_role("button", name="Fill in the demo").click()
    elif route == "#/":
        expect(page.locator(".search-item").first).to_be_visible()
    else:
        expect(page.locator(".heat")).to_be_visible()
        expect(page.locator(".graph-waiting")).to_have_count(0)


def lightness(page: Page) -> float:
    """Of the page's background, from 0 to 1."""
    channels = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    return float(sum(channels[:3])) / (3 * 255)


# WCAG's contrast of every visible text against what lies behind it, as far as that is one colour.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *:not(svg *)")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const box = element.getBoundingClientRect();
    const isShown = element.checkVisibility() && box.width > 1 && !element.closest(":disabled, [hidden], noscript");
    if (!hasText || !isShown) continue;
    if (element.parentElement.querySelector("input:disabled")) continue;
    const [one, other] = [luminance(rgba(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) poor.push([element.outerHTML.slice(0, 100), ratio]);
  }
  return poor;
}"""
