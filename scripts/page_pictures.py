"""Remakes the README's pictures of the page: a search of the demonstration, in a real browser, wide and narrow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, expect

from tests.browser_tests.conftest import running_browser, running_service

DOCS = Path(__file__).parents[1] / "docs"
# Width → height: as far as the coefficients.
SIZES = {1280: 1276, 400: 1640}


def main() -> None:
    """Run the demonstration and photograph it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=240)
    parser.add_argument("--to", type=Path, default=DOCS)
    arguments = parser.parse_args()
    with running_service() as service, running_browser() as browser:
        service.launch_demo("demo", arguments.evaluations)
        service.wait_for("demo", "finished", timeout_s=1200)
        url = f"{service.url}/#/searches/demo"
        for width in SIZES:
            photograph(browser, url, width, "light", arguments.to / f"page-{width}.png")
            photograph(browser, url, width, "dark", arguments.to / f"page-{width}-dark.png")


def photograph(browser: Browser, url: str, width: int, scheme: Literal["light", "dark"], path: Path) -> None:
    """One picture of a search, once all of it is there."""
    page = browser.new_page(viewport={"width": width, "height": SIZES[width]}, color_scheme=scheme)
    page.goto(url)
    expect(page.locator(".graph-waiting")).to_have_count(0)
    expect(page.locator(".heat")).to_be_visible()
    expect(page.locator(".hypervolume-card .plot-container")).to_be_visible()
    page.screenshot(path=path)
    print(f"{path}: {path.stat().st_size // 1024} kB")
    page.close()


if __name__ == "__main__":
    main()
